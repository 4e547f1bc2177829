import type { Config } from '../config.ts';
import type { Finding } from '../operations/finding.ts';
import { sessionCookie } from './cookie.ts';
import type { Documentation } from './documentation.ts';
import { type Asset, type PageOptions, renderPage, script, styles } from './render.ts';
import { createSessions, type TokenVerifier, type Viewer } from './sessions.ts';
import { createStateReader, type StateDependencies } from './state.ts';
import { viewOf } from './state-view.ts';

/** A request for one of the console's pages, as far as they need it. */
export interface ConsoleRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** The header `Cookie`. */
  readonly cookie: string | undefined;
  /** Whether a page of this very server sends it: nothing else may change anything. */
  readonly fromOwnPage: boolean;
  /** The fields of a form; undefined where it is none, or too large. */
  readForm(): Promise<URLSearchParams | undefined>;
  /** Counts a request, and one whose token is wrong; seconds to wait where there were too many. */
  readonly count: {
    request(viewer: Viewer | undefined): Promise<number | undefined>;
    failure(): Promise<number | undefined>;
  };
}

export interface ConsoleAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The administrators' page, behind no protocol: whoever serves HTTP hands requests to it. */
export interface Console {
  /** Whether a path is one of its own. */
  serves(path: string): boolean;
  answer(request: ConsoleRequest): Promise<ConsoleAnswer>;
}

export interface ConsoleDependencies extends StateDependencies {
  readonly config: Config;
  readonly tokens: TokenVerifier;
  /** What keeps the service from working now; shown to everybody, so that no host may be named in it. */
  readonly health: () => Promise<{ readonly findings: readonly Finding[] }>;
  readonly documentation: Documentation;
  readonly version: string;
}

/** How often the state is loaded anew. Seconds. */
const refreshSeconds = 60;

const html = 'text/html; charset=utf-8';

/** Nothing is loaded but this server's own, nothing stands in line, nothing frames it, forms come back here. */
const pageHeaders = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  // Forms say where they come from; other sites are told nothing.
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
} as const;

export function createConsole(dependencies: ConsoleDependencies): Console {
  const { config, tokens, health, documentation, version } = dependencies;
  const sessions = createSessions(tokens);
  const cookie = sessionCookie(config.mcp.publicUrl);
  const readState = createStateReader(dependencies);
  const assets: ReadonlyMap<string, Asset> = new Map([styles, script].map((one) => [one.path, one]));

  const gets: Readonly<Record<string, (viewer: Viewer | undefined) => Promise<ConsoleAnswer> | ConsoleAnswer>> = {
    '/': (viewer) => (viewer === undefined ? signInPage(200) : statePage(viewer)),
    '/tools': (viewer) => page('tools', documentation, { title: 'Tools', viewer, version }),
    '/docs': () => redirect('/tools'),
    '/sign-in': () => redirect('/'),
    '/sign-out': () => redirect('/'),
  };
  const posts: Readonly<Record<string, (request: ConsoleRequest) => Promise<ConsoleAnswer>>> = {
    '/sign-in': signIn,
    '/sign-out': async (request) => {
      sessions.end(cookie.read(request.cookie));
      return redirect('/', { 'set-cookie': cookie.clear });
    },
  };

  async function statePage(viewer: Viewer): Promise<ConsoleAnswer> {
    const [state, { findings }] = await Promise.all([readState(), health()]);
    const data = { view: viewOf(state, config), health: { findings } };
    return page('state', data, { title: 'State', viewer, version, refreshSeconds });
  }

  async function signInPage(status: number, problem?: string): Promise<ConsoleAnswer> {
    const { findings } = await health();
    return page('signIn', { problem, health: { findings } }, { title: 'Sign in', version }, status);
  }

  async function signIn(request: ConsoleRequest): Promise<ConsoleAnswer> {
    const form = await request.readForm();
    const id = await sessions.begin(form?.get('token') ?? '');
    if (id !== undefined) return redirect('/', { 'set-cookie': cookie.set(id) });
    const wait = await request.count.failure();
    if (wait !== undefined) return tooMany(wait);
    return signInPage(401, 'This token is unknown, revoked or expired.');
  }

  return {
    serves: (path) => Object.hasOwn(gets, path) || assets.has(path),
    async answer(request) {
      const { method, path } = request;
      const viewer = await sessions.viewer(cookie.read(request.cookie));
      const post = Object.hasOwn(posts, path) ? posts[path] : undefined;
      // A sign-in is judged by its token first: who has a good one never waits for what others send.
      if (!(method === 'POST' && path === '/sign-in')) {
        const wait = await request.count.request(viewer);
        if (wait !== undefined) return tooMany(wait);
      }
      if (method === 'POST' && post !== undefined) {
        return request.fromOwnPage ? post(request) : plain(403, 'This form was not sent by a page of this server.');
      }
      if (method !== 'GET' && method !== 'HEAD') {
        return plain(405, 'Not that method.', { allow: post === undefined ? 'GET, HEAD' : 'GET, HEAD, POST' });
      }
      const asset = assets.get(path);
      if (asset !== undefined) return ofAsset(asset);
      return (await gets[path]?.(viewer)) ?? plain(404, 'There is nothing here.');
    },
  };
}

function page(body: Parameters<typeof renderPage>[0], data: object, options: PageOptions, status = 200): ConsoleAnswer {
  return { status, type: html, body: renderPage(body, data, options), headers: pageHeaders };
}

function ofAsset({ type, content }: Asset): ConsoleAnswer {
  return { status: 200, type, body: content, headers: { 'cache-control': 'public, max-age=31536000, immutable' } };
}

function plain(status: number, text: string, headers: Readonly<Record<string, string>> = {}): ConsoleAnswer {
  return { status, type: 'text/plain; charset=utf-8', body: `${text}\n`, headers };
}

function redirect(location: string, headers: Readonly<Record<string, string>> = {}): ConsoleAnswer {
  return plain(303, `See ${location}`, { location, ...headers });
}

function tooMany(seconds: number): ConsoleAnswer {
  return plain(429, `Too many requests; try again in ${seconds} s.`, { 'retry-after': String(seconds) });
}
