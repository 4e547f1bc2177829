import { type Permissions, permissionsOf } from '../access.ts';
import { ApiFailure, invalidParameters } from '../answer.ts';
import { changeClusterFile } from '../cluster-files.ts';
import { listOf } from '../formats.ts';
import { normalPath } from '../permission-checks.ts';
import { noAccess } from '../roles.ts';
import type { Call, Route } from '../router.ts';
import type { AccessEntry, SimulatorState } from '../state.ts';

const accessIndex = ['users', 'groups', 'roles', 'acl', 'domains', 'openid', 'tfa', 'ticket', 'password'];
const rootIndex = ['version', 'cluster', 'nodes', 'storage', 'access', 'pools'];
/** Always looked at when all permissions are listed, besides the paths of the ACL. */
const standardPaths = ['/', '/access', '/access/groups', '/nodes', '/pool', '/sdn', '/storage', '/vms'];
const realms = [
  { realm: 'pam', type: 'pam', comment: 'Linux PAM standard authentication' },
  { realm: 'pve', type: 'pve', comment: 'Proxmox VE authentication server' },
];

/** Who may what: rights as they are and the list that gives them. */
export const accessRoutes: readonly Route[] = [
  { method: 'GET', path: '/', handle: () => ({ data: rootIndex.map((subdir) => ({ subdir })) }) },
  { method: 'GET', path: '/version', handle: ({ state }) => ({ data: state.version }) },
  { method: 'GET', path: '/access', handle: () => ({ data: accessIndex.map((subdir) => ({ subdir })) }) },
  { method: 'GET', path: '/access/domains', handle: () => ({ data: realms }) },
  {
    method: 'GET',
    path: '/access/permissions',
    handle: ({ state, caller, permissions, parameters }) => {
      const subject = String(parameters.userid ?? caller.id);
      const own = subject === caller.id || subject.startsWith(`${caller.id}!`);
      if (!own) permissions.require('/access', 'Sys.Audit');
      const theirs = permissionsOf(state, subject);
      const asNumbers = (path: string) =>
        Object.fromEntries([...theirs.on(path)].map(([name, propagate]) => [name, propagate ? 1 : 0]));
      if (parameters.path !== undefined) {
        const path = String(parameters.path);
        return { data: { [path]: asNumbers(path) } };
      }
      const paths = new Set([...standardPaths, ...state.acl.map((entry) => entry.path)]);
      const all = [...paths].map((path) => [path, asNumbers(path)] as const);
      return { data: Object.fromEntries(all.filter(([, granted]) => Object.keys(granted).length > 0)) };
    },
  },
  {
    method: 'GET',
    path: '/access/acl',
    handle: ({ state, permissions }) => {
      const all = permissions.has('/access', 'Sys.Audit', 'Permissions.Modify');
      const shown = state.acl.filter(({ path }) => all || permissions.has(path, 'Permissions.Modify'));
      return { data: shown.map(aclEntry) };
    },
  },
  { method: 'PUT', path: '/access/acl', handle: changeAcl },
];

function aclEntry({ path, subject, role, propagate }: AccessEntry) {
  const type = subject.startsWith('@') ? 'group' : subject.includes('!') ? 'token' : 'user';
  return { path, type, ugid: subject.replace(/^@/, ''), roleid: role, propagate: propagate ? 1 : 0 };
}

async function changeAcl({ state, permissions, parameters }: Call) {
  const { users, groups, tokens, roles: roleList, path: given, delete: remove, propagate = 1 } = parameters;
  if (!users && !groups && !tokens) {
    const text = "either 'users', 'groups' or 'tokens' is required.";
    throw invalidParameters({ users: text, groups: text, tokens: text });
  }
  const path = normalPath(String(given));
  if (path === '' || (!remove && !isAclPath(path))) throw invalidParameters({ path: `invalid ACL path '${given}'` });
  await changeClusterFile(state, 'user.cfg', 'ACL update failed', () => {
    const subjects = [
      ...listOf(groups).map((name) => `@${existing(state.groups.has(name), 'group', name)}`),
      ...listOf(users).map((name) => existing(state.users.has(name), 'user', name)),
      ...listOf(tokens).map((name) => existingToken(state, name)),
    ];
    for (const role of listOf(roleList)) {
      existing(state.roles.has(role), 'role', role);
      mayGive(state, permissions, path, role, Boolean(remove));
      for (const subject of subjects) setEntry(state, { path, subject, role, propagate: propagate === 1 }, !remove);
    }
  });
  return { data: null };
}

function setEntry(state: SimulatorState, entry: AccessEntry, isThere: boolean): void {
  const { path, subject, role } = entry;
  const at = state.acl.findIndex((one) => one.path === path && one.subject === subject && one.role === role);
  if (at >= 0) state.acl.splice(at, 1);
  if (isThere) state.acl.push(entry);
}

/** Who may change rights only as an owner gives away no more than what they have. */
function mayGive(state: SimulatorState, own: Permissions, path: string, role: string, remove: boolean): void {
  if (own.has(path, 'Permissions.Modify')) return;
  const lacks = (state.roles.get(role) ?? []).some((privilege) => !own.has(path, privilege));
  if (!lacks && role !== noAccess) return;
  const what = role === noAccess ? "'Permissions.Modify'" : "'Permissions.Modify' or superset of privileges.";
  throw invalidParameters({ role: `Cannot ${remove ? 'remove' : 'add'} role '${role}' - requires ${what}` });
}

function existing(isThere: boolean, kind: string, name: string): string {
  if (!isThere) throw new ApiFailure(500, `${kind} '${name}' does not exist`);
  return name;
}

function existingToken(state: SimulatorState, id: string): string {
  const [user = '', name = ''] = id.split('!');
  if (!state.tokens.has(id)) throw new ApiFailure(500, `no such token '${name}' for user '${user}'`);
  return id;
}

const name = '[\\w.-]+';
const aclPath = new RegExp(
  `^/($|access(/groups|/realm)?$|access/(groups|realm)/${name}$|nodes(/${name})?$|pool(/${name}){0,3}$|storage(/${name})?$` +
    `|sdn(/.*)?$|vms(/[1-9][0-9]{2,})?$|mapping(/${name}){0,2}$)`,
);

function isAclPath(path: string): boolean {
  return aclPath.test(path);
}
