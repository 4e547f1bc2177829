import { readFileSync } from 'node:fs';

/** What the API's schema says of one parameter, or of one key of a property string. */
export interface SchemaProperty {
  /** `string` where nothing is said. */
  readonly type?: 'string' | 'integer' | 'number' | 'boolean' | 'array';
  readonly optional?: 1;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  /** A Perl pattern of the whole value. */
  readonly pattern?: string;
  /** A named format, or the keys of a property string (`virtio=…,bridge=…`). */
  readonly format?: string | SchemaProperties;
  readonly default?: string | number;
  /** Only together with this other one. */
  readonly requires?: string;
  readonly items?: SchemaProperty & { readonly properties?: SchemaProperties };
  /** Of a property string: the key of a value that comes without one. */
  readonly default_key?: 1;
  /** Of a property string: another name of this key. */
  readonly alias?: string;
  /** Of a property string: the key that takes this one's name as its value. */
  readonly keyAlias?: string;
}

export type SchemaProperties = Readonly<Record<string, SchemaProperty>>;

/** A permission check as the API writes it: `['perm', '/vms/{vmid}', ['VM.Audit']]`, `['or', check, check]` … */
export type PermissionCheck = readonly [kind: string, ...rest: readonly unknown[]];

export interface SchemaMethod {
  readonly name: string;
  /** Those of the path, too. `net[n]` stands for `net0`, `net1` … */
  readonly parameters?: SchemaProperties;
  /** Other parameters are let through. */
  readonly additional?: 1;
  /** Without any only root@pam may call it; without a check `user` says who: everybody (`world`) or who signed in. */
  readonly permissions?: { readonly check?: PermissionCheck; readonly user?: 'all' | 'world' };
  /** Done by the daemon that is root, not by the proxy. */
  readonly protected?: 1;
  /** The parameter that names the node which answers. */
  readonly proxyto?: string;
  /** 0: not with an API token. */
  readonly allowtoken?: 0;
  /** The type of the answer's data. */
  readonly returns?: string;
}

export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'DELETE';
export type SchemaEntry = Readonly<Partial<Record<HttpMethod, SchemaMethod>>>;

export interface SchemaMatch {
  /** `/nodes/{node}/status` */
  readonly path: string;
  readonly entry: SchemaEntry;
  readonly bound: Readonly<Record<string, string>>;
}

let loaded: Readonly<Record<string, SchemaEntry>> | undefined;

/** Every path of the API of Proxmox VE 9.1 with its methods, from `api-schema.json`. */
export function apiSchema(): Readonly<Record<string, SchemaEntry>> {
  loaded ??= JSON.parse(readFileSync(new URL('./api-schema.json', import.meta.url), 'utf8')) as Record<
    string,
    SchemaEntry
  >;
  return loaded;
}

/** One method of a path template as the schema writes it. */
export function schemaMethod(method: HttpMethod, template: string): SchemaMethod | undefined {
  const schema = apiSchema();
  return Object.hasOwn(schema, template) ? schema[template]?.[method] : undefined;
}

/** The entry of a path as it is called, `/nodes/pve1/status`; a fixed word goes before a parameter. */
export function findSchemaEntry(path: string): SchemaMatch | undefined {
  const given = segmentsOf(path);
  let best: SchemaMatch | undefined;
  for (const [template, entry] of Object.entries(apiSchema())) {
    const bound = bindSegments(segmentsOf(template), given);
    if (bound && (!best || Object.keys(bound).length < Object.keys(best.bound).length)) {
      best = { path: template, entry, bound };
    }
  }
  return best;
}

export function segmentsOf(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '');
}

/** The values of a template's parameters in a path; a volume or a network at its end has slashes of its own. */
export function bindSegments(
  template: readonly string[],
  given: readonly string[],
): Record<string, string> | undefined {
  const last = template.at(-1);
  const takesRest = (last === '{volume}' || last === '{cidr}') && given.length > template.length;
  if (given.length !== template.length && !takesRest) return undefined;
  const bound: Record<string, string> = {};
  for (const [index, segment] of template.entries()) {
    const isLast = index === template.length - 1;
    const value = takesRest && isLast ? given.slice(index).join('/') : (given[index] ?? '');
    if (segment.startsWith('{')) bound[segment.slice(1, -1)] = value;
    else if (segment !== value) return undefined;
  }
  return bound;
}
