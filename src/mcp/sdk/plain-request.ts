import type { IncomingMessage } from 'node:http';
import type { JSONRPCRequest, MessageClassification } from '@modelcontextprotocol/server';

/** Methods that are asked so often, or waited for, that they take the short way. */
const shortWay: ReadonlySet<string> = new Set(['tools/call', 'tools/list', 'tasks/get']);

const keys: ReadonlySet<string> = new Set(['jsonrpc', 'id', 'method', 'params']);

const current = '2026-07-28';

/** What requests of the older generation may say in their version header, on the short way. */
const older: ReadonlySet<string | undefined> = new Set([undefined, '2025-11-25', '2025-06-18']);

const versionKey = 'io.modelcontextprotocol/protocolVersion';
const capabilitiesKey = 'io.modelcontextprotocol/clientCapabilities';

export interface PlainRequest {
  readonly message: JSONRPCRequest;
  readonly classification: MessageClassification;
}

/**
 * Recognizes a request about which nothing needs the SDK's full treatment: one of a few methods, its headers all there
 * and saying the same as its body. Whatever else it may be is left to the SDK. What is recognized here, the SDK's own
 * classifier sees the same way; a test holds it to that.
 */
export function plainRequest({ headers }: IncomingMessage, body: unknown): PlainRequest | undefined {
  if (!isObject(body) || body.jsonrpc !== '2.0' || typeof body.method !== 'string') return undefined;
  if (!shortWay.has(body.method) || !isId(body.id)) return undefined;
  if (!Object.keys(body).every((key) => keys.has(key))) return undefined;
  const params = body.params === undefined ? {} : body.params;
  if (!isObject(params)) return undefined;
  const message = body as unknown as JSONRPCRequest;
  const meta = params._meta;
  const version = headers['mcp-protocol-version'];
  if (isObject(meta) && versionKey in meta) {
    const named = body.method === 'tasks/get' ? params.taskId : params.name;
    const agrees =
      meta[versionKey] === current &&
      isObject(meta[capabilitiesKey]) &&
      version === current &&
      headers['mcp-method'] === body.method &&
      headers['mcp-name'] === named;
    return agrees ? { message, classification: { era: 'modern', revision: current } } : undefined;
  }
  const isOlder = typeof version !== 'object' && older.has(version) && (meta === undefined || isObject(meta));
  if (!isOlder || body.method === 'tasks/get' || !acceptsBoth(headers.accept)) return undefined;
  return { message, classification: { era: 'legacy' } };
}

/** What clients of the older generation must accept: either form of answer. */
function acceptsBoth(accept: string | undefined): boolean {
  return accept?.includes('application/json') === true && accept.includes('text/event-stream');
}

function isId(id: unknown): boolean {
  return typeof id === 'string' || Number.isSafeInteger(id);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
