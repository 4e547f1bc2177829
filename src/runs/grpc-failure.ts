import { isGrpcServiceError } from '@temporalio/client';

/** What the Temporal server answered, or the want of an answer: gRPC's code and details. The client wraps most of them. */
export function grpcFailure(error: unknown): { readonly code: number; readonly details: string } | undefined {
  const cause = error instanceof Error && isGrpcServiceError(error.cause) ? error.cause : error;
  return isGrpcServiceError(cause) ? { code: cause.code, details: cause.details } : undefined;
}
