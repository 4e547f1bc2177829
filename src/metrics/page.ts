import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import type { Registry } from 'prom-client';

/**
 * Serves a worker's metrics on one page: ours, then those of Temporal's SDK. The SDK's core serves its own on a port of its
 * own, outside of Node.js, and would go on to when this process hangs; so it listens on loopback only, and what Prometheus scrapes,
 * `up` and the container's health are this process's own answer.
 *
 * @param sdkPort where the SDK serves its page on 127.0.0.1
 */
export async function serveMetrics(options: {
  readonly host: string;
  readonly port: number;
  readonly registry: Registry;
  readonly sdkPort: number;
}): Promise<{ readonly close: () => Promise<void> }> {
  const { registry } = options;
  const server = createServer(async (request, response) => {
    const path = request.url?.split('?')[0];
    if (request.method !== 'GET' || (path !== '/metrics' && path !== '/livez')) {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('There are /metrics and /livez.\n');
      return;
    }
    try {
      const text = path === '/livez' ? 'alive\n' : await page();
      response.writeHead(200, { 'content-type': path === '/livez' ? 'text/plain' : registry.contentType }).end(text);
    } catch (error) {
      response.writeHead(500, { 'content-type': 'text/plain' }).end(`${String(error)}\n`);
    }
  });
  server.listen({ host: options.host, port: options.port });
  await once(server, 'listening');
  return {
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };

  async function page(): Promise<string> {
    const answer = await fetch(`http://127.0.0.1:${options.sdkPort}/metrics`, { signal: AbortSignal.timeout(5_000) });
    if (!answer.ok) throw new Error(`the metrics of Temporal's SDK: ${answer.status}`);
    return `${await registry.metrics()}${await answer.text()}`;
  }
}

/** A port of loopback that is free now. The SDK takes a number, and doesn't say which one it got for 0. */
export async function freeLoopbackPort(): Promise<number> {
  const server = createTcpServer().listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
