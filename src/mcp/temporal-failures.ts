import { isGrpcServiceError } from '@temporalio/client';
import { ServiceError } from '../errors.ts';

/** gRPC's codes for a server that can't be reached or doesn't answer in time. */
const away = new Set([4, 14]);

/** The same methods; where Temporal can't be reached they throw `unavailable` with what to do. */
export function sayWhenTemporalIsAway<Methods extends object>(methods: Methods, address: string): Methods {
  const wrapped = Object.entries(methods).map(([name, value]) => {
    if (typeof value !== 'function') return [name, value];
    // Looked up with each call: whoever made the methods may change them.
    const call = async (...args: unknown[]): Promise<unknown> =>
      (Reflect.get(methods as object, name) as (...given: unknown[]) => unknown).apply(methods, args);
    return [name, (...args: unknown[]) => call(...args).catch((error: unknown) => throwAs(error, address))];
  });
  return Object.fromEntries(wrapped) as Methods;
}

function throwAs(error: unknown, address: string): never {
  const cause = error instanceof Error && isGrpcServiceError(error.cause) ? error.cause : error;
  if (!isGrpcServiceError(cause) || !away.has(cause.code)) throw error;
  throw new ServiceError({
    code: 'unavailable',
    message: `The Temporal server at ${address} doesn't answer, so nothing was started or changed`,
    remedy: 'Look at /health and `proxmox-mcp doctor`; runs that were started before go on when it is back.',
    retryable: true,
    cause: error,
  });
}
