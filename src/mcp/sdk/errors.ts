import {
  type McpHttpHandler,
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
} from '@modelcontextprotocol/server';
import { asCalledHere } from '../../command-name.ts';
import { ServiceError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { cleanLine } from '../../reports/clean.ts';
import { formatError } from '../error-text.ts';
import { plainDeep } from '../host-text.ts';

/** Runs a handler. Its answer says commands as they are called here; what it throws becomes a protocol error that says what happened and what to do. */
export async function guarded<T>(log: Log, handler: () => Promise<T>): Promise<T> {
  try {
    return asCalledHere(await handler());
  } catch (error) {
    throw toProtocolError(error, log);
  }
}

/** The one place where an error outside of a tool becomes a protocol error. */
export function toProtocolError(error: unknown, log: Log): ProtocolError {
  if (error instanceof ProtocolError) return error;
  const callers = error instanceof ServiceError && ['invalid-input', 'not-found', 'forbidden'].includes(error.code);
  const code = callers ? ProtocolErrorCode.InvalidParams : ProtocolErrorCode.InternalError;
  return new ProtocolError(code, asCalledHere(formatError(error, log).text));
}

/** A call of a tool that isn't there, or that this caller can't see. */
export function unknownTool(name: string, meant: string | undefined): ProtocolError {
  const hint = meant === undefined ? '' : ` Did you mean ${meant}?`;
  return new ProtocolError(
    ProtocolErrorCode.InvalidParams,
    `Unknown tool: ${callersWord(name)}.${hint} tools/list names all tools, and search_operations finds what they can do.`,
  );
}

/** A call of a prompt that isn't there. */
export function unknownPrompt(name: string, names: readonly string[]): ProtocolError {
  return new ProtocolError(
    ProtocolErrorCode.InvalidParams,
    `Unknown prompt: ${callersWord(name)}. The prompts are ${names.join(', ')}.`,
  );
}

/** A resource that isn't there; the SDK gives it the code of the protocol revision. */
export function resourceNotFound(uri: string): ProtocolError {
  return new ResourceNotFoundError(cleanLine(uri, 300));
}

/** The SDK's own refusals repeat what a request held, in texts that no other place of ours sees. */
export function cleanErrors(fetch: McpHttpHandler['fetch']): McpHttpHandler['fetch'] {
  return async (request, options) => {
    const response = await fetch(request, options);
    if (response.ok || !response.headers.get('content-type')?.startsWith('application/json')) return response;
    const { error, ...rest } = (await response.json()) as { error?: unknown };
    return new Response(JSON.stringify({ ...rest, error: plainDeep(error) }), response);
  };
}

/** What a caller sent, short enough for a sentence; nothing in it is hidden. */
function callersWord(text: string): string {
  return cleanLine(text, 80);
}
