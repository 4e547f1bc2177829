import { ApiFailure, forbidden } from './answer.ts';
import { administrator, noAccess } from './roles.ts';
import { type Caller, type SimulatorState, unixTime } from './state.ts';

/**
 * Who a request comes from. Every refusal is a 401 whose text is only in the reason phrase: `No ticket` when nothing
 * that looks like an API token came, `Authentication failed!` for every token that isn't good, without saying why.
 */
export function authenticate(
  state: SimulatorState,
  headers: { readonly authorization?: string | undefined; readonly cookie?: string | undefined },
): Caller {
  // Tickets aren't served (yet), so that any of them is an invalid one; it comes before the API token.
  if (/(^|;\s*)PVEAuthCookie=./.test(headers.cookie ?? '')) throw refused('Authentication failed!');
  const given = /^PVEAPIToken[= ](.+)$/.exec(headers.authorization ?? '')?.[1];
  if (given === undefined) throw refused('No ticket');
  // The realm follows the last @: the name before it may be a mail address.
  const [, user, name, secret] = /^([^\s:/]+@[A-Za-z][\w.-]*)!([A-Za-z][\w.-]*)=([0-9a-f-]{36})$/.exec(given) ?? [];
  const token = state.tokens.get(`${user}!${name}`);
  const owner = state.users.get(user ?? '');
  const current = (expire: number) => expire === 0 || expire > unixTime();
  if (!token || token.secret !== secret || !current(token.expire) || !owner?.enabled || !current(owner.expire)) {
    throw refused('Authentication failed!');
  }
  return { id: `${token.user}!${token.name}`, user: token.user, token: token.name };
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
  function on(path: string): ReadonlyMap<string, boolean> {
    const users = granted(state, user, path);
    if (!token?.separated) return users;
    return new Map([...granted(state, subject, path)].filter(([name]) => users.has(name)));
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

function granted(state: SimulatorState, subject: string, path: string): Map<string, boolean> {
  if (subject === 'root@pam') return new Map((state.roles.get(administrator) ?? []).map((name) => [name, true]));
  let nearest: SimulatorState['acl'] = [];
  for (const level of levels(path)) {
    const here = state.acl.filter(
      (entry) => entry.subject === subject && entry.path === level && (entry.propagate || level === path),
    );
    if (here.length > 0) nearest = here;
  }
  if (nearest.some((entry) => entry.role === noAccess)) return new Map();
  return new Map(
    nearest.flatMap((entry) => (state.roles.get(entry.role) ?? []).map((name) => [name, entry.propagate])),
  );
}

/** `/vms/100` → `/`, `/vms`, `/vms/100`. */
function levels(path: string): string[] {
  const segments = path.split('/').filter((segment) => segment !== '');
  return ['/', ...segments.map((_, index) => `/${segments.slice(0, index + 1).join('/')}`)];
}
