import { randomUUID } from 'node:crypto';
import { explain, ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import { cleanLine, cleanText } from '../reports/clean.ts';
import { quoteNotice } from '../reports/quote.ts';
import { limits } from './host-text.ts';

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
  if (error instanceof ServiceError) return { code: error.code, text: textOf(error) };
  const reference = randomUUID();
  log.error({ err: error, reference }, 'a tool failed unexpectedly');
  return {
    code: 'internal',
    text: `internal: The service failed unexpectedly. Look for reference ${reference} in its log.`,
  };
}

/** Where the caller's own mistakes are listed, with a schema; nothing of a host is in it. */
const longest = 12_000;

/** Errors that say what a host or its API said. */
const ofHosts =
  /^(proxmox|host|ssh|command)-|^(connection-lost|outcome-unknown|unreadable|verification-failed|unexpected-answer|ambiguous)$/;

function textOf(error: ServiceError): string {
  const { code, message, remedy } = error;
  if (code === 'invalid-input') return cleanText(`${code}: ${explain(error)}`, longest);
  // On one line: what was said has none that could pass for one of ours.
  const said = new ServiceError({
    code,
    message: cleanLine(message, limits.message),
    remedy: cleanLine(remedy, limits.line),
  });
  return `${code}: ${explain(said)}${ofHosts.test(code) ? ` ${quoteNotice}` : ''}`;
}
