import type { Permissions } from './access.ts';
import { type Answer, ApiFailure } from './answer.ts';
import type { ParameterRules, Parameters } from './parameters.ts';
import {
  bindSegments,
  findSchemaEntry,
  type HttpMethod,
  type SchemaMethod,
  schemaMethod,
  segmentsOf,
} from './schema.ts';
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

/** One method of one path template. What it doesn't say itself is as the API's schema says. */
export interface Route {
  readonly method: HttpMethod;
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
  readonly schema: SchemaMethod | undefined;
  readonly pathParameters: Readonly<Record<string, string>>;
}

export type Router = (method: string, path: string) => Match | undefined;

/**
 * Finds routes by path template, fixed words before parameters; doubled and trailing slashes don't matter, as with
 * Proxmox. What the schema has and nobody serves here is refused only after its rights and its parameters were checked.
 */
export function createRouter(routes: readonly Route[]): Router {
  const compiled = routes
    .map((route) => ({
      route,
      schema: schemaMethod(route.method, route.path),
      segments: segmentsOf(route.path),
    }))
    .sort((a, b) => parameterCount(a.segments) - parameterCount(b.segments));
  return (method, path) => {
    const given = segmentsOf(path);
    for (const { route, schema, segments } of compiled) {
      if (route.method !== method) continue;
      const pathParameters = bindSegments(segments, given);
      if (pathParameters) return { route, schema, pathParameters };
    }
    return unserved(method as HttpMethod, path);
  };
}

function unserved(method: HttpMethod, path: string): Match | undefined {
  const found = findSchemaEntry(path);
  const schema = found?.entry[method];
  if (!found || !schema) return undefined;
  const handle = () => {
    throw notImplemented(method, path);
  };
  return { route: { method, path: found.path, handle }, schema, pathParameters: found.bound };
}

/** 501, as for a call that there is not. */
export function notImplemented(method: string, path: string): ApiFailure {
  return new ApiFailure(501, `Method '${method} ${path.replace(/\/+/g, '/')}' not implemented`);
}

function parameterCount(segments: readonly string[]): number {
  return segments.filter((segment) => segment.startsWith('{')).length;
}

/** Fills a permission's path: `/nodes/{node}` with the call's parameters. */
export function fillPath(template: string, parameters: Readonly<Record<string, string>>): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => parameters[name] ?? '');
}
