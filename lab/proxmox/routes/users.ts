import { type Permissions, removeEntries, userExists } from '../access.ts';
import { ApiFailure } from '../answer.ts';
import { changeClusterFile } from '../cluster-files.ts';
import { listOf } from '../formats.ts';
import type { Call, Route } from '../router.ts';
import type { SimulatedUser } from '../state/access.ts';
import type { SimulatorState } from '../state.ts';
import { tokensOf } from './tokens.ts';

const texts = ['comment', 'email', 'firstname', 'lastname'] as const;

export const userRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/access/users',
    handle: ({ state, caller, permissions, parameters: { full, enabled } }) => ({
      data: [...state.users]
        .filter(([userid]) => userid === caller.id || maySeeUser(state, permissions, userid))
        .filter(([, user]) => enabled === undefined || user.enabled === (enabled === 1))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([userid, user]) => ({
          userid,
          'realm-type': userid.endsWith('@pam') ? 'pam' : 'pve',
          ...about(user),
          ...(full ? { groups: groupsOf(state, userid).join(','), tokens: tokenList(state, userid) } : {}),
        })),
    }),
  },
  {
    method: 'GET',
    path: '/access/users/{userid}',
    handle: ({ state, parameters }) => {
      const userid = String(parameters.userid);
      const tokens = tokensOf(state, userid);
      const shown = Object.fromEntries(tokens.map(({ tokenid, ...rest }) => [tokenid, rest]));
      const data = { ...about(userExists(state, userid)), groups: groupsOf(state, userid) };
      return { data: { ...data, tokens: tokens.length > 0 ? shown : null } };
    },
  },
  { method: 'POST', path: '/access/users', handle: createUser },
  {
    method: 'PUT',
    path: '/access/users/{userid}',
    handle: async (call) => {
      const { state, parameters } = call;
      await changeClusterFile(state, 'user.cfg', 'update user failed', () => {
        const user = userExists(state, String(parameters.userid));
        if (parameters.enable !== undefined) user.enabled = parameters.enable === 1;
        if (parameters.expire !== undefined) user.expire = Number(parameters.expire);
        setTexts(user, call);
        if (parameters.groups === undefined) return;
        if (!parameters.append) leaveGroups(state, String(parameters.userid));
        joinGroups(call);
      });
      return { data: null };
    },
  },
  {
    method: 'DELETE',
    path: '/access/users/{userid}',
    handle: async ({ state, parameters }) => {
      const userid = String(parameters.userid);
      await changeClusterFile(state, 'user.cfg', 'delete user failed', () => {
        state.users.delete(userid);
        leaveGroups(state, userid);
        for (const { tokenid } of tokensOf(state, userid)) state.tokens.delete(`${userid}!${tokenid}`);
        removeEntries(state, (subject) => subject === userid || subject.startsWith(`${userid}!`));
      });
      return { data: null };
    },
  },
  {
    method: 'GET',
    path: '/access/groups',
    handle: ({ state, permissions }) => ({
      data: [...state.groups]
        .filter(([name]) => permissions.has(`/access/groups/${name}`, 'User.Modify', 'Sys.Audit', 'Group.Allocate'))
        .map(([groupid, { comment, members }]) => ({
          groupid,
          users: [...members].join(','),
          ...(comment === undefined ? {} : { comment }),
        })),
    }),
  },
  {
    method: 'POST',
    path: '/access/groups',
    handle: async ({ state, parameters: { groupid, comment } }) => {
      const name = String(groupid);
      await changeClusterFile(state, 'user.cfg', 'create group failed', () => {
        if (state.groups.has(name)) throw new ApiFailure(500, `group '${name}' already exists`);
        state.groups.set(name, { members: new Set(), ...(comment === undefined ? {} : { comment: String(comment) }) });
      });
      return { data: null };
    },
  },
  {
    method: 'GET',
    path: '/access/groups/{groupid}',
    handle: ({ state, parameters }) => {
      const { comment, members } = groupNamed(state, String(parameters.groupid));
      return { data: { members: [...members], ...(comment === undefined ? {} : { comment }) } };
    },
  },
  {
    method: 'PUT',
    path: '/access/groups/{groupid}',
    handle: async ({ state, parameters: { groupid, comment } }) => {
      await changeClusterFile(state, 'user.cfg', 'update group failed', () => {
        const group = groupNamed(state, String(groupid));
        if (comment !== undefined) group.comment = String(comment);
      });
      return { data: null };
    },
  },
  {
    method: 'DELETE',
    path: '/access/groups/{groupid}',
    handle: async ({ state, parameters }) => {
      const name = String(parameters.groupid);
      await changeClusterFile(state, 'user.cfg', 'delete group failed', () => {
        groupNamed(state, name);
        state.groups.delete(name);
        removeEntries(state, (subject) => subject === `@${name}`);
      });
      return { data: null };
    },
  },
];

async function createUser(call: Call) {
  const { state, parameters } = call;
  const userid = String(parameters.userid);
  await changeClusterFile(state, 'user.cfg', 'create user failed', () => {
    if (state.users.has(userid)) throw new ApiFailure(500, `user '${userid}' already exists`);
    const user: SimulatedUser = {
      enabled: parameters.enable !== 0,
      expire: Number(parameters.expire ?? 0),
      // So it is in the file, once it was written.
      email: '',
      ...(parameters.password === undefined ? {} : { password: String(parameters.password) }),
    };
    setTexts(user, call);
    for (const group of listOf(parameters.groups)) memberGroup(state, group);
    state.users.set(userid, user);
    joinGroups(call);
  });
  return { data: null };
}

function setTexts(user: SimulatedUser, { parameters }: Call): void {
  for (const field of texts) if (parameters[field] !== undefined) user[field] = String(parameters[field]);
}

function joinGroups({ state, parameters }: Call): void {
  for (const group of listOf(parameters.groups)) memberGroup(state, group).members.add(String(parameters.userid));
}

function leaveGroups(state: SimulatorState, userid: string): void {
  for (const { members } of state.groups.values()) members.delete(userid);
}

function memberGroup(state: SimulatorState, name: string) {
  const group = state.groups.get(name);
  if (!group) throw new ApiFailure(500, `no such group '${name}'`);
  return group;
}

function groupNamed(state: SimulatorState, name: string) {
  const group = state.groups.get(name);
  if (!group) throw new ApiFailure(500, `group '${name}' does not exist`);
  return group;
}

function maySeeUser(state: SimulatorState, permissions: Permissions, userid: string): boolean {
  if (permissions.has('/access/groups', 'User.Modify', 'Sys.Audit')) return true;
  return groupsOf(state, userid).some((name) => permissions.has(`/access/groups/${name}`, 'User.Modify', 'Sys.Audit'));
}

function about(user: SimulatedUser) {
  const written = texts.filter((field) => user[field] !== undefined).map((field) => [field, user[field]]);
  return { enable: user.enabled ? 1 : 0, expire: user.expire, ...Object.fromEntries(written) };
}

function groupsOf(state: SimulatorState, userid: string): string[] {
  return [...state.groups].filter(([, { members }]) => members.has(userid)).map(([name]) => name);
}

function tokenList(state: SimulatorState, userid: string) {
  const tokens = tokensOf(state, userid);
  return tokens.length > 0 ? tokens : null;
}
