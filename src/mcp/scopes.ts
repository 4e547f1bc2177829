import type { Risk } from '../operations/definition.ts';
import { includesScope, type Scope } from '../tokens/token.ts';

/** Who is calling: a token's name and scope over HTTP, the login name over stdio. */
export interface Caller {
  readonly name: string;
  readonly scope: Scope;
}

/** The one map from what a tool can do to the scope that it needs. */
const scopeByRisk: Readonly<Record<Risk, Scope>> = { read: 'read', change: 'operate', dangerous: 'admin' };

/** The scope that a tool or operation of this risk needs. */
export function scopeFor(risk: Risk): Scope {
  return scopeByRisk[risk];
}

/** Whether the caller may use something of this risk. */
export function mayUse(caller: Caller, risk: Risk): boolean {
  return includesScope(caller.scope, scopeFor(risk));
}
