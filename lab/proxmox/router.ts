import type { Permissions } from './access.ts';
import type { Answer } from './answer.ts';
import type { ParameterRules, Parameters } from './parameters.ts';
import type { Caller, SimulatorState } from './state.ts';
import type { TaskEngine } from './tasks.ts';

/** One request as a handler sees it: authenticated, permitted, on the right node, its parameters checked. */
export interface Call {
  readonly state: SimulatorState;
  readonly tasks: TaskEngine;
  readonly caller: Caller;
  readonly permissions: Permissions;
  /** Path and query parameters together, as Proxmox has them. */
  readonly parameters: Parameters;
}

/** One method of one path template. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** `/nodes/{node}/status` */
  readonly path: string;
  /** Of the query or body; the names in the path are added as strings, unless they are here. */
  readonly parameters?: ParameterRules;
  /** Checked before anything is looked up, so that a caller without it can't tell what exists. */
  readonly permission?: { readonly path: string; readonly anyOf: readonly string[] };
  /** Answered by the node named in the path: an unknown or dead node fails here. */
  readonly onNode?: boolean;
  readonly handle: (call: Call) => Answer | Promise<Answer>;
}

export interface Match {
  readonly route: Route;
  readonly pathParameters: Readonly<Record<string, string>>;
}

export type Router = (method: string, path: string) => Match | undefined;

/** Finds routes by path template; doubled and trailing slashes don't matter, as with Proxmox. */
export function createRouter(routes: readonly Route[]): Router {
  const compiled = routes.map((route) => ({ route, segments: split(route.path) }));
  return (method, path) => {
    const given = split(path);
    for (const { route, segments } of compiled) {
      if (route.method !== method || segments.length !== given.length) continue;
      const pathParameters = bind(segments, given);
      if (pathParameters) return { route, pathParameters };
    }
    return undefined;
  };
}

function bind(template: readonly string[], given: readonly string[]): Record<string, string> | undefined {
  const bound: Record<string, string> = {};
  for (const [index, segment] of template.entries()) {
    const value = given[index] ?? '';
    if (segment.startsWith('{')) bound[segment.slice(1, -1)] = value;
    else if (segment !== value) return undefined;
  }
  return bound;
}

function split(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '');
}

/** Fills a permission's path: `/nodes/{node}` with the call's parameters. */
export function fillPath(template: string, parameters: Readonly<Record<string, string>>): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => parameters[name] ?? '');
}
