import type { AuthInfo, ServerContext } from '@modelcontextprotocol/server';
import type { Caller } from '../scopes.ts';

/** A caller in the form that the SDK hands through. The token itself goes no further than the HTTP server. */
export function authInfoOf(caller: Caller): AuthInfo {
  return { token: '', clientId: caller.name, scopes: [caller.scope], extra: { caller } };
}

/** Who makes this request. Without an identity nothing is served: the HTTP server refuses earlier. */
export function callerOf(context: ServerContext, local: Caller | undefined): Caller {
  const caller = callerIn(context.http?.authInfo) ?? local;
  if (caller === undefined) throw new Error('a request without a caller reached the tools');
  return caller;
}

/** The caller that {@link authInfoOf} put in. */
export function callerIn(auth: AuthInfo | undefined): Caller | undefined {
  return auth?.extra?.caller as Caller | undefined;
}
