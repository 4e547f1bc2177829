import { createHash, randomBytes } from 'node:crypto';
import { Secret } from '../secret.ts';
import type { Scope } from '../tokens/token.ts';

/** Who looks at the page: a token's name and scope. */
export interface Viewer {
  readonly name: string;
  readonly scope: Scope;
}

/** Finds who a bearer token belongs to; undefined: unknown, revoked or expired. */
export interface TokenVerifier {
  verify(token: string): Viewer | undefined | Promise<Viewer | undefined>;
}

/** How long a sign-in counts. Milliseconds: a working day. */
export const sessionMs = 12 * 3_600_000;

/** How many there are at a time; the oldest goes for one more. */
const mostSessions = 1_000;

/** A token as it is pasted, perhaps with the word before it that a header has. */
const pasted = /^\s*(?:Bearer\s+)?([A-Za-z0-9._~+/-]{1,512}=*)\s*$/i;

interface Session {
  /** Asked about at every request, so that a revoked token ends its sessions at once. */
  readonly token: Secret;
  readonly endsAt: number;
}

/** Browsers that have shown a token, in this process's memory: after a restart they show it again. */
export interface Sessions {
  /** A session's random id for a good token; undefined for any other. */
  begin(token: string): Promise<string | undefined>;
  /** Whose session this is; undefined when there is none, it is over, or its token doesn't count any more. */
  viewer(id: string | undefined): Promise<Viewer | undefined>;
  end(id: string | undefined): void;
}

export function createSessions(tokens: TokenVerifier, now: () => number = Date.now): Sessions {
  // By the id's digest: what stands in memory is no key to a session.
  const sessions = new Map<string, Session>();

  return {
    async begin(given) {
      const token = pasted.exec(given)?.[1];
      if (token === undefined || (await tokens.verify(token)) === undefined) return undefined;
      for (const [key, { endsAt }] of sessions) if (endsAt <= now()) sessions.delete(key);
      const [oldest] = sessions.keys();
      if (sessions.size >= mostSessions && oldest !== undefined) sessions.delete(oldest);
      const id = randomBytes(32).toString('base64url');
      sessions.set(digest(id), { token: new Secret(token), endsAt: now() + sessionMs });
      return id;
    },
    async viewer(id) {
      const key = id === undefined ? '' : digest(id);
      const session = sessions.get(key);
      if (session === undefined) return undefined;
      const viewer = session.endsAt > now() ? await tokens.verify(session.token.reveal()) : undefined;
      if (viewer === undefined) sessions.delete(key);
      return viewer;
    },
    end(id) {
      if (id !== undefined) sessions.delete(digest(id));
    },
  };
}

function digest(id: string): string {
  return createHash('sha256').update(id).digest('base64');
}
