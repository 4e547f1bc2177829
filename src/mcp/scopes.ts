import { ServiceError } from '../errors.ts';
import type { Risk } from '../operations/definition.ts';
import type { Requester } from '../operations/run.ts';
import { includesScope, type Scope } from '../tokens/token.ts';

/** Who is calling: a token's name and scope over HTTP, the login name over stdio. */
export interface Caller {
  readonly name: string;
  readonly scope: Scope;
  /** The person whose agent the token is. */
  readonly owner?: string;
  /** Of a token: when it was made. */
  readonly createdAt?: string;
}

/** The caller as runs know who asked. */
export function asRequester({ name, owner }: Caller): Requester {
  return { kind: 'mcp', name, ...(owner !== undefined && { for: owner }) };
}

/** The same of what outlives the call: its runs end with the very token that asked for them. */
export function asMaker(caller: Caller): Requester {
  return { ...asRequester(caller), ...(caller.createdAt !== undefined && { token: caller.createdAt }) };
}

/** The one map from what a request can do to the scope that it needs. */
const scopeByRisk: Readonly<Record<Risk, Scope>> = { read: 'read', change: 'operate', dangerous: 'admin' };

/** The scope that a tool or operation of this risk needs. */
export function scopeFor(risk: Risk): Scope {
  return scopeByRisk[risk];
}

/** Whether the caller may ask for something of this risk. */
export function mayUse(caller: Caller, risk: Risk): boolean {
  return includesScope(caller.scope, scopeFor(risk));
}

/** `forbidden`: `what` is of a risk that the caller's scope doesn't cover. */
export function outOfScope(what: string, risk: Risk, caller: Caller): ServiceError {
  const scope = scopeFor(risk);
  return new ServiceError({
    code: 'forbidden',
    message: `${what} needs the scope "${scope}", and the token "${caller.name}" has "${caller.scope}"`,
    remedy: `An administrator can make a token that may: npx proxmox-mcp token create NAME --scope ${scope}.`,
    details: { scope },
  });
}
