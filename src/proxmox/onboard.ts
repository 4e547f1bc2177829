import { type WideRight, wideNames, wideRights } from '../operations/rights.ts';
import type { Secret } from '../secret.ts';
import { changingPaths, changingRoleFor, type Enabled, type RoleWanted, readingRoleFor } from './rights.ts';

// The access to the Proxmox API that an administrator agrees to: a user, roles, and an API token with rights of its own. What is
// to be done is planned here, the same for both ways of doing it: by Proxmox's own command line as root of the host
// (onboard-commands.ts), and by the API with an administrator's one sign-in (onboard-api.ts). Nothing here logs in.

/** The user whose API tokens are the service's; it has no password. */
export const apiUser = 'proxmox-mcp@pve';

/** Its role that reads. */
export const readingRole = 'ProxmoxMCPReader';
/** Its role with which the operations change something. */
export const changingRole = 'ProxmoxMCPOperator';
/** Its roles for what reaches far, each given only where it was asked for. */
export const wideRoles: Readonly<Record<WideRight, string>> = {
  ha: 'ProxmoxMCPHA',
  'privileged-containers': 'ProxmoxMCPPrivilegedContainers',
};
const ourRoles: readonly string[] = [readingRole, changingRole, ...Object.values(wideRoles)];

/** One entry of the access control list. */
export interface Grant {
  readonly path: string;
  /** `user@realm`, `user@realm!token`, or a group's name. */
  readonly subject: string;
  readonly role: string;
  readonly propagate: boolean;
}

/** What a host's Proxmox VE has of the access already. */
export interface AccessSeen {
  /** `missing`, `disabled`: it is there and can't log in. */
  readonly user: 'there' | 'missing' | 'disabled';
  /** Every role that there is, with its privileges. */
  readonly roles: ReadonlyMap<string, readonly string[]>;
  readonly grants: readonly Grant[];
  /** The user's API tokens. */
  readonly tokens: readonly SeenToken[];
  /** SHA-256 of the API's certificate. */
  readonly fingerprint: string;
}

export interface SeenToken {
  readonly name: string;
  /** Unix seconds; 0: never. */
  readonly expires: number;
  /** Whether it has privileges of its own, and not all of its user's. */
  readonly separated: boolean;
}

/** One thing that is done. */
export type AccessStep =
  | { readonly kind: 'add-role' | 'set-role'; readonly role: string; readonly privileges: readonly string[] }
  | { readonly kind: 'remove-role'; readonly role: string }
  | { readonly kind: 'add-user' | 'enable-user' | 'remove-user' }
  | ({ readonly kind: 'grant' | 'revoke' } & Grant)
  | { readonly kind: 'set-token'; readonly name: string; readonly expires: number }
  | { readonly kind: 'remove-token'; readonly name: string };

/** A way to see and change the access on a host. Every method throws `ServiceError`. */
export interface AccessWay {
  /** Looks without changing anything. Undefined: there is no Proxmox VE. */
  look(): Promise<AccessSeen | undefined>;
  carryOut(step: AccessStep): Promise<void>;
  /** Makes an API token with privileges of its own. */
  addToken(name: string, expires: number): Promise<Secret>;
}

/** What an administrator wants. What is undefined stays as it is. */
export interface AccessWanted extends Enabled {
  /** Whether operations may change something. New: they may not. */
  readonly changes?: boolean | undefined;
  /** Which far-reaching rights are given. New: none. */
  readonly wide?: readonly WideRight[] | undefined;
  /** When the API token expires, Unix seconds; 0: never. New: after a year. */
  readonly expires?: number | undefined;
  /** Whether there is a second API token that only reads, for the MCP server. Undefined: as it is. */
  readonly reading?: boolean | undefined;
  /** Unix seconds. */
  readonly now: number;
}

const day = 86_400;
/** How long an API token lasts where nothing else was said. */
const lastsDays = 365;
/** So long before its end `doctor` warns, and `host install` makes it last longer. */
export const expiresSoonDays = 30;

/** What is to be done, in lines for a person. Nothing to do: no lines. */
export interface AccessPlan {
  readonly lines: readonly string[];
  /** Before the API token. */
  readonly steps: readonly AccessStep[];
  /** Name of the API token. */
  readonly token: string;
  readonly makesToken: boolean;
  /** Unix seconds; 0: never. */
  readonly expires: number;
  /** After the API token. */
  readonly grants: readonly AccessStep[];
  /** Whether operations may change something afterwards. */
  readonly changes: boolean;
  /** The second API token, which only reads; undefined: there is none. Its grants are among those above. */
  readonly reading?: { readonly token: string; readonly makesToken: boolean; readonly expires: number };
}

/**
 * @param held - the API token of {@link apiUser} that the configuration has and that the API accepts, or would if it hadn't expired;
 * undefined: none. The secret of any other one is unknown, and an API token that is made anew would take it from whoever
 * uses it: so a further one is made.
 * @param heldReading - the same of the one that only reads
 */
export function planAccess(
  host: string,
  seen: AccessSeen,
  held: string | undefined,
  wanted: AccessWanted,
  heldReading?: string,
): AccessPlan {
  const heldToken = seen.tokens.find(({ name }) => name === held);
  const token = heldToken?.name ?? freeName(`mcp-${host}`, seen);
  const full = `${apiUser}!${token}`;
  const has = (role: string) => seen.grants.some((grant) => grant.subject === full && grant.role === role);
  const changes = wanted.changes ?? has(changingRole);
  const wide = wanted.wide ?? wideNames.filter((name) => has(wideRoles[name]));
  const extent = { changes, wide, dangerousCommands: wanted.dangerousCommands };
  const own = grantsFor(extent);
  // An API token may do what both it and its user may, so that the user has what any of them has.
  const others = seen.grants.filter(({ subject }) => subject.startsWith(`${apiUser}!`) && subject !== full);
  const ofUser = distinct([...own, ...others.map((grant) => ({ ...grant, subject: '' }))]);

  const roles = rolesFor(seen, extent);
  const steps: Planned[] = [
    ...roles.flatMap((role) => planRole(seen, role)),
    ...planUser(seen),
    ...planGrants(seen, apiUser, ofUser),
  ];
  const expires = wanted.expires ?? wanted.now + lastsDays * day;
  const lasts = heldToken === undefined ? [] : planToken(heldToken, wanted, expires);
  const reading = planReading(host, seen, { wanted, held: heldReading, expires });
  const grants = [...planGrants(seen, full, own), ...(reading?.grants ?? [])];
  const after = [...steps, ...grants].flatMap(({ steps: some }) => some);
  const unused = changes ? [] : unusedRoles(seen, after);
  const makes = `make the API token ${full}, with privileges of its own, which ${untilText(expires)}${unknownBeside(host, seen, heldReading)}`;
  return {
    lines: [
      ...steps.map(({ line }) => line),
      ...(heldToken ? [] : [makes]),
      ...(reading?.makes === undefined ? [] : [reading.makes]),
      ...[...lasts, ...(reading?.lasts ?? []), ...grants, ...unused].map(({ line }) => line),
    ],
    steps: [...steps, ...lasts, ...(reading?.lasts ?? [])].flatMap(({ steps: some }) => some),
    token,
    makesToken: heldToken === undefined,
    expires: heldToken === undefined || lasts.length > 0 ? expires : heldToken.expires,
    grants: [...grants, ...unused].flatMap(({ steps: some }) => some),
    changes,
    ...(reading && { reading: reading.token }),
  };
}

/** Tokens of the host's that are there, and that the configuration doesn't have. */
function unknownBeside(host: string, { tokens }: AccessSeen, known: string | undefined): string {
  const beside = tokens.map(({ name }) => name).filter((name) => name.startsWith(`mcp-${host}`) && name !== known);
  return beside.length > 0 ? `; the secret of ${beside.join(', ')}, which is there, isn't known here` : '';
}

/** The second API token, with the reading role and nothing else; undefined where none is wanted. */
function planReading(
  host: string,
  seen: AccessSeen,
  {
    wanted,
    held,
    expires,
  }: { readonly wanted: AccessWanted; readonly held: string | undefined; readonly expires: number },
) {
  if (!(wanted.reading ?? held !== undefined)) return undefined;
  const there = seen.tokens.find(({ name }) => name === held);
  const name = there?.name ?? freeName(`mcp-${host}-read`, seen);
  const full = `${apiUser}!${name}`;
  const lasts = there === undefined ? [] : planToken(there, wanted, expires);
  return {
    token: {
      token: name,
      makesToken: there === undefined,
      expires: there === undefined || lasts.length > 0 ? expires : there.expires,
    },
    makes: there === undefined ? `make the API token ${full}, which only reads and ${untilText(expires)}` : undefined,
    lasts,
    grants: planGrants(seen, full, [{ path: '/', role: readingRole, propagate: true }]),
  };
}

/** A line of the plan, and what it stands for. */
interface Planned {
  readonly line: string;
  readonly steps: readonly AccessStep[];
}

interface Extent extends Enabled {
  readonly changes: boolean;
  readonly wide: readonly WideRight[];
}

type OwnGrant = Omit<Grant, 'subject'>;

function grantsFor({ changes, wide, ...enabled }: Extent): readonly OwnGrant[] {
  const reading = { role: readingRole, propagate: true };
  return [
    { path: '/', ...reading },
    // What is given on a path replaces what comes from above it: so there the reading role is given again.
    ...(changes
      ? changingPaths(enabled).flatMap((path) => [
          { path, ...reading },
          { path, role: changingRole, propagate: true },
        ])
      : []),
    // Not below: on a node it would mean a shell there.
    ...wide.map((name) => ({ path: '/', role: wideRoles[name], propagate: false })),
  ];
}

interface PlannedRole extends RoleWanted {
  readonly role: string;
  readonly what: string;
}

function rolesFor(seen: AccessSeen, { changes, wide, ...enabled }: Extent): readonly PlannedRole[] {
  const known = [...new Set([...seen.roles.values()].flat())];
  return [
    { role: readingRole, what: 'which reads', ...readingRoleFor(known) },
    ...(changes
      ? [{ role: changingRole, what: 'with which operations change guests', ...changingRoleFor(known, enabled) }]
      : []),
    ...wide.map((name) => ({
      role: wideRoles[name],
      what: `as was asked for (${wideRights[name].why})`,
      privileges: [wideRights[name].privilege],
      leftOut: [],
    })),
  ];
}

function planRole(seen: AccessSeen, { role, what, privileges, leftOut }: PlannedRole): readonly Planned[] {
  const there = seen.roles.get(role);
  const named = privileges.join(', ');
  const without =
    leftOut.length === 0 ? '' : `; without ${leftOut.join(', ')}, which this version has not, or not alone`;
  if (there === undefined) {
    return [
      { line: `make the role ${role}, ${what}: ${named}${without}`, steps: [{ kind: 'add-role', role, privileges }] },
    ];
  }
  if (isSameSet(there, privileges)) return [];
  return [{ line: `correct the role ${role}: ${named}${without}`, steps: [{ kind: 'set-role', role, privileges }] }];
}

function planUser({ user }: AccessSeen): readonly Planned[] {
  if (user === 'there') return [];
  return user === 'missing'
    ? [{ line: `make the user ${apiUser}, without a password`, steps: [{ kind: 'add-user' }] }]
    : [{ line: `enable the user ${apiUser}`, steps: [{ kind: 'enable-user' }] }];
}

/** Gives a subject of ours what is missing, and takes away what it has of our roles besides. */
function planGrants(seen: AccessSeen, subject: string, wanted: readonly OwnGrant[]): readonly Planned[] {
  const there = seen.grants.filter((grant) => grant.subject === subject && ourRoles.includes(grant.role));
  const missing = wanted.filter((one) => !there.some((grant) => isSameGrant(grant, one)));
  // One with another propagation is replaced by what is given.
  const surplus = there.filter((grant) => !wanted.some((one) => one.path === grant.path && one.role === grant.role));
  const who = subject === apiUser ? apiUser : `the API token ${subject}`;
  const lines = (
    kind: 'grant' | 'revoke',
    grants: readonly OwnGrant[],
    text: (role: string, paths: string) => string,
  ) =>
    [...new Set(grants.map(({ role }) => role))].map((role): Planned => {
      const ofRole = grants.filter((grant) => grant.role === role);
      const paths = ofRole.map(({ path, propagate }) => (propagate ? path : `${path} alone`)).join(', ');
      return {
        line: text(role, paths),
        steps: ofRole.map(({ path, propagate }) => ({ kind, path, subject, role, propagate })),
      };
    });
  return [
    ...lines('grant', missing, (role, paths) => `give ${who} the role ${role} on ${paths}`),
    ...lines('revoke', surplus, (role, paths) => `take the role ${role} on ${paths} from ${who}`),
  ];
}

function planToken(token: SeenToken, { now, expires: asked }: AccessWanted, expires: number): readonly Planned[] {
  const isSoon = token.expires !== 0 && token.expires < now + expiresSoonDays * day;
  const differs = asked !== undefined && Math.abs(token.expires - asked) >= day;
  const until = differs || (asked === undefined && isSoon) ? expires : token.expires;
  if (until === token.expires && token.separated) return [];
  const parts = [
    ...(until === token.expires ? [] : [`which then ${untilText(until)} (now it ${untilText(token.expires, now)})`]),
    ...(token.separated ? [] : ['with privileges of its own instead of its user’s']),
  ];
  return [
    {
      line: `correct the API token ${apiUser}!${token.name}, ${parts.join(', ')}`,
      steps: [{ kind: 'set-token', name: token.name, expires: until }],
    },
  ];
}

/** Roles of ours that nobody has any more once all is done. */
function unusedRoles(seen: AccessSeen, after: readonly AccessStep[]): readonly Planned[] {
  return ourRoles.flatMap((role): readonly Planned[] => {
    if (role === readingRole || !seen.roles.has(role)) return [];
    const revoked = after.filter((step) => step.kind === 'revoke' && step.role === role);
    const isGiven = after.some((step) => step.kind === 'grant' && step.role === role);
    const left = seen.grants.filter((grant) => grant.role === role).length - revoked.length;
    return isGiven || left > 0 ? [] : [{ line: `remove the role ${role}`, steps: [{ kind: 'remove-role', role }] }];
  });
}

/** `expires on 2027-11-26`. */
function untilText(expires: number, now?: number): string {
  if (expires === 0) return 'never expires';
  const date = new Date(expires * 1000).toISOString().slice(0, 10);
  return now !== undefined && expires <= now ? `has expired on ${date}` : `expires on ${date}`;
}

/**
 * Carries a plan out. The secret of a new API token is given to `keep` alone, at once; where that or what follows fails, it is
 * removed again.
 */
export async function makeAccess(
  way: AccessWay,
  { steps, grants, reading, ...plan }: AccessPlan,
  keep: (secret: Secret) => void,
  keepReading: (secret: Secret) => void = () => undefined,
): Promise<void> {
  for (const step of steps) await way.carryOut(step);
  const made: string[] = [];
  const make = async (name: string, expires: number, kept: (secret: Secret) => void) => {
    made.push(name);
    kept(await way.addToken(name, expires));
  };
  try {
    if (plan.makesToken) await make(plan.token, plan.expires, keep);
    if (reading?.makesToken) await make(reading.token, reading.expires, keepReading);
    for (const step of grants) await way.carryOut(step);
  } catch (error) {
    for (const name of made) await way.carryOut({ kind: 'remove-token', name }).catch(() => undefined);
    throw error;
  }
}

/** What is taken off: an API token, and with the last one its user and the roles. */
export interface AccessRemoval {
  readonly lines: readonly string[];
  readonly steps: readonly AccessStep[];
}

/** @param ours - the API tokens of this configuration */
export function planRemoval(seen: AccessSeen, ...ours: readonly string[]): AccessRemoval {
  const tokens = ours.filter((token) => seen.tokens.some(({ name }) => name === token));
  if (tokens.length === 0) return { lines: [], steps: [] };
  const full = tokens.map((token) => `${apiUser}!${token}`);
  const rest = seen.tokens.map(({ name }) => name).filter((name) => !tokens.includes(name));
  const without: AccessSeen = { ...seen, grants: seen.grants.filter(({ subject }) => !full.includes(subject)) };
  const removed = tokens.map((name): AccessStep => ({ kind: 'remove-token', name }));
  const s = tokens.length > 1 ? 's' : '';
  if (rest.length > 0) {
    const ofOthers = seen.grants.filter(({ subject }) => subject.startsWith(`${apiUser}!`) && !full.includes(subject));
    const revoked = planGrants(without, apiUser, distinct(ofOthers)).filter(({ steps }) =>
      steps.every(({ kind }) => kind === 'revoke'),
    );
    const unused = unusedRoles(
      without,
      revoked.flatMap(({ steps }) => steps),
    );
    return {
      lines: [
        `remove the API token${s} ${full.join(', ')}; ${apiUser} stays, as it has others (${rest.join(', ')})`,
        ...[...revoked, ...unused].map(({ line }) => line),
      ],
      steps: [...removed, ...[...revoked, ...unused].flatMap(({ steps }) => steps)],
    };
  }
  const there = ourRoles.filter((role) => seen.roles.has(role));
  const inUse = there.filter((role) => seen.grants.some((grant) => grant.role === role && !isOurs(grant)));
  const roles = there.filter((role) => !inUse.includes(role));
  return {
    lines: [
      `remove the user ${apiUser} with its API token${s} ${tokens.join(', ')}`,
      ...(roles.length === 0 ? [] : [`remove the role${roles.length > 1 ? 's' : ''} ${roles.join(', ')}`]),
      ...inUse.map((role) => `(the role ${role} stays, as somebody else was given it)`),
    ],
    steps: [...removed, { kind: 'remove-user' }, ...roles.map((role) => ({ kind: 'remove-role', role }) as const)],
  };
}

export async function removeAccess(way: AccessWay, { steps }: AccessRemoval): Promise<void> {
  for (const step of steps) await way.carryOut(step);
}

function isOurs({ subject }: Grant): boolean {
  return subject === apiUser || subject.startsWith(`${apiUser}!`);
}

function isSameGrant(a: OwnGrant, b: OwnGrant): boolean {
  return a.path === b.path && a.role === b.role && a.propagate === b.propagate;
}

/** Without those of other roles than ours. */
function distinct(grants: readonly OwnGrant[]): readonly OwnGrant[] {
  return grants
    .filter(({ role }) => ourRoles.includes(role))
    .filter((one, index, all) => all.findIndex((other) => isSameGrant(one, other)) === index);
}

function freeName(wanted: string, { tokens }: AccessSeen): string {
  for (let number = 1; ; number++) {
    const name = number === 1 ? wanted : `${wanted}-${number}`;
    if (!tokens.some((token) => token.name === name)) return name;
  }
}

function isSameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one) => b.includes(one));
}
