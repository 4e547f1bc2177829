import { createHash } from 'node:crypto';
import { type ConsoleAnswer, plain, redirect, tooMany } from './answers.ts';
import { sessionCookie } from './cookie.ts';
import type { Sessions, Viewer } from './sessions.ts';

// What stands behind the console's sign-in at an address of its own, as the Temporal UI: its proxy asks here about each request
// (Caddy's forward_auth), and sends the paths of the sign-in itself to this server.

/** A request to another program, as its proxy describes it. */
export interface GateRequest {
  readonly cookie: string | undefined;
  /** Whether the browser comes by https. */
  readonly isSecure: boolean;
  /** Whether a proxy that is named asks: what anybody else says of a request counts for nothing. */
  readonly byProxy: boolean;
  readonly method: string | undefined;
  /** Path and query. */
  readonly uri: string | undefined;
  /** A browser loads a page of it, so that it can be sent to the sign-in. */
  readonly isPage: boolean;
  /** A page of that very program sends it, as far as the browser says. */
  readonly isOwn: boolean;
  /** Counts it; seconds to wait where there were too many. */
  count(viewer: Viewer | undefined): Promise<number | undefined>;
}

export const signInPath = '/sign-in';

/** A page asks the same again and again by itself: who does nothing else for so long isn't there. Milliseconds. */
const repeatedMs = 2 * 60_000;
/** How many requests are remembered. */
const mostAsked = 5_000;

/** Never a token: it is a program's. */
export function mayPass(viewer: Viewer): boolean {
  return viewer.kind === 'person' && viewer.role === 'administrator';
}

export function createGate(sessions: Sessions, now: () => number = Date.now) {
  const asked = new Map<string, number>();

  /** Whether the session asked just that a moment ago, as a page does that looks for news. */
  function isRepeated(id: string, uri: string): boolean {
    const key = createHash('sha256').update(`${id}\n${uri}`).digest('base64');
    const before = asked.get(key);
    asked.delete(key);
    asked.set(key, now());
    // In the order of their last time.
    for (const [oldest, at] of asked) {
      if (asked.size <= mostAsked && at + repeatedMs > now()) break;
      asked.delete(oldest);
    }
    return before !== undefined && before + repeatedMs > now();
  }

  return async (request: GateRequest): Promise<ConsoleAnswer> => {
    const { byProxy, method, uri = '/', isPage, isOwn } = request;
    if (!byProxy || method === undefined) {
      const wait = await request.count(undefined);
      if (wait !== undefined) return tooMany(wait);
      return plain(403, 'Only a proxy that TRUSTED_PROXIES names is answered here, about a request that it describes.');
    }
    const id = sessionCookie(request.isSecure).read(request.cookie);
    const session = await sessions.find(id, isPage || (id !== undefined && !isRepeated(id, `${method} ${uri}`)));
    const wait = await request.count(session?.viewer);
    if (wait !== undefined) return tooMany(wait);
    if (session !== undefined && mayPass(session.viewer)) {
      if (isPage || isOwn) return plain(204, '');
      return plain(403, 'This was sent by a page of another address than its own.');
    }
    if (isPage) return redirect(`${signInPath}?administrator&to=${encodeURIComponent(ownPath(uri))}`);
    if (session === undefined) return plain(401, 'Nobody has signed in, or the session is over: load the page anew.');
    return plain(403, `${session.viewer.name} is no administrator.`);
  };
}

/** The longest address that a sign-in leads back to. */
const longestPath = 2_000;

/** Where a sign-in leads: a page of this server, and nothing else. */
export function ownPath(to: string): string {
  return to.length <= longestPath && /^\/(?!\/)[\w.~%,@:/-]*(\?[\w.~%,@:/?=&+*-]*)?$/.test(to) ? to : '/';
}
