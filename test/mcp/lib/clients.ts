import { Client as CurrentClient, StreamableHTTPClientTransport as CurrentHttp } from '@modelcontextprotocol/client';
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OlderHttp } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const info = { name: 'test-client', version: '1.0.0' };

/** The current SDK's client: protocol 2026-07-28. */
export async function connectCurrent(url: string, token: string): Promise<CurrentClient> {
  const client = new CurrentClient(info, { versionNegotiation: { mode: { pin: '2026-07-28' } } });
  await client.connect(
    new CurrentHttp(new URL(url), { requestInit: { headers: { authorization: `Bearer ${token}` } } }),
  );
  return client;
}

/** The older SDK's client: protocol 2025-11-25. */
export async function connectOlder(url: string, token: string): Promise<OlderClient> {
  const client = new OlderClient(info);
  const transport = new OlderHttp(new URL(url), { requestInit: { headers: { authorization: `Bearer ${token}` } } });
  // The older SDK's types are not made for exactOptionalPropertyTypes.
  await client.connect(transport as Parameters<OlderClient['connect']>[0]);
  return client;
}

const meta = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': info,
};

/** One request of protocol 2026-07-28 by hand. */
export async function ask(
  url: string,
  token: string | undefined,
  method: string,
  params: Record<string, unknown> = {},
  options: {
    readonly capabilities?: Record<string, unknown>;
    readonly meta?: Record<string, unknown>;
    readonly headers?: Record<string, string>;
    readonly signal?: AbortSignal;
  } = {},
) {
  const name = params.name ?? params.taskId ?? params.uri;
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...options.headers,
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 7,
      method,
      params: {
        ...params,
        _meta: {
          ...meta,
          'io.modelcontextprotocol/clientCapabilities': options.capabilities ?? {},
          ...options.meta,
        },
      },
    }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const text = await response.text();
  const events = text.startsWith('event:') || text.startsWith('data:');
  const messages = events
    ? text
        .split('\n')
        .filter((line) => line.startsWith('data:'))
        .map((line) => JSON.parse(line.slice(5)))
    : [text === '' ? undefined : JSON.parse(text)];
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into answers of any shape
  return { status: response.status, headers: response.headers, messages, last: messages.at(-1) as any };
}

/** What a client declares per request to be answered with MCP tasks. */
export const withTasks = { capabilities: { extensions: { 'io.modelcontextprotocol/tasks': {} } } };
