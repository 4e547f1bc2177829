import type { ServerResponse } from 'node:http';
import { asCalledHere } from '../../command-name.ts';
import { cleanText } from '../../reports/clean.ts';

/** What every answer carries: nothing of this server is to be framed, guessed at or kept. */
const always = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
} as const;

/** A whole answer in one call: a page, or data that people read as it is. */
export function answer(
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent || response.destroyed) return;
  const said = asCalledHere(body);
  response
    .writeHead(status, {
      ...always,
      'content-type': contentType,
      'content-length': Buffer.byteLength(said),
      ...headers,
    })
    .end(said);
}

export function answerJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  answer(response, status, 'application/json', `${JSON.stringify(body)}\n`, headers);
}

/** A refusal in the form that MCP clients read: a JSON-RPC error without the id of a request. */
export function refuse(
  response: ServerResponse,
  status: number,
  message: string,
  options: { readonly code?: number; readonly headers?: Readonly<Record<string, string>>; readonly id?: unknown } = {},
): void {
  const { code = -32_000, headers = {}, id } = options;
  const known = typeof id === 'string' || typeof id === 'number' ? id : null;
  answerJson(response, status, { jsonrpc: '2.0', error: { code, message: cleanText(message) }, id: known }, headers);
}
