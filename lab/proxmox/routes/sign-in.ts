import { Secret, TOTP } from 'otpauth';
import { mayEnter, permissionsOf, userExists } from '../access.ts';
import { ApiFailure } from '../answer.ts';
import { listOf } from '../formats.ts';
import { normalPath } from '../permission-checks.ts';
import type { Call, Route } from '../router.ts';
import type { SimulatedUser } from '../state/access.ts';
import { type SimulatorState, unixTime } from '../state.ts';
import { isChallenge, makeChallenge, makeCsrfToken, makeTicket, ticketUser } from '../tickets.ts';

/** Tickets for users who sign in with their password, and if they have one with a second factor. */
export const signInRoutes: readonly Route[] = [
  { method: 'GET', path: '/access/ticket', handle: () => ({ data: null }) },
  { method: 'POST', path: '/access/ticket', handle: (call) => ({ data: signIn(call) }) },
  {
    method: 'PUT',
    path: '/access/password',
    handle: ({ state, parameters: { userid, password } }) => {
      userExists(state, String(userid)).password = String(password);
      return { data: null };
    },
  },
  {
    method: 'GET',
    path: '/access/tfa',
    handle: ({ state, caller, permissions }) => ({
      data: [...state.users]
        .filter(([userid]) => userid === caller.id || permissions.has('/access/groups', 'User.Modify', 'Sys.Audit'))
        .filter(([, { totp }]) => totp !== undefined)
        .map(([userid]) => ({ userid, entries: factors })),
    }),
  },
  {
    method: 'GET',
    path: '/access/tfa/{userid}',
    handle: ({ state, parameters }) => ({
      data: userExists(state, String(parameters.userid)).totp === undefined ? [] : factors,
    }),
  },
];

const factors = [{ id: 'totp-1', type: 'totp', description: 'phone', created: 1_700_000_000, enable: 1 }];

function signIn({ state, parameters }: Call): Record<string, unknown> {
  const { realm, password, path, privs } = parameters;
  const username = realm === undefined ? String(parameters.username) : `${parameters.username}@${realm}`;
  const user = state.users.get(username);
  const proof = String(password);
  // Nothing is said of why not, and it isn't delayed as a bad ticket is.
  if (!user || !mayEnter(state, username)) throw failed();
  const needs = prove(state, username, user, proof, parameters['tfa-challenge']);
  const csrf = makeCsrfToken(state, username);
  if (needs === 'second factor') {
    return { username, ticket: makeChallenge(state, username), CSRFPreventionToken: csrf, NeedTFA: 1 };
  }
  const theirs = permissionsOf(state, username);
  if (path !== undefined && !listOf(privs).every((name) => theirs.has(normalPath(String(path)), name))) throw failed();
  const { name } = state.cluster;
  const msg = `successful auth for user '${username}'`;
  state.configuration.log.push({ time: unixTime(), node: state.localNode, user: 'root@pam', tag: 'pvedaemon', msg });
  return {
    username,
    ticket: makeTicket(state, username),
    CSRFPreventionToken: csrf,
    cap: capabilities(state, username),
    ...(name !== undefined && theirs.has('/', 'Sys.Audit') ? { clustername: name } : {}),
  };
}

function prove(
  state: SimulatorState,
  username: string,
  user: SimulatedUser,
  proof: string,
  challenge: string | number | undefined,
): 'good' | 'second factor' {
  const holder = ticketUser(state, proof);
  if (holder === username || holder === 'root@pam') return 'good';
  if (challenge !== undefined) {
    if (isChallenge(state, String(challenge), username) && isOneTimePassword(user, proof)) return 'good';
    throw failed();
  }
  if (user.password === undefined || user.password !== proof) throw failed();
  return user.totp === undefined ? 'good' : 'second factor';
}

function isOneTimePassword({ totp }: SimulatedUser, proof: string): boolean {
  const code = /^totp:(\d{6,8})$/.exec(proof)?.[1];
  if (code === undefined || totp === undefined) return false;
  return new TOTP({ secret: Secret.fromBase32(totp) }).validate({ token: code, window: 1 }) !== null;
}

function failed(): ApiFailure {
  return new ApiFailure(401, 'authentication failure');
}

const areas: Readonly<Record<string, RegExp>> = {
  access: /^(User|Group)\.|^Permissions\.Modify/,
  dc: /^Sys\.Audit|^Sys\.Modify|^SDN\./,
  mapping: /^Mapping\.|^Permissions\.Modify/,
  nodes: /^Sys\.|^Permissions\.Modify/,
  sdn: /^SDN\.|^Permissions\.Modify/,
  storage: /^Datastore\.|^Permissions\.Modify/,
  vms: /^VM\.|^Permissions\.Modify/,
};

/** What the web interface shows of itself to this user: privileges by area, wherever they are had. */
function capabilities(state: SimulatorState, username: string): Record<string, Record<string, 1>> {
  const theirs = permissionsOf(state, username);
  const required = ['/', '/nodes', '/access/groups', '/vms', '/storage', '/sdn', '/mapping'];
  const found: Record<string, Record<string, 1>> = Object.fromEntries(Object.keys(areas).map((area) => [area, {}]));
  for (const path of new Set([...required, ...state.acl.map((entry) => entry.path)])) {
    const area = /^\/(\w+)/.exec(path)?.[1] ?? 'dc';
    for (const name of theirs.on(path).keys()) {
      const here = found[area];
      if (here && areas[area]?.test(name)) here[name] = 1;
    }
  }
  return found;
}
