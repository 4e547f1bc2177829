import { request } from 'node:http';
import { InMemoryTransport } from '@modelcontextprotocol/server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSdkServer } from '../../src/mcp/sdk/server.ts';
import { createMcpStdio } from '../../src/mcp/sdk/stdio.ts';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import { createServiceSurface } from '../../src/mcp/service-surface.ts';
import { memoryService } from './lib/memory-service.ts';

/** What a caller must not get back raw: their client may show it to somebody. */
const hidden = 'ev\u001b[31m\u202eil\u200b\u{e0041}\u009b';
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is what must not be there
const raw = /[\u001b\u202e\u200b\u009b]|\u{e0041}/u;

let serving: HttpServing;

beforeAll(async () => {
  serving = await serveHttp(memoryService(), { version: '1' });
});
afterAll(() => serving.close());

const modern = (version = '2026-07-28') => ({
  'io.modelcontextprotocol/protocolVersion': version,
  'io.modelcontextprotocol/clientInfo': { name: hidden, version: '1' },
  'io.modelcontextprotocol/clientCapabilities': { extensions: { 'io.modelcontextprotocol/tasks': {} } },
});

/** A header's value as the protocol encodes what isn't ASCII. */
const encoded = (text: string) => `=?base64?${Buffer.from(text).toString('base64')}?=`;

/** The strings of an answer, as a client has them after it has read its JSON. */
async function ask(message: object, headers: Record<string, string> = {}): Promise<string[]> {
  const response = await fetch(`http://127.0.0.1:${serving.port}/api/mcp`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      authorization: 'Bearer operator-token',
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...message }),
  });
  const text = await response.text();
  return strings(JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? text));
}

function strings(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [key, ...strings(inner)]);
}

const requests: readonly (readonly [string, Record<string, unknown>, string])[] = [
  ['tools/call', { name: hidden, arguments: {} }, hidden],
  ['tools/call', { name: 'list_runs', arguments: { [hidden]: hidden, host: hidden } }, 'list_runs'],
  ['tools/call', { name: 'get_run', arguments: { id: hidden } }, 'get_run'],
  ['tools/call', { name: 'run_read_operation', arguments: { operation: hidden, input: {} } }, 'run_read_operation'],
  [
    'tools/call',
    { name: 'run_read_operation', arguments: { operation: 'check-health', input: { [hidden]: { a: hidden } } } },
    'run_read_operation',
  ],
  ['resources/read', { uri: `proxmox-mcp://${hidden}` }, `proxmox-mcp://${hidden}`],
  ['prompts/get', { name: hidden }, hidden],
  ['prompts/get', { name: 'morning_check', arguments: { host: hidden } }, 'morning_check'],
];

describe.each(['2026-07-28', '2025-11-25'])("nothing of a caller's comes back hidden (%s)", (protocol) => {
  it.each(requests.map(([method, params, name]) => ({ method, params, name })))('$method $params', async (one) => {
    const { method, params, name } = one;
    const answer =
      protocol === '2026-07-28'
        ? await ask(
            { method, params: { ...params, _meta: modern() } },
            { 'mcp-protocol-version': protocol, 'mcp-method': method, 'mcp-name': encoded(name) },
          )
        : await ask({ method, params }, { 'mcp-protocol-version': protocol });
    expect(answer.filter((text) => raw.test(text))).toEqual([]);
    expect(answer.join('\n')).toMatch(/\\u\{202e\}/);
  });
});

it.each([
  ['a task', { method: 'tasks/get', params: { taskId: hidden, _meta: modern() } }, 'tasks/get', encoded(hidden)],
  [
    'a name that the header contradicts',
    { method: 'tools/call', params: { name: hidden, _meta: modern() } },
    'tools/call',
    'x',
  ],
  ['a method', { method: hidden, params: { _meta: modern() } }, 'tools/list', undefined],
  ['a revision', { method: 'tools/list', params: { _meta: modern(hidden) } }, undefined, undefined],
])('nor in what is refused for %s', async (_, message, method, name) => {
  const answer = await ask(message, {
    ...(method === undefined ? {} : { 'mcp-protocol-version': '2026-07-28', 'mcp-method': method }),
    ...(name === undefined ? {} : { 'mcp-name': name }),
  });
  expect(answer.filter((text) => raw.test(text))).toEqual([]);
  expect(answer.join('\n')).toMatch(/\\u\{202e\}/);
});

it('nor in what is said of a host', async () => {
  const text = await new Promise<string>((resolve, reject) => {
    const headers = { host: 'evil\u009b31m' };
    const sent = request({ port: serving.port, host: '127.0.0.1', headers }, (response) => {
      let body = '';
      response.on('data', (chunk) => (body += chunk));
      response.on('end', () => resolve(body));
    });
    sent.on('error', reject);
    sent.end();
  });
  expect(text).toContain(String.raw`\\u{9b}31m`);
});

it.each([
  ['a tool', { method: 'tools/call', params: { name: hidden, arguments: {}, _meta: modern() } }],
  ['a revision', { method: 'tools/list', params: { _meta: modern(hidden) } }],
])('nor in what is refused for %s over stdio', async (_, message) => {
  const service = memoryService();
  const localCaller = { name: 'login', scope: 'read' } as const;
  const options = { surface: createServiceSurface(service, '1'), log: service.log, localCaller };
  const [ofServer, ofClient] = InMemoryTransport.createLinkedPair();
  const handle = createMcpStdio(() => createSdkServer(options, localCaller), service.log, ofServer);
  const answer = await new Promise((resolve, reject) => {
    ofClient.onmessage = resolve;
    ofClient.send({ jsonrpc: '2.0', id: 1, ...message }).catch(reject);
  });
  expect(strings(answer).filter((text) => raw.test(text))).toEqual([]);
  expect(strings(answer).join('\n')).toMatch(/\\u\{202e\}/);
  await handle.close();
});
