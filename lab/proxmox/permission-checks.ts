import { type Permissions, userExists } from './access.ts';
import { ApiFailure, forbidden } from './answer.ts';
import { listOf } from './formats.ts';
import type { PermissionCheck, SchemaMethod } from './schema.ts';
import type { Caller, SimulatorState } from './state.ts';

export interface Asked {
  readonly state: SimulatorState;
  readonly caller: Caller;
  readonly permissions: Permissions;
  /** As they came: rights are looked at before parameters. */
  readonly given: Readonly<Record<string, string>>;
}

/** Throws 403 unless the caller may do what the schema's check says. */
export function requirePermission({ permissions: rule }: SchemaMethod, asked: Asked): void {
  if (asked.caller.id === 'root@pam' || rule?.user === 'world') return;
  if (!rule) throw new ApiFailure(403, 'Permission check failed (user != root@pam)');
  if (rule.user === 'all') return;
  if (!rule.check) throw forbidden();
  examine(rule.check, asked);
}

function examine(check: PermissionCheck, asked: Asked): void {
  const [kind, ...rest] = check;
  switch (kind) {
    case 'and':
      for (const one of rest as PermissionCheck[]) examine(one, asked);
      return;
    case 'or':
      if (!(rest as PermissionCheck[]).some((one) => passes(one, asked))) throw forbidden();
      return;
    case 'perm':
      examinePrivileges(rest as [string, string[]], asked);
      return;
    case 'userid-param':
      examineUser(String(rest[0]), asked);
      return;
    case 'userid-group':
      examineGroups(rest[0] as string[], optionsOf(rest.slice(1)), asked);
      return;
    case 'perm-modify':
      examineModify(fill(String(rest[0]), asked.given), asked.permissions);
      return;
    default:
      throw new Error(`no such check of permissions: ${kind}`);
  }
}

function passes(check: PermissionCheck, asked: Asked): boolean {
  try {
    examine(check, asked);
    return true;
  } catch (error) {
    if (error instanceof ApiFailure) return false;
    throw error;
  }
}

function examinePrivileges([template, privileges, ...options]: [string, string[], ...unknown[]], asked: Asked): void {
  const { any, require_param: needed } = optionsOf(options);
  if (needed !== undefined && asked.given[String(needed)] === undefined) throw forbidden();
  const path = normalPath(fill(template, asked.given));
  // What can't be a path has no rights on it, also for who may everything.
  if (path === '') throw forbidden('', any ? privileges : privileges.slice(0, 1));
  for (const one of any ? [privileges] : privileges.map((name) => [name])) asked.permissions.require(path, ...one);
}

function examineUser(what: string, { state, caller, permissions, given }: Asked): void {
  const userid = given.userid ?? '';
  if (!/^[^\s:/]+@[A-Za-z][\w.-]+$/.test(userid)) {
    throw new ApiFailure(500, `value '${userid}' does not look like a valid user name`);
  }
  if (what === 'self') {
    userExists(state, userid);
    if (caller.id !== userid) throw forbidden();
    return;
  }
  permissions.require(`/access/realm/${userid.slice(userid.lastIndexOf('@') + 1)}`, 'Realm.AllocateUser');
}

function examineGroups(
  privileges: readonly string[],
  options: Readonly<Record<string, unknown>>,
  { state, permissions, given }: Asked,
): void {
  const isNew = options.groups_param === 'create';
  if (!isNew) userExists(state, given.userid ?? '');
  if (permissions.has('/access/groups', ...privileges)) return;
  if (options.groups_param !== undefined) {
    const named = listOf(given.groups);
    if (named.length === 0) throw forbidden('/access/groups', privileges);
    for (const group of named) permissions.require(`/access/groups/${group}`, ...privileges);
  }
  if (isNew) return;
  const shared = [...state.groups].some(
    ([name, { members }]) =>
      members.has(given.userid ?? '') && permissions.has(`/access/groups/${name}`, ...privileges),
  );
  if (!shared) throw forbidden();
}

/** Who may change the rights on a path: with the right to, or as the one who may allocate what is there. */
function examineModify(path: string, permissions: Permissions): void {
  const owner = { storage: 'Datastore.Allocate', vms: 'VM.Allocate', pool: 'Pool.Allocate' }[
    /^\/(storage|vms|pool)\/./.exec(path)?.[1] ?? ''
  ];
  permissions.require(normalPath(path), 'Permissions.Modify', ...(owner === undefined ? [] : [owner]));
}

function optionsOf(rest: readonly unknown[]): Readonly<Record<string, unknown>> {
  const pairs = rest.flatMap((key, index) => (index % 2 === 0 ? [[String(key), rest[index + 1]] as const] : []));
  return Object.fromEntries(pairs);
}

function fill(template: string, given: Readonly<Record<string, string>>): string {
  return template.replace(/\{([\w-]+)\}/g, (_, name: string) => given[name] ?? '');
}

/** As rights are kept; what can't be a path of theirs is none at all. */
export function normalPath(path: string): string {
  const plain = `/${path.split('/').filter(Boolean).join('/')}`;
  return /^[\w.\-/]+$/.test(plain) ? plain : '';
}
