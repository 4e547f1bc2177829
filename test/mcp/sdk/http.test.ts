import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Server } from '@modelcontextprotocol/server';
import pino from 'pino';
import { expect, it } from 'vitest';
import { progress } from '../../../src/mcp/sdk/call-context.ts';
import { createMcpHttp } from '../../../src/mcp/sdk/http.ts';

/** A server whose only tool says once how far it is, and then nothing for a while. */
function silentServer(): Server {
  const server = new Server({ name: 'silent', version: '1' }, { capabilities: { tools: {} } });
  server.setRequestHandler('tools/call', async (_request, context) => {
    progress(context).progress?.(0, 1, 'begun');
    await sleep(300);
    return { content: [{ type: 'text', text: 'the end' }] };
  });
  return server;
}

it.each(['2026-07-28', '2025-11-25'])('a stream that says nothing is kept alive by comments (%s)', async (protocol) => {
  const mcp = createMcpHttp({ log: pino({ level: 'silent' }), makeServer: silentServer, keepAliveMs: 50 });
  const http = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk) => (text += chunk));
    const caller = { name: 'reader', scope: 'read' } as const;
    request.on('end', () => void mcp.handle(request, response, caller, JSON.parse(text)));
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const modern = protocol === '2026-07-28';
  const response = await fetch(`http://127.0.0.1:${(http.address() as AddressInfo).port}/`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': protocol,
      ...(modern ? { 'mcp-method': 'tools/call', 'mcp-name': 'wait' } : {}),
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: {
        name: 'wait',
        arguments: {},
        _meta: {
          progressToken: 1,
          ...(modern
            ? {
                'io.modelcontextprotocol/protocolVersion': protocol,
                'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
                'io.modelcontextprotocol/clientCapabilities': {},
              }
            : {}),
        },
      },
    }),
  });
  const stream = await response.text();
  expect(response.headers.get('content-type')).toBe('text/event-stream');
  expect(stream.match(/^: keepalive$/gm)?.length ?? 0).toBeGreaterThanOrEqual(2);
  expect(stream).toContain('the end');
  http.close();
  http.closeAllConnections();
  await mcp.close();
});
