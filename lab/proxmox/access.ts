import { ApiFailure, forbidden } from './answer.ts';
import { administrator, noAccess } from './roles.ts';
import type { SimulatedUser } from './state/access.ts';
import { type Caller, type SimulatorState, unixTime } from './state.ts';
import { isCsrfToken, ticketUser } from './tickets.ts';

/** What a request says of who sends it. */
export interface Credentials {
  readonly method: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** Nobody signed in: only for what the whole world may call. */
export const nobody: Caller = { id: '', user: '' };

/**
 * Who a request comes from: the ticket in the cookie if there is one, else the API token. Every refusal is a 401 whose
 * text is only in the reason phrase: `No ticket` when nothing came that looks like one, `Authentication failed!`
 * for everything that isn't good, without saying why. `isOpen`: the call is for the whole world, so that a ticket isn't
 * looked at and none is needed.
 */
export function authenticate(state: SimulatorState, { method, headers }: Credentials, isOpen = false): Caller {
  const cookie = /(?:^|;\s*)PVEAuthCookie=([^;]+)/.exec(text(headers.cookie))?.[1];
  if (cookie !== undefined && !isOpen) return byTicket(state, decodeURIComponent(cookie), method, headers);
  const given = /^PVEAPIToken[= ](.+)$/.exec(text(headers.authorization))?.[1];
  if (given === undefined && isOpen) return nobody;
  if (given === undefined) throw refused('No ticket');
  // The realm follows the last @: the name before it may be a mail address.
  const [, user, name, secret] = /^([^\s:/]+@[A-Za-z][\w.-]*)!([A-Za-z][\w.-]*)=([0-9a-f-]{36})$/.exec(given) ?? [];
  const token = state.tokens.get(`${user}!${name}`);
  if (!token || token.secret !== secret || !isCurrent(token.expire) || !mayEnter(state, token.user)) {
    throw refused('Authentication failed!');
  }
  return { id: `${token.user}!${token.name}`, user: token.user, token: token.name };
}

function byTicket(state: SimulatorState, ticket: string, method: string, headers: Credentials['headers']): Caller {
  const user = ticketUser(state, ticket);
  if (user === undefined || !mayEnter(state, user)) throw refused('Authentication failed!');
  if (method !== 'GET' && !isCsrfToken(state, text(headers.csrfpreventiontoken), user)) {
    throw refused('Permission denied - invalid csrf token');
  }
  return { id: user, user };
}

/** The user is there, is enabled and hasn't expired. */
export function mayEnter(state: SimulatorState, userid: string): boolean {
  const user = state.users.get(userid);
  return user?.enabled === true && isCurrent(user.expire);
}

/** 500 as Proxmox has it for a user that isn't there. */
export function userExists(state: SimulatorState, userid: string): SimulatedUser {
  const user = state.users.get(userid);
  if (!user) throw new ApiFailure(500, `no such user ('${userid}')`);
  return user;
}

/** Rights go with who had them. */
export function removeEntries(state: SimulatorState, isTheirs: (subject: string) => boolean): void {
  const left = state.acl.filter(({ subject }) => !isTheirs(subject));
  state.acl.splice(0, state.acl.length, ...left);
}

function isCurrent(expire: number): boolean {
  return expire === 0 || expire > unixTime();
}

function text(header: string | string[] | undefined): string {
  return Array.isArray(header) ? header.join('; ') : (header ?? '');
}

function refused(reason: string): ApiFailure {
  return new ApiFailure(401, reason, { body: 'none' });
}

/** Privileges of one caller: name → whether they reach below the path they are granted on. */
export interface Permissions {
  on(path: string): ReadonlyMap<string, boolean>;
  has(path: string, ...anyOf: readonly string[]): boolean;
  /** Throws 403 with the path and the alternatives. */
  require(path: string, ...anyOf: readonly string[]): void;
}

/**
 * Effective rights: the entry nearest to the path wins, `NoAccess` beats its siblings, root@pam may everything, and a
 * token with privilege separation has what both it and its user have.
 */
export function permissionsOf(state: SimulatorState, subject: string): Permissions {
  const [user = ''] = subject.split('!', 1);
  const token = state.tokens.get(subject);
  const known: KnownRights = new Map();
  function on(path: string): ReadonlyMap<string, boolean> {
    const users = granted(state, user, path, known);
    if (!token?.separated) return users;
    const own = [...granted(state, subject, path, known)].filter(([name]) => users.has(name));
    return new Map(own.map(([name, propagate]) => [name, propagate && users.get(name) === true]));
  }
  function has(path: string, ...anyOf: readonly string[]): boolean {
    const privileges = on(path);
    return anyOf.some((name) => privileges.has(name));
  }
  return {
    on,
    has,
    require(path, ...anyOf) {
      if (!has(path, ...anyOf)) throw forbidden(path, anyOf);
    },
  };
}

/** What entries of the ACL give, once it was found out: a list asks for the same of a thousand guests. */
type KnownRights = Map<string, ReadonlyMap<string, boolean>>;

function granted(
  state: SimulatorState,
  subject: string,
  path: string,
  known: KnownRights,
): ReadonlyMap<string, boolean> {
  if (subject === 'root@pam') return rightsOf(state, [{ role: administrator, propagate: true }], known);
  const direct = entriesFor(state, subject, path);
  if (direct.some((entry) => entry.role === noAccess)) return new Map();
  // What is given on a pool holds for what is in it.
  const pools = poolsOf(state, path).map((pool) => entriesFor(state, subject, `/pool/${pool}`));
  const inPools = pools.filter((entries) => entries.every(({ role }) => role !== noAccess)).flat();
  return rightsOf(state, [...inPools, ...direct], known);
}

function rightsOf(
  state: SimulatorState,
  entries: readonly { readonly role: string; readonly propagate: boolean }[],
  known: KnownRights,
): ReadonlyMap<string, boolean> {
  const key = entries.map(({ role, propagate }) => `${role} ${propagate}`).join(',');
  const rights =
    known.get(key) ??
    new Map(entries.flatMap(({ role, propagate }) => (state.roles.get(role) ?? []).map((name) => [name, propagate])));
  known.set(key, rights);
  return rights;
}

/** The entries that count on a path: the nearest ones, a user's own before those of their groups. */
function entriesFor(state: SimulatorState, subject: string, path: string): SimulatorState['acl'] {
  const groups = new Set(
    [...state.groups].filter(([, { members }]) => members.has(subject)).map(([name]) => `@${name}`),
  );
  let nearest: SimulatorState['acl'] = [];
  for (const level of levels(path)) {
    const here = state.acl.filter((entry) => entry.path === level && (entry.propagate || level === path));
    const own = here.filter((entry) => entry.subject === subject);
    const counted = own.length > 0 ? own : here.filter((entry) => groups.has(entry.subject));
    if (counted.length > 0) nearest = counted;
  }
  return nearest;
}

function poolsOf(state: SimulatorState, path: string): string[] {
  const [, kind, id = ''] = /^\/(vms|storage)\/([^/]+)$/.exec(path) ?? [];
  if (kind === undefined) return [];
  const holds = ({ vms, storages }: { vms: ReadonlySet<number>; storages: ReadonlySet<string> }) =>
    kind === 'vms' ? vms.has(Number(id)) : storages.has(id);
  return [...state.pools].filter(([, pool]) => holds(pool)).map(([name]) => name);
}

/** `/vms/100` → `/`, `/vms`, `/vms/100`. */
function levels(path: string): string[] {
  const segments = path.split('/').filter((segment) => segment !== '');
  return ['/', ...segments.map((_, index) => `/${segments.slice(0, index + 1).join('/')}`)];
}
