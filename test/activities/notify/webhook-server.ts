import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Secret } from '../../../src/secret.ts';

export interface TestWebhook {
  /** Its path is what a real one keeps secret. */
  readonly url: Secret;
  readonly posts: readonly { readonly method: string; readonly path: string; readonly body: unknown }[];
  stop(): Promise<void>;
}

export const secretPath = '/services/T000/canary-hook-91c4';

/** A webhook on loopback that keeps what is posted to it. */
export async function startWebhook(
  answer: (response: ServerResponse, request: IncomingMessage) => void = (response) => response.end('ok'),
): Promise<TestWebhook> {
  const posts: TestWebhook['posts'][number][] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString('utf8');
    posts.push({ method: request.method ?? '', path: request.url ?? '', body: text === '' ? '' : JSON.parse(text) });
    answer(response, request);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const { port } = server.address() as AddressInfo;
  return {
    url: new Secret(`http://127.0.0.1:${port}${secretPath}`),
    posts,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
