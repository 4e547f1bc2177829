import { ApiFailure, invalidParameters } from '../answer.ts';
import { changeClusterFile } from '../cluster-files.ts';
import { listOf } from '../formats.ts';
import { administrator, roles as builtIn } from '../roles.ts';
import type { Route } from '../router.ts';
import type { SimulatorState } from '../state.ts';

export const roleRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/access/roles',
    handle: ({ state }) => ({
      data: [...state.roles].map(([roleid, privileges]) => ({
        roleid,
        privs: privileges.join(','),
        ...(isBuiltIn(roleid) ? { special: 1 } : {}),
      })),
    }),
  },
  {
    method: 'GET',
    path: '/access/roles/{roleid}',
    handle: ({ state, parameters }) => ({
      data: Object.fromEntries(privilegesOf(state, String(parameters.roleid)).map((name) => [name, 1])),
    }),
  },
  {
    method: 'POST',
    path: '/access/roles',
    handle: async ({ state, parameters: { roleid, privs } }) => {
      const name = String(roleid);
      knows(state, privs);
      await changeClusterFile(state, 'user.cfg', 'create role failed', () => {
        if (state.roles.has(name)) throw new ApiFailure(500, `role '${name}' already exists`);
        state.roles.set(name, listOf(privs).sort());
      });
      return { data: null };
    },
  },
  {
    method: 'PUT',
    path: '/access/roles/{roleid}',
    handle: async ({ state, parameters: { roleid, privs, append } }) => {
      const name = String(roleid);
      knows(state, privs);
      if (isBuiltIn(name)) throw new ApiFailure(500, `auto-generated role '${name}' cannot be modified`);
      await changeClusterFile(state, 'user.cfg', 'update role failed', () => {
        const before = privilegesOf(state, name);
        state.roles.set(name, [...new Set([...(append ? before : []), ...listOf(privs)])].sort());
      });
      return { data: null };
    },
  },
  {
    method: 'DELETE',
    path: '/access/roles/{roleid}',
    handle: async ({ state, parameters }) => {
      const name = String(parameters.roleid);
      if (isBuiltIn(name)) throw new ApiFailure(500, `auto-generated role '${name}' cannot be deleted`);
      await changeClusterFile(state, 'user.cfg', 'delete role failed', () => {
        privilegesOf(state, name);
        // Entries of the ACL that name it stay, and give nothing.
        state.roles.delete(name);
      });
      return { data: null };
    },
  },
];

/** A version has the privileges that its administrators have. */
function knows(state: SimulatorState, privs: string | number | undefined): void {
  const known = state.roles.get(administrator) ?? [];
  const strange = listOf(privs).find((name) => !known.includes(name));
  if (strange === undefined) return;
  throw invalidParameters({ privs: `invalid format - invalid privilege '${strange}'\n` });
}

function isBuiltIn(name: string): boolean {
  return Object.hasOwn(builtIn, name);
}

function privilegesOf(state: SimulatorState, name: string): readonly string[] {
  const privileges = state.roles.get(name);
  if (!privileges) throw new ApiFailure(500, `role '${name}' does not exist`);
  return privileges;
}
