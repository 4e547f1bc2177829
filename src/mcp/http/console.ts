import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Console } from '../../console/console.ts';
import type { Metrics } from '../metrics.ts';
import type { Access } from './access.ts';
import { answer } from './answer.ts';
import { readBody } from './body.ts';
import type { Limiter } from './limits.ts';

/** Serves the console's pages over this server's HTTP, under the same limits as everything else. */
export function serveConsole(pages: Console, access: Access, limiter: Limiter, metrics: Pick<Metrics, 'signIn'>) {
  return async (request: IncomingMessage, response: ServerResponse, path: string): Promise<void> => {
    const { status, type, body, headers } = await pages.answer({
      method: request.method ?? 'GET',
      path,
      query: queryOf(request),
      cookie: request.headers.cookie,
      fromOwnPage: access.isOwnPage(request),
      readForm: (largest) => readForm(request, largest),
      count: {
        request: (viewer) => {
          if (viewer === undefined) return limiter.address(request);
          // No token has such a name.
          return limiter.token(viewer.kind === 'person' ? `person:${viewer.name}` : viewer.name);
        },
        failure: async () => (await limiter.address(request)) ?? (await limiter.failed(request)),
      },
    });
    if (path === '/sign-in' && request.method === 'POST') metrics.signIn(signInOutcomes[status] ?? 'failed');
    // What is left of a body that nobody has read would be taken for the next request.
    answer(response, status, type, body, request.complete ? headers : { ...headers, connection: 'close' });
  };
}

/** As the page answers a form that signs in. */
const signInOutcomes: Readonly<Record<number, Parameters<Metrics['signIn']>[0]>> = {
  303: 'ok',
  401: 'refused',
  403: 'refused',
  429: 'rate-limited',
};

async function readForm(request: IncomingMessage, largest: number): Promise<URLSearchParams | undefined> {
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(request.headers['content-type'] ?? '')) return undefined;
  const body = await readBody(request, largest);
  return body.kind === 'text' ? new URLSearchParams(body.text) : undefined;
}

function queryOf({ url = '' }: IncomingMessage): URLSearchParams {
  const at = url.indexOf('?');
  return new URLSearchParams(at === -1 ? '' : url.slice(at + 1));
}
