import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Console } from '../../console/console.ts';
import type { GateRequest } from '../../console/gate.ts';
import type { Viewer } from '../../console/sessions.ts';
import type { Metrics } from '../metrics.ts';
import type { Access } from './access.ts';
import { answer } from './answer.ts';
import { readBody } from './body.ts';
import type { FindOrigin, Origin } from './forwarded.ts';
import type { Limiter } from './limits.ts';

/** Where a proxy asks whether a request to what stands behind it comes from an administrator (`forward_auth`, `auth_request`). */
export const gatePath = '/auth/administrator';

interface ConsoleEdge {
  readonly access: Access;
  readonly limiter: Limiter;
  readonly originOf: FindOrigin;
  readonly publicUrl: string;
  readonly metrics: Pick<Metrics, 'signIn'>;
}

/** Serves the console's pages over this server's HTTP, under the same limits as everything else. */
export function serveConsole(pages: Console, { access, limiter, originOf, publicUrl, metrics }: ConsoleEdge) {
  return async (request: IncomingMessage, response: ServerResponse, path: string): Promise<void> => {
    const origin = originOf(request);
    const common = {
      cookie: request.headers.cookie,
      isSecure: isSecure(origin, publicUrl),
      address: origin.address,
    };
    const countRequest = (viewer: Viewer | undefined) => {
      if (viewer === undefined) return limiter.address(request);
      // No token has such a name.
      return limiter.token(viewer.kind === 'person' ? `person:${viewer.name}` : viewer.name);
    };
    if (path === gatePath) {
      const asked = gateRequestOf(request, origin);
      const { status, type, body, headers } = await pages.admit({ ...common, ...asked, count: countRequest });
      if (status !== 204) return answer(response, status, type, body, headers);
      return void response.writeHead(204, { 'cache-control': 'no-store' }).end();
    }
    const { status, type, body, headers } = await pages.answer({
      method: request.method ?? 'GET',
      path,
      query: queryOf(request),
      ...common,
      fromOwnPage: access.isOwnPage(request),
      readForm: (largest) => readForm(request, largest),
      count: {
        request: countRequest,
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

/** How the browser came, where a proxy that is named says it; else as `publicUrl` has it. */
function isSecure({ scheme }: Origin, publicUrl: string): boolean {
  return scheme === undefined ? publicUrl.startsWith('https:') : scheme === 'https';
}

/** What a proxy asks about, by the headers that it adds to those of the request itself. */
function gateRequestOf({ headers }: IncomingMessage, { byProxy, scheme, host }: Origin) {
  const [method, uri] = [one(headers['x-forwarded-method']), one(headers['x-forwarded-uri'])];
  const { 'sec-fetch-site': site, 'sec-fetch-mode': mode, 'sec-fetch-dest': destination, origin, accept } = headers;
  const onlyLooks = method === 'GET' || method === 'HEAD';
  const isPage =
    onlyLooks &&
    headers.upgrade === undefined &&
    (mode === undefined ? /\btext\/html\b/.test(accept ?? '') : mode === 'navigate' && destination === 'document');
  const isOwn =
    site === undefined
      ? origin === undefined
        ? onlyLooks
        : origin === `${scheme}://${host}`
      : site === 'same-origin' || (site === 'none' && onlyLooks);
  return { byProxy, method, uri, isPage, isOwn } satisfies Partial<GateRequest>;
}

function one(header: string | readonly string[] | undefined): string | undefined {
  return typeof header === 'string' && header !== '' ? header : undefined;
}

async function readForm(request: IncomingMessage, largest: number): Promise<URLSearchParams | undefined> {
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(request.headers['content-type'] ?? '')) return undefined;
  const body = await readBody(request, largest);
  return body.kind === 'text' ? new URLSearchParams(body.text) : undefined;
}

function queryOf({ url = '' }: IncomingMessage): URLSearchParams {
  const at = url.indexOf('?');
  return new URLSearchParams(at === -1 ? '' : url.slice(at + 1));
}
