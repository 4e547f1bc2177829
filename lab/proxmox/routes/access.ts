import { permissionsOf } from '../access.ts';
import type { Route } from '../router.ts';

const accessIndex = ['users', 'groups', 'roles', 'acl', 'domains', 'openid', 'tfa', 'ticket', 'password'];
const rootIndex = ['version', 'cluster', 'nodes', 'storage', 'access', 'pools'];
/** Always looked at when all permissions are listed, besides the paths of the ACL. */
const standardPaths = ['/', '/access', '/access/groups', '/nodes', '/pool', '/sdn', '/storage', '/vms'];

export const accessRoutes: readonly Route[] = [
  { method: 'GET', path: '/', handle: () => ({ data: rootIndex.map((subdir) => ({ subdir })) }) },
  { method: 'GET', path: '/version', handle: ({ state }) => ({ data: state.version }) },
  { method: 'GET', path: '/access', handle: () => ({ data: accessIndex.map((subdir) => ({ subdir })) }) },
  {
    method: 'GET',
    path: '/access/permissions',
    parameters: {
      path: { type: 'string' },
      userid: { type: 'string', pattern: /^[^\s:/]+@[A-Za-z][\w.-]+(![A-Za-z][\w.-]+)?$/ },
    },
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
];
