import { cleanLine, cleanText } from '../../reports/clean.ts';
import type { ApiMethodName } from '../client.ts';

// What the API says of itself, as far as it is used. All of it is a host's text: names that aren't names are left out, and
// descriptions are cleaned and bounded; they may say anything, and are never more than something to show.

/** What one parameter takes. */
export interface ApiParameter {
  /** `vmid`; `net[n]` stands for `net0`, `net1` … */
  readonly name: string;
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'array' | 'object';
  readonly optional: boolean;
  readonly description?: string;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  /** A regular expression of Perl's. Only shown: one of a host is executed nowhere else. */
  readonly pattern?: string;
  /** `pve-storage-id`; of a text with parts of its own: the parts, as `[model=]<enum>,bridge=…`. */
  readonly format?: string;
  readonly default?: string;
  /** Another parameter that it needs beside it. */
  readonly requires?: string;
  /** Of an array: what each of it takes. */
  readonly items?: Pick<ApiParameter, 'type' | 'enum'>;
}

/** One call of the API. */
export interface ApiMethod {
  /** `/nodes/{node}/qemu/{vmid}/config` */
  readonly template: string;
  readonly method: ApiMethodName;
  readonly description: string;
  readonly parameters: ReadonlyMap<string, ApiParameter>;
  /** Whether it takes parameters that it doesn't name. */
  readonly takesMore: boolean;
  /** What the API token needs for it, in words. */
  readonly permissions: string;
  /** Proxmox lets no API token use it. */
  readonly noToken: boolean;
  /** It is executed as root on the node. */
  readonly isProtected: boolean;
  /** What it answers: `null`, `string`, `array of {vmid, name}`. */
  readonly returns: string;
}

/** All calls of one version of the API. */
export interface ApiSchema {
  readonly methods: readonly ApiMethod[];
  /** The calls of a template by their method. */
  at(template: string): ReadonlyMap<ApiMethodName, ApiMethod>;
  /** Every template, each once. */
  readonly templates: readonly string[];
}

const most = {
  methods: 10_000,
  parameters: 600,
  depth: 40,
  path: 300,
  description: 1_500,
  enum: 200,
  value: 100,
  shown: 400,
  fields: 60,
} as const;

const methodNames = ['GET', 'POST', 'PUT', 'DELETE'] as const;
const segmentForm = /^(?:[A-Za-z0-9][A-Za-z0-9_.-]*|\{[A-Za-z][A-Za-z0-9_-]*\})$/;
const nameForm = /^[A-Za-z][A-Za-z0-9_.-]{0,99}(?:\[n\])?$/;

/** Reads the tree; what isn't a call of the API is left out. Undefined where no call is in it. */
export function createApiSchema(tree: readonly unknown[]): ApiSchema | undefined {
  const byTemplate = new Map<string, Map<ApiMethodName, ApiMethod>>();
  const methods: ApiMethod[] = [];

  function add(node: unknown, depth: number): void {
    if (!isRecord(node) || depth > most.depth) return;
    const template = templateOf(node.path);
    if (template !== undefined && isRecord(node.info)) {
      const here = byTemplate.get(template) ?? new Map<ApiMethodName, ApiMethod>();
      for (const method of methodNames) {
        const info = own(node.info, method);
        if (!isRecord(info) || here.has(method) || methods.length >= most.methods) continue;
        const made = methodOf(template, method, info);
        here.set(method, made);
        methods.push(made);
      }
      if (here.size > 0) byTemplate.set(template, here);
    }
    if (Array.isArray(node.children)) for (const child of node.children) add(child, depth + 1);
  }

  for (const node of tree) add(node, 0);
  if (methods.length === 0) return undefined;
  methods.sort((a, b) => (a.template === b.template ? order(a.method, b.method) : order(a.template, b.template)));
  const none: ReadonlyMap<ApiMethodName, ApiMethod> = new Map();
  return { methods, at: (template) => byTemplate.get(template) ?? none, templates: [...byTemplate.keys()].sort(order) };
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function templateOf(path: unknown): string | undefined {
  if (typeof path !== 'string' || !path.startsWith('/') || path.length > most.path) return undefined;
  return path
    .slice(1)
    .split('/')
    .every((segment) => segmentForm.test(segment))
    ? path
    : undefined;
}

function methodOf(template: string, method: ApiMethodName, info: Record<string, unknown>): ApiMethod {
  const declared = isRecord(info.parameters) ? info.parameters : {};
  const parameters = new Map<string, ApiParameter>();
  for (const [name, about] of entriesOf(declared.properties).slice(0, most.parameters)) {
    if (nameForm.test(name)) parameters.set(name, parameterOf(name, about));
  }
  return {
    template,
    method,
    description: textOf(info.description),
    parameters,
    takesMore: isTrue(declared.additionalProperties),
    permissions: permissionsOf(info.permissions),
    noToken: info.allowtoken !== undefined && !isTrue(info.allowtoken),
    isProtected: isTrue(info.protected),
    returns: cleanLine(returnsOf(info.returns, 0), most.shown),
  };
}

function parameterOf(name: string, about: unknown): ApiParameter {
  const given = isRecord(about) ? about : {};
  const description = textOf(given.description);
  const values = enumOf(given.enum);
  const items = isRecord(given.items) ? given.items : undefined;
  return {
    name,
    type: typeOf(given.type),
    optional: isTrue(given.optional),
    ...(description === '' ? {} : { description }),
    ...(values === undefined ? {} : { enum: values }),
    ...numbers(given, ['minimum', 'maximum', 'minLength', 'maxLength']),
    ...(typeof given.pattern === 'string' ? { pattern: cleanLine(given.pattern, most.shown) } : {}),
    ...(given.format === undefined ? {} : { format: formatOf(given.format) }),
    ...(isScalar(given.default) ? { default: cleanLine(String(given.default), most.value) } : {}),
    ...(typeof given.requires === 'string' && nameForm.test(given.requires) ? { requires: given.requires } : {}),
    ...(items === undefined ? {} : { items: itemsOf(items) }),
  };
}

function itemsOf(items: Record<string, unknown>): NonNullable<ApiParameter['items']> {
  const values = enumOf(items.enum);
  return { type: typeOf(items.type), ...(values === undefined ? {} : { enum: values }) };
}

function typeOf(type: unknown): ApiParameter['type'] {
  const known = ['integer', 'number', 'boolean', 'array', 'object'] as const;
  return known.find((one) => one === type) ?? 'string';
}

function enumOf(values: unknown): readonly string[] | undefined {
  if (!Array.isArray(values) || values.length === 0) return undefined;
  // Half a list would refuse what the other half allows.
  if (values.length > most.enum || !values.every(isScalar)) return undefined;
  return values.map((value) => cleanLine(String(value), most.value));
}

function numbers(
  given: Record<string, unknown>,
  names: readonly ('minimum' | 'maximum' | 'minLength' | 'maxLength')[],
) {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = Number(given[name] ?? Number.NaN);
      return Number.isFinite(value) ? [[name, value]] : [];
    }),
  ) as Partial<Record<(typeof names)[number], number>>;
}

/** A format's name, or the parts of a text that has some: `[model=]<e1000|virtio>,bridge=<pve-bridge-id>`. */
function formatOf(format: unknown): string {
  if (typeof format === 'string') return cleanLine(format, most.value);
  const parts = entriesOf(format)
    .slice(0, most.fields)
    .flatMap(([name, about]) => {
      if (!nameForm.test(name) || !isRecord(about) || about.alias !== undefined) return [];
      const values = enumOf(about.enum)?.slice(0, 12).join('|');
      const value = values ?? (typeof about.format === 'string' ? about.format : typeOf(about.type));
      const key = isTrue(about.default_key) ? `[${name}=]` : `${name}=`;
      return [`${key}<${cleanLine(value, most.value)}>`];
    });
  return cleanLine(parts.join(','), most.shown * 2);
}

/** `VM.Audit on /vms/{vmid}`, `(Sys.Audit on / or Sys.Modify on /)`. */
function permissionsOf(permissions: unknown): string {
  if (!isRecord(permissions)) return 'root@pam itself';
  const checked = permissions.check === undefined ? '' : checkText(permissions.check, 0);
  const everybody = permissions.user === 'all' ? 'everybody who is signed in' : '';
  const world = permissions.user === 'world' ? 'everybody' : '';
  const described = typeof permissions.description === 'string' ? cleanLine(permissions.description, most.shown) : '';
  const said = [checked || everybody || world, described].filter((part) => part !== '').join('; ');
  return cleanLine(said || 'not said', most.shown * 2);
}

function checkText(check: unknown, depth: number): string {
  if (!Array.isArray(check) || depth > 5) return '…';
  const [kind, first, second, ...more] = check.slice(0, 12) as unknown[];
  if ((kind === 'and' || kind === 'or') && check.length > 1) {
    const parts = check.slice(1, 12).map((part) => checkText(part, depth + 1));
    const text = parts.join(` ${kind} `);
    return depth === 0 || parts.length === 1 ? text : `(${text})`;
  }
  if (kind === 'perm' && typeof first === 'string' && Array.isArray(second)) {
    const anyOf = more.includes('any');
    const names = second.slice(0, 20).map((name) => cleanLine(String(name), most.value));
    return `${names.join(anyOf ? ' or ' : ' and ')} on ${cleanLine(first, most.value)}`;
  }
  return cleanLine([kind, first, second].filter(isScalar).join(' '), most.value);
}

function returnsOf(returns: unknown, depth: number): string {
  if (!isRecord(returns)) return 'not said';
  const type = typeof returns.type === 'string' ? cleanLine(returns.type, 20) : 'not said';
  if (type === 'array') {
    return isRecord(returns.items) && depth < 2 ? `array of ${returnsOf(returns.items, depth + 1)}` : 'array';
  }
  if (type !== 'object') return type;
  const names = entriesOf(returns.properties)
    .map(([name]) => name)
    .filter((name) => nameForm.test(name));
  return names.length === 0 ? 'object' : `{${names.slice(0, most.fields).join(', ')}}`;
}

function textOf(text: unknown): string {
  return typeof text === 'string' ? cleanText(text, most.description) : '';
}

/** Perl's 0 and 1, and JSON's own. */
function isTrue(value: unknown): boolean {
  return value === true || value === 1 || value === '1';
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

function entriesOf(value: unknown): [string, unknown][] {
  return isRecord(value) ? Object.entries(value) : [];
}

function own(record: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
