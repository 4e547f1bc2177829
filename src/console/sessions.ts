import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { ServiceError } from '../errors.ts';
import type { Requester } from '../operations/run.ts';
import type { Role } from '../people/person.ts';
import type { People, SignIn } from '../people/store.ts';
import { Secret } from '../secret.ts';
import type { Scope } from '../tokens/token.ts';

/** Somebody with a bearer token: its name and scope. They look, and do no more than the token may. */
export interface TokenViewer {
  readonly kind: 'token';
  readonly name: string;
  readonly scope: Scope;
  /** The person whose agent the token is. */
  readonly owner?: string;
}

/** Somebody who has proved to be that person. */
export interface PersonViewer {
  readonly kind: 'person';
  readonly name: string;
  readonly role: Role;
}

/** Who looks at the page. */
export type Viewer = TokenViewer | PersonViewer;

/** The viewer as runs and the ledger know who did something. */
export function requesterOf(viewer: Viewer): Requester {
  if (viewer.kind === 'person') return { kind: 'person', name: viewer.name };
  return { kind: 'mcp', name: viewer.name, ...(viewer.owner !== undefined && { for: viewer.owner }) };
}

/** Finds who a bearer token belongs to; undefined: unknown, revoked or expired. */
export interface TokenVerifier {
  verify(token: string): TokenOwner | undefined | Promise<TokenOwner | undefined>;
}
type TokenOwner = Omit<TokenViewer, 'kind'>;

/** What of the people is asked here. */
export type PeopleOfSessions = Pick<People, 'signIn' | 'find' | 'credentialsOf'>;

/** How long a sign-in counts. Milliseconds: a working day. */
export const sessionMs = 12 * 3_600_000;

/** A person's session ends sooner when they do nothing for so long. Milliseconds. */
export const idleMs = 30 * 60_000;

/** How many there are at a time; the oldest goes for one more. */
const mostSessions = 1_000;

/** A token as it is pasted, perhaps with the word before it that a header has. */
const pasted = /^\s*(?:Bearer\s+)?([A-Za-z0-9._~+/-]{1,512}=*)\s*$/i;

/** A session that counts now. */
export interface Session {
  readonly viewer: Viewer;
  /** Stands in each of its forms, and in no other's. */
  readonly formToken: string;
  /** Whether a form is one of this session's. */
  owns(formToken: string): boolean;
  /** Keeps a text for the next page. */
  say(text: string): void;
  /** What was kept, once. */
  said(): string | undefined;
}

interface Stored {
  /** Asked about at every request, so that what has changed since ends the session at once. */
  readonly who:
    | { readonly token: Secret }
    | { readonly name: string; readonly role: Role; readonly credentials: string };
  readonly formToken: string;
  readonly endsAt: number;
  usedAt: number;
  news?: string;
}

/** Browsers that have signed in, in this process's memory: after a restart they sign in again. */
export interface Sessions {
  /** A session's random id for a good token; undefined for any other. */
  beginWithToken(token: string): Promise<string | undefined>;
  /** Throws what {@link People.signIn} does. */
  beginAsPerson(given: SignIn): Promise<string>;
  /**
   * Undefined when there is none, it is over, or its token doesn't count any more; of a person, when their password, second
   * factor or role is another, or they are disabled or gone.
   *
   * @param isUse whether somebody did something, as a page that loads itself anew does not
   */
  find(id: string | undefined, isUse: boolean): Promise<Session | undefined>;
  end(id: string | undefined): void;
}

export function createSessions(
  tokens: TokenVerifier,
  people: PeopleOfSessions,
  now: () => number = Date.now,
): Sessions {
  // By the id's digest: what stands in memory is no key to a session.
  const sessions = new Map<string, Stored>();

  function begin(who: Stored['who']): string {
    for (const [key, one] of sessions) if (isOver(one)) sessions.delete(key);
    const [oldest] = sessions.keys();
    if (sessions.size >= mostSessions && oldest !== undefined) sessions.delete(oldest);
    const [id, formToken] = [random(), random()];
    sessions.set(digest(id), { who, formToken, endsAt: now() + sessionMs, usedAt: now() });
    return id;
  }

  function isOver({ who, endsAt, usedAt }: Stored): boolean {
    return endsAt <= now() || ('name' in who && usedAt + idleMs <= now());
  }

  async function viewerOf({ who }: Stored): Promise<Viewer | undefined> {
    if ('token' in who) {
      const owner = await tokens.verify(who.token.reveal());
      return owner && { kind: 'token', ...owner };
    }
    const { name, role, credentials } = who;
    try {
      if (people.credentialsOf(name) !== credentials || people.find(name)?.role !== role) return undefined;
    } catch (error) {
      // Where nobody can tell who somebody is, nobody is signed in; the next sign-in says so.
      if (error instanceof ServiceError) return undefined;
      throw error;
    }
    return { kind: 'person', name, role };
  }

  return {
    async beginWithToken(given) {
      const token = pasted.exec(given)?.[1];
      if (token === undefined || (await tokens.verify(token)) === undefined) return undefined;
      return begin({ token: new Secret(token) });
    },
    async beginAsPerson(given) {
      const { name, role } = await people.signIn(given);
      // Of who was disabled meanwhile there is none, which the first look at the session finds out.
      return begin({ name, role, credentials: people.credentialsOf(name) ?? '' });
    },
    async find(id, isUse) {
      const key = id === undefined ? '' : digest(id);
      const stored = sessions.get(key);
      if (stored === undefined) return undefined;
      const viewer = isOver(stored) ? undefined : await viewerOf(stored);
      if (viewer === undefined) {
        sessions.delete(key);
        return undefined;
      }
      if (isUse) stored.usedAt = now();
      return {
        viewer,
        formToken: stored.formToken,
        owns: (given) => timingSafeEqual(bytes(given), bytes(stored.formToken)),
        say(text) {
          stored.news = text;
        },
        said() {
          const { news } = stored;
          delete stored.news;
          return news;
        },
      };
    },
    end(id) {
      if (id !== undefined) sessions.delete(digest(id));
    },
  };
}

function random(): string {
  return randomBytes(32).toString('base64url');
}

function digest(id: string): string {
  return bytes(id).toString('base64');
}

function bytes(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
