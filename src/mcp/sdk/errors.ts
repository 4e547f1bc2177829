import { ProtocolError, ProtocolErrorCode, ResourceNotFoundError } from '@modelcontextprotocol/server';
import { closest } from 'fastest-levenshtein';
import { ServiceError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { formatError } from '../error-text.ts';

/** Runs a handler; what it throws becomes a protocol error that says what happened and what to do. */
export async function guarded<T>(log: Log, handler: () => Promise<T>): Promise<T> {
  try {
    return await handler();
  } catch (error) {
    throw toProtocolError(error, log);
  }
}

/** The one place where an error outside of a tool becomes a protocol error. */
export function toProtocolError(error: unknown, log: Log): ProtocolError {
  if (error instanceof ProtocolError) return error;
  const callers = error instanceof ServiceError && ['invalid-input', 'not-found', 'forbidden'].includes(error.code);
  const code = callers ? ProtocolErrorCode.InvalidParams : ProtocolErrorCode.InternalError;
  return new ProtocolError(code, formatError(error, log).text);
}

/** A call of a tool that isn't there, or that this caller can't see. */
export function unknownTool(name: string, names: readonly string[]): ProtocolError {
  const shown = name.length > 80 ? `${name.slice(0, 77)}…` : name;
  return new ProtocolError(
    ProtocolErrorCode.InvalidParams,
    `Unknown tool: ${shown}. Did you mean ${closest(name.slice(0, 200), names)}? tools/list names them all.`,
  );
}

/** A resource that isn't there; the SDK gives it the code of the protocol revision. */
export function resourceNotFound(uri: string): ProtocolError {
  return new ResourceNotFoundError(uri);
}
