import { randomUUID } from 'node:crypto';
import { explain, ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import { cleanText } from '../reports/clean.ts';

/** An error as the model and the metrics get it. */
export interface FormattedError {
  readonly code: string;
  readonly text: string;
}

/**
 * The one place where an error becomes a text for an MCP client. A `ServiceError` is written to be read; anything else
 * is a defect whose words could hold anything, so it goes to the log and the client gets its reference.
 */
export function formatError(error: unknown, log: Log): FormattedError {
  if (error instanceof ServiceError) return { code: error.code, text: cleanText(`${error.code}: ${explain(error)}`) };
  const reference = randomUUID();
  log.error({ err: error, reference }, 'a tool failed unexpectedly');
  return {
    code: 'internal',
    text: `internal: The service failed unexpectedly. Look for reference ${reference} in its log.`,
  };
}
