import { z } from 'zod';
import type { AccessSeen } from './onboard.ts';
import { apiUser } from './onboard.ts';

// The lists of users, roles and rights: pveum prints what the API answers.

const users = z.array(z.object({ userid: z.string(), enable: z.coerce.number().optional() }));
const roles = z.array(z.object({ roleid: z.string(), privs: z.string().optional() }));
const acl = z.array(
  z.object({
    path: z.string(),
    type: z.string(),
    ugid: z.string(),
    roleid: z.string(),
    propagate: z.coerce.number().optional(),
  }),
);
const tokens = z.array(
  z.object({
    tokenid: z.string(),
    expire: z.coerce.number().optional(),
    privsep: z.coerce.number().optional(),
  }),
);
const made = z.object({ 'full-tokenid': z.string(), value: z.string().regex(/^[0-9a-f-]{36}$/) });

function seen(lists: {
  readonly users: z.output<typeof users>;
  readonly roles: z.output<typeof roles>;
  readonly acl: z.output<typeof acl>;
  readonly tokens: z.output<typeof tokens>;
  readonly fingerprint: string;
}): AccessSeen {
  const user = lists.users.find(({ userid }) => userid === apiUser);
  return {
    user: user === undefined ? 'missing' : user.enable === 0 ? 'disabled' : 'there',
    roles: new Map(
      lists.roles.map(({ roleid, privs }) => [roleid, (privs ?? '').split(/[\s,;]+/).filter(Boolean)] as const),
    ),
    grants: lists.acl.map(({ path, ugid, roleid, propagate }) => ({
      path,
      subject: ugid,
      role: roleid,
      propagate: propagate !== 0,
    })),
    tokens: lists.tokens.map(({ tokenid, expire, privsep }) => ({
      name: tokenid,
      expires: expire ?? 0,
      separated: privsep !== 0,
    })),
    fingerprint: lists.fingerprint,
  };
}

export const accessLists = { users, roles, acl, tokens, made, seen };
