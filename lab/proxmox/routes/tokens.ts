import { removeEntries, userExists } from '../access.ts';
import { ApiFailure, invalidParameters } from '../answer.ts';
import { changeClusterFile } from '../cluster-files.ts';
import { listOf } from '../formats.ts';
import type { Parameters } from '../parameters.ts';
import type { Route } from '../router.ts';
import { token as newToken, type SimulatedToken, type SimulatorState } from '../state.ts';

const path = '/access/users/{userid}/token/{tokenid}';

/** API tokens. The secret is in the answer that makes one, and nowhere else. */
export const tokenRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/access/users/{userid}/token',
    handle: ({ state, parameters }) => {
      const userid = String(parameters.userid);
      userExists(state, userid);
      return { data: tokensOf(state, userid) };
    },
  },
  { method: 'GET', path, handle: ({ state, parameters }) => ({ data: about(tokenNamed(state, parameters)) }) },
  {
    method: 'POST',
    path,
    handle: async ({ state, parameters }) => {
      const { userid, tokenid, comment, expire, privsep } = parameters;
      const id = `${userid}!${tokenid}`;
      userExists(state, String(userid));
      if (state.tokens.has(id)) throw invalidParameters({ tokenid: 'Token already exists.' });
      const value = await changeClusterFile(state, 'user.cfg', 'generating token failed', () => {
        const [, made] = newToken(String(userid), String(tokenid), privsep !== 0);
        if (comment !== undefined) made.comment = String(comment);
        if (expire !== undefined) made.expire = Number(expire);
        state.tokens.set(id, made);
        return made.secret;
      });
      const info = privsep === undefined ? { privsep: 1, ...asSent(parameters) } : asSent(parameters);
      return { data: { 'full-tokenid': id, value, info } };
    },
  },
  {
    method: 'PUT',
    path,
    handle: async ({ state, parameters }) => {
      const token = tokenNamed(state, parameters);
      const { comment, expire, privsep } = parameters;
      const unset = listOf(parameters.delete);
      const odd = unset.find((name) => name !== 'comment');
      if (odd !== undefined) throw invalidParameters({ delete: `unknown option '${odd}'` });
      await changeClusterFile(state, 'user.cfg', 'updating token info failed', () => {
        if (comment !== undefined) token.comment = String(comment);
        if (unset.includes('comment')) delete token.comment;
        if (expire !== undefined) token.expire = Number(expire);
        if (privsep !== undefined) token.separated = privsep === 1;
      });
      return { data: { ...about(token), ...asSent(parameters) } };
    },
  },
  {
    method: 'DELETE',
    path,
    handle: async ({ state, parameters }) => {
      const { user, name } = tokenNamed(state, parameters);
      await changeClusterFile(state, 'user.cfg', 'deleting token failed', () => {
        state.tokens.delete(`${user}!${name}`);
        removeEntries(state, (subject) => subject === `${user}!${name}`);
      });
      return { data: null };
    },
  },
];

/** What is known of a user's tokens: never their secrets. */
export function tokensOf(state: SimulatorState, userid: string) {
  return [...state.tokens.values()]
    .filter(({ user }) => user === userid)
    .map((token) => ({ tokenid: token.name, ...about(token) }));
}

function about({ expire, separated, comment }: SimulatedToken) {
  return { expire, privsep: separated ? 1 : 0, ...(comment === undefined ? {} : { comment }) };
}

/** What was sent comes back as the text that it was. */
function asSent(parameters: Parameters): Record<string, string> {
  const sent = ['comment', 'expire', 'privsep'].filter((name) => parameters[name] !== undefined);
  return Object.fromEntries(sent.map((name) => [name, String(parameters[name])]));
}

function tokenNamed(state: SimulatorState, { userid, tokenid }: Parameters): SimulatedToken {
  userExists(state, String(userid));
  const token = state.tokens.get(`${userid}!${tokenid}`);
  if (!token) throw new ApiFailure(500, `no such token '${tokenid}' for user '${userid}'`);
  return token;
}
