import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { explain, ServiceError } from '../errors.ts';
import type { Finding } from '../operations/finding.ts';
import type { Answer } from '../operations/run.ts';
import { cleanText } from '../reports/clean.ts';
import type { RunSummary } from '../runs/runs.ts';
import { sessionCookie } from './cookie.ts';
import type { Documentation } from './documentation.ts';
import { type Asset, type PageOptions, renderPage, script, styles } from './render.ts';
import { createSessions, type TokenVerifier, type Viewer } from './sessions.ts';
import { createStateReader, freshMs, type StateDependencies } from './state.ts';
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
  readonly decisions: Decisions;
}

/** Who may answer what paused runs ask. An approval is none of these: a token can't give it. */
export interface Decisions {
  may(viewer: Viewer, run: RunSummary): boolean;
  /** Throws `forbidden`, and `conflict` where the run doesn't ask that (any more). */
  decide(viewer: Viewer, run: string, answer: Answer): Promise<unknown>;
}

/** How often the state is loaded anew. Seconds. */
const refreshSeconds = 60;

/** An id of a run has the most characters, and a reason. */
const longestField = 500;

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
  const { config, tokens, health, documentation, version, decisions } = dependencies;
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
    '/decide': () => redirect('/'),
  };
  const posts: Readonly<
    Record<string, (request: ConsoleRequest, viewer: Viewer | undefined) => Promise<ConsoleAnswer>>
  > = {
    '/sign-in': signIn,
    '/sign-out': async (request) => {
      sessions.end(cookie.read(request.cookie));
      return redirect('/', { 'set-cookie': cookie.clear });
    },
    '/decide': decide,
  };

  async function statePage(viewer: Viewer, problem?: string, status = 200): Promise<ConsoleAnswer> {
    const [state, { findings }] = await Promise.all([readState(), health()]);
    const mayDecide = (run: RunSummary) => decisions.may(viewer, run);
    const view = viewOf(state, { hosts: config.hosts, mayDecide });
    const asks = 'value' in view.waiting && view.waiting.value.some((run) => run.mayDecide);
    const options = { title: 'State', viewer, version };
    // Not under the hands of who writes down why.
    return page(
      'state',
      { view, problem, health: { findings } },
      asks ? options : { ...options, refreshSeconds },
      status,
    );
  }

  /** Refused and outdated answers are said on the page, where what it asks now stands. */
  async function decide(request: ConsoleRequest, viewer: Viewer | undefined): Promise<ConsoleAnswer> {
    if (viewer === undefined) return signInPage(401, 'The session is over; nothing was answered.');
    const form = await request.readForm();
    const field = (name: string) => form?.get(name)?.trim().slice(0, longestField) ?? '';
    const [run, question, choice, reason] = [field('run'), field('question'), field('choice'), field('reason')];
    try {
      await decisions.decide(viewer, run, { question, choice, ...(reason !== '' && { reason }) });
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      return statePage(viewer, cleanText(explain(error)), error.code === 'forbidden' ? 403 : 409);
    }
    // What is shown is read anew by then.
    await sleep(freshMs);
    return redirect('/');
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
        return request.fromOwnPage
          ? post(request, viewer)
          : plain(403, 'This form was not sent by a page of this server.');
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
