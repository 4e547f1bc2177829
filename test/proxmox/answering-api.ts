import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { makeCertificate } from '../../lab/proxmox/certificate.ts';
import type { HostConfig } from '../../src/config.ts';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import { Secret } from '../../src/secret.ts';

/** What a path is answered with: its data, or a refusal. */
export type Answers = (
  path: string,
  query: URLSearchParams,
) => { readonly data: unknown; readonly total?: number } | { readonly status: number; readonly reason: string };

export interface AnsweringApi {
  /** A configured host that is reached there. */
  readonly host: HostConfig;
  /** Paths without `/api2/json`, with their queries, in the order in which they were asked for. */
  readonly asked: string[];
  close(): Promise<void>;
}

/** An API that answers what a test says, for what the simulator doesn't say of itself: hostile texts, rare hardware. */
export async function serveAnswers(name: string, answers: Answers): Promise<AnsweringApi> {
  const certificate = await makeCertificate(name, ['127.0.0.1']);
  const asked: string[] = [];
  const server = createServer({ key: certificate.key, cert: certificate.certificate }, (request, response) => {
    const { pathname, searchParams, search } = new URL(request.url ?? '/', 'https://127.0.0.1');
    const path = decodeURIComponent(pathname).replace(/^\/api2\/json/, '');
    asked.push(`${path}${search}`);
    const answer = answers(path, searchParams);
    const head = { 'content-type': 'application/json' };
    if ('status' in answer)
      response
        .writeHead(answer.status, answer.reason, head)
        .end(JSON.stringify({ data: null, message: answer.reason }));
    else response.writeHead(200, 'OK', head).end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    host: {
      name,
      api: {
        host: '127.0.0.1',
        port,
        user: 'mcp@pve',
        tokenName: 'read',
        tokenValue: new Secret('5b6f2f0c-6f29-4a1c-9d0f-2b1b4a6f3e11'),
        trust: { kind: 'fingerprint', sha256: certificate.fingerprint },
      },
      layout: defaultLayout,
      timeZone: 'UTC',
    },
    asked,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
