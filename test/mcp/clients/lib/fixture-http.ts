import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import pino from 'pino';
import { createLimiter, defaultLimits } from '../../../../src/mcp/http/limits.ts';
import { createMcpRequestListener } from '../../../../src/mcp/http-server.ts';
import { createMcpHttp } from '../../../../src/mcp/sdk/http.ts';
import { createToolbox } from '../../../../src/mcp/toolbox.ts';
import { memoryService } from '../../lib/memory-service.ts';
import { fixtureServer } from './fixture-server.ts';

const noPage = () => Promise.reject(new Error('no page is served'));

/**
 * The fixture behind the product's own HTTP server. The suite can't send a token, so that each request is given one on
 * its way in; everything from there on is what production does.
 */
export async function serveFixture(): Promise<{ readonly url: string; close(): Promise<void> }> {
  const log = pino({ level: 'silent' });
  const dependencies = memoryService();
  const mcp = createMcpHttp({ log, makeServer: fixtureServer });
  const answer = createMcpRequestListener({
    dependencies,
    mcp,
    tools: createToolbox([], dependencies),
    // The suite asks for nothing beside MCP.
    console: { routes: [], routeOf: () => undefined, answer: noPage, admit: noPage },
    health: async () => ({ status: 'healthy', findings: [] }),
    limiter: createLimiter(defaultLimits),
    version: '1.0.0',
  });
  const outer = createServer((request, response) => {
    request.headers.authorization = 'Bearer admin-token';
    answer(request, response);
  });
  outer.listen({ host: '127.0.0.1', port: 0 });
  await once(outer, 'listening');
  return {
    url: `http://127.0.0.1:${(outer.address() as AddressInfo).port}/api/mcp`,
    async close() {
      outer.closeAllConnections();
      outer.close();
      await once(outer, 'close');
      await mcp.close();
    },
  };
}
