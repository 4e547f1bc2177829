import { z } from 'zod';
import { ServiceError } from '../errors.ts';
import { cleanLine } from '../reports/clean.ts';
import { Secret } from '../secret.ts';
import { canonicalFingerprint } from './certificate.ts';
import { readingPrivileges } from './rights.ts';

// The access to the Proxmox API that an administrator agrees to: a user, a role that reads, and an API token, made on the host
// by Proxmox's own command line. Nothing here logs in: who calls brings the administrator's way to root.

/** Runs a program of the host as root; its exit code is an answer, whatever it is. */
export type RunAsRoot = (
  argv: readonly [string, ...string[]],
) => Promise<{ readonly exitCode: number; readonly stdout: string; readonly stderr: string }>;

/** The user whose API tokens are the service's; it has no password. */
export const apiUser = 'proxmox-mcp@pve';

/** Its role that reads. */
export const readingRole = 'ProxmoxMCPReader';

/** On the host, whatever its cluster's certificates: pveproxy takes the first where it is there with its key. */
const certificates = ['/etc/pve/local/pveproxy-ssl.pem', '/etc/pve/local/pve-ssl.pem'] as const;

const users = z.array(z.object({ userid: z.string(), enable: z.coerce.number().optional() }));
const roles = z.array(z.object({ roleid: z.string(), privs: z.string().optional() }));
const entries = z.array(
  z.object({
    path: z.string(),
    type: z.string(),
    ugid: z.string(),
    roleid: z.string(),
    propagate: z.coerce.number().optional(),
  }),
);
const tokens = z.array(z.object({ tokenid: z.string() }));
const made = z.object({ 'full-tokenid': z.string(), value: z.string().regex(/^[0-9a-f-]{36}$/) });

/** What a host's Proxmox VE has of the access already. */
export interface AccessSeen {
  /** `missing`, `disabled`: it is there and can't log in. */
  readonly user: 'there' | 'missing' | 'disabled';
  /** Privileges of the reading role; undefined: there is none. */
  readonly role: readonly string[] | undefined;
  /** Every privilege that this version knows. */
  readonly privileges: readonly string[];
  /** Whom the reading role is given on `/`, for all below: users, and tokens by their full ids. */
  readonly granted: readonly string[];
  /** Names of the user's API tokens. */
  readonly tokens: readonly string[];
  /** SHA-256 of the API's certificate, as the host itself has it. */
  readonly fingerprint: string;
}

/** Looks without changing anything. Undefined: there is no Proxmox VE. */
export async function lookAtAccess(host: string, run: RunAsRoot): Promise<AccessSeen | undefined> {
  const found = await run(['/bin/sh', '-c', 'command -v pveum && command -v openssl']);
  if (found.exitCode !== 0) return undefined;
  const list = async <T>(schema: z.ZodType<T>, ...what: string[]): Promise<T> => {
    const argv = ['pveum', ...what, '--output-format', 'json'] as const;
    return parseJson(host, argv, await must(host, run, argv), schema);
  };
  const allUsers = await list(users, 'user', 'list');
  const user = allUsers.find(({ userid }) => userid === apiUser);
  const allRoles = await list(roles, 'role', 'list');
  const acl = await list(entries, 'acl', 'list');
  const own = user === undefined ? [] : await list(tokens, 'user', 'token', 'list', apiUser);
  const privilegesOf = (text: string | undefined) => (text ?? '').split(/[\s,;]+/).filter(Boolean);
  const role = allRoles.find(({ roleid }) => roleid === readingRole);
  return {
    user: user === undefined ? 'missing' : user.enable === 0 ? 'disabled' : 'there',
    role: role && privilegesOf(role.privs),
    privileges: [...new Set(allRoles.flatMap(({ privs }) => privilegesOf(privs)))],
    granted: acl
      .filter(({ path, roleid, propagate }) => path === '/' && roleid === readingRole && propagate !== 0)
      .map(({ ugid }) => ugid),
    tokens: own.map(({ tokenid }) => tokenid),
    fingerprint: await fingerprintOf(host, run),
  };
}

async function fingerprintOf(host: string, run: RunAsRoot): Promise<string> {
  let said = '';
  for (const file of certificates) {
    const argv = ['openssl', 'x509', '-noout', '-fingerprint', '-sha256', '-in', file] as const;
    const { exitCode, stdout, stderr } = await run(argv);
    if (exitCode === 0) return canonicalFingerprint(stdout.trim());
    said = stderr;
  }
  throw failed(host, `the certificate of its API can't be read (${lastLine(said)})`, 'See there: pvenode cert info');
}

interface Step {
  readonly line: string;
  readonly argv: readonly [string, ...string[]];
}

/** What is to be done, each step with a line for a person. Nothing to do: no lines. */
export interface AccessPlan {
  readonly lines: readonly string[];
  /** Before the API token. */
  readonly steps: readonly Step[];
  /** Name of the API token. */
  readonly token: string;
  readonly makesToken: boolean;
  /** After the API token. */
  readonly grants: readonly Step[];
}

/**
 * @param held - the API token of {@link apiUser} that the configuration has and that the API accepts; undefined: none. The secret of
 * any other one is unknown, and an API token that is made anew would take it from whoever uses it: so a further one is made.
 */
export function planAccess(host: string, seen: AccessSeen, held: string | undefined): AccessPlan {
  const wanted = readingPrivileges.filter((privilege) => seen.privileges.includes(privilege));
  const named = wanted.join(', ');
  const steps: Step[] = [];
  if (seen.role === undefined) {
    const argv = ['pveum', 'role', 'add', readingRole, '--privs', wanted.join(',')] as const;
    steps.push({ line: `make the role ${readingRole}, which reads: ${named}`, argv });
  } else if (!isSameSet(seen.role, wanted)) {
    const argv = ['pveum', 'role', 'modify', readingRole, '--privs', wanted.join(',')] as const;
    steps.push({ line: `correct the role ${readingRole}: ${named}`, argv });
  }
  if (seen.user === 'missing') {
    const argv = ['pveum', 'user', 'add', apiUser, '--comment', 'Proxmox MCP'] as const;
    steps.push({ line: `make the user ${apiUser}, without a password`, argv });
  } else if (seen.user === 'disabled') {
    const argv = ['pveum', 'user', 'modify', apiUser, '--enable', '1'] as const;
    steps.push({ line: `enable the user ${apiUser}`, argv });
  }
  if (!seen.granted.includes(apiUser)) {
    const argv = ['pveum', 'acl', 'modify', '/', '--users', apiUser, '--roles', readingRole] as const;
    steps.push({ line: `give ${apiUser} that role on /`, argv });
  }
  const isHeld = held !== undefined && seen.tokens.includes(held);
  const token = isHeld ? held : freeName(`mcp-${host}`, seen.tokens);
  const full = `${apiUser}!${token}`;
  const grants: Step[] = seen.granted.includes(full)
    ? []
    : [
        {
          line: `give the API token ${full} that role on /`,
          argv: ['pveum', 'acl', 'modify', '/', '--tokens', full, '--roles', readingRole],
        },
      ];
  const others = isHeld ? [] : seen.tokens.filter((name) => name.startsWith(`mcp-${host}`));
  const beside = others.length > 0 ? `; the secret of ${others.join(', ')}, which is there, isn't known here` : '';
  const lines = [
    ...steps.map(({ line }) => line),
    ...(isHeld ? [] : [`make the API token ${full}, with privileges of its own${beside}`]),
    ...grants.map(({ line }) => line),
  ];
  return { lines, steps, token, makesToken: !isHeld, grants };
}

/**
 * Carries a plan out. The secret of a new API token is given to `keep` alone, at once; where that or what follows fails, it is
 * removed again.
 */
export async function makeAccess(
  host: string,
  run: RunAsRoot,
  plan: AccessPlan,
  keep: (secret: Secret) => void,
): Promise<void> {
  for (const { argv } of plan.steps) await must(host, run, argv);
  if (!plan.makesToken) {
    for (const { argv } of plan.grants) await must(host, run, argv);
    return;
  }
  const add = [
    'pveum',
    'user',
    'token',
    'add',
    apiUser,
    plan.token,
    '--privsep',
    '1',
    '--output-format',
    'json',
  ] as const;
  const said = await must(host, run, add);
  try {
    keep(new Secret(parseJson(host, add, said, made).value));
    for (const { argv } of plan.grants) await must(host, run, argv);
  } catch (error) {
    await run(['pveum', 'user', 'token', 'remove', apiUser, plan.token]);
    throw error;
  }
}

/** What is taken off: an API token, and with the last one its user and role. */
export interface AccessRemoval {
  readonly lines: readonly string[];
  readonly commands: readonly (readonly [string, ...string[]])[];
}

export function planRemoval(seen: AccessSeen, token: string): AccessRemoval {
  if (!seen.tokens.includes(token)) return { lines: [], commands: [] };
  if (seen.tokens.length > 1) {
    const rest = seen.tokens.filter((name) => name !== token).join(', ');
    return {
      lines: [`remove the API token ${apiUser}!${token}; ${apiUser} stays, as it has others (${rest})`],
      commands: [['pveum', 'user', 'token', 'remove', apiUser, token]],
    };
  }
  return {
    lines: [
      `remove the user ${apiUser} with its API token ${token}`,
      ...(seen.role === undefined ? [] : [`remove the role ${readingRole}`]),
    ],
    commands: [
      ['pveum', 'user', 'token', 'remove', apiUser, token],
      ['pveum', 'user', 'delete', apiUser],
      ...(seen.role === undefined ? [] : [['pveum', 'role', 'delete', readingRole] as const]),
    ],
  };
}

export async function removeAccess(host: string, run: RunAsRoot, { commands }: AccessRemoval): Promise<void> {
  for (const argv of commands) await must(host, run, argv);
}

function freeName(wanted: string, taken: readonly string[]): string {
  for (let number = 1; ; number++) {
    const name = number === 1 ? wanted : `${wanted}-${number}`;
    if (!taken.includes(name)) return name;
  }
}

function isSameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one) => b.includes(one));
}

/** What it printed; throws with its last words, never with what it printed, where it failed. */
async function must(host: string, run: RunAsRoot, argv: readonly [string, ...string[]]): Promise<string> {
  const { exitCode, stdout, stderr } = await run(argv);
  if (exitCode === 0) return stdout;
  const why = firstWords(stderr) || `exit code ${exitCode}`;
  const quorum = /no quorum/.test(stderr);
  throw failed(
    host,
    `${argv.slice(0, 4).join(' ')} failed (${why})`,
    quorum
      ? 'Wait until the cluster has quorum (pvecm status), then run it again.'
      : 'Correct that on the host, then run it again.',
  );
}

function parseJson<T>(host: string, argv: readonly string[], text: string, schema: z.ZodType<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  // What it printed may hold a secret.
  throw failed(
    host,
    `${argv.slice(0, 4).join(' ')} printed something else than was expected`,
    'Report this as a defect.',
  );
}

function failed(host: string, what: string, remedy: string): ServiceError {
  return new ServiceError({
    code: 'command-failed',
    message: `On ${host}, ${what}`,
    remedy,
    details: { host },
  });
}

/** Without the usage that follows. */
function firstWords(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '' && !/^pveum /.test(line));
  return cleanLine(lines.slice(0, 3).join('; '), 300);
}

function lastLine(text: string): string {
  return cleanLine(text.trim().split('\n').at(-1) ?? '', 200);
}
