import { z } from 'zod';
import { problemsOfRead, problemsOfWrite } from '../../operations/api-rules.ts';
import { invalidCall } from '../../proxmox/api-schema/check-parameters.ts';
import { otherCall } from '../../proxmox/api-schema/match-path.ts';
import type { ApiMethod, ApiParameter, ApiSchema } from '../../proxmox/api-schema/schema.ts';
import type { ApiMethodName } from '../../proxmox/client.ts';
import { cleanLine, cleanText } from '../../reports/clean.ts';
import { quoteNotice } from '../../reports/quote.ts';
import { type AnyTool, defineTool } from '../define-tool.ts';
import { createWordSearch, type WordSearch } from '../word-search.ts';

const methodNames = ['GET', 'POST', 'PUT', 'DELETE'] as const;
/** How much is answered, in characters: of one description, of all parameters, of what a host's API said. */
const most = {
  line: 160,
  parameter: 240,
  parameters: 20_000,
  answer: 24_000,
  text: 2_000,
  depth: 8,
  name: 120,
} as const;

const searchInput = z.object({
  host: z.string().max(63),
  query: z.string().max(200).optional(),
  path: z.string().max(500).optional().describe('Or its beginning'),
  method: z.enum(methodNames).optional(),
});

/** Finds calls in the schema that a host itself serves. */
const searchApi = defineTool<typeof searchInput, object>({
  name: 'search_api',
  title: 'Search the Proxmox API',
  description:
    "Find calls of a host's own Proxmox VE API by words or path. Of one path and method: its parameters (with words only those), rights, answer.",
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  input: searchInput,
  async handler({ host, query = '', path, method }, { reads }) {
    const schema = await reads.api.of(host);
    const exact = path === undefined ? [] : exactly(schema, path, method);
    const [only, another] = exact;
    if (only !== undefined && another === undefined) {
      const below = schema.methods.filter(({ template }) => template.startsWith(`${only.template}/`));
      return {
        data: {
          note: quoteNotice,
          call: described(only, query),
          ...(below.length > 0 ? { below: below.slice(0, listed).map(inALine) } : {}),
        },
      };
    }
    const found = (exact.length > 0 ? exact : searched(schema, query, path)).filter(
      (one) => method === undefined || one.method === method,
    );
    return {
      data: {
        note: found.length === 0 ? 'No call has these words and this path.' : quoteNotice,
        calls: found.slice(0, listed).map(inALine),
        ...(found.length > listed ? { more: found.length - listed } : {}),
      },
    };
  },
});

/** How many calls are named at once. */
const listed = 25;

/** The calls of a path, written with its values or as a template. */
function exactly(schema: ApiSchema, path: string, method: ApiMethodName | undefined): readonly ApiMethod[] {
  const template = path.replace(/^\/api2\/json(?=\/)/, '').replace(/\/$/, '');
  const wanted = method === undefined ? methodNames : [method];
  const written = schema.at(template);
  return wanted.flatMap((one) => written.get(one) ?? otherCall(schema, one, path)?.about ?? []);
}

const searches = new WeakMap<ApiSchema, WordSearch<ApiMethod>>();
/** What the methods do, in the words that people use. */
const verbs: Readonly<Record<ApiMethodName, string>> = {
  GET: 'get list show read',
  POST: 'create add new make start do',
  PUT: 'change set update edit configure',
  DELETE: 'delete remove',
};

function searched(schema: ApiSchema, query: string, path = ''): readonly ApiMethod[] {
  const known = searches.get(schema);
  const search =
    known ??
    createWordSearch(
      schema.methods.map((one) => ({
        item: one,
        name: `${one.method} ${one.template}`,
        texts: [
          [one.template, 6],
          [one.description.split('\n', 1)[0] ?? '', 4],
          [one.description, 2],
          [verbs[one.method], 1.5],
          [[...one.parameters.keys()].join(' '), 1],
        ],
      })),
    );
  if (known === undefined) searches.set(schema, search);
  const found = query.trim() === '' ? schema.methods : search.find(query);
  // A path with its values fits the template's beginning.
  const beginning = path.split('/').filter((part) => part !== '');
  return found.filter(({ template }) => {
    const shape = template.slice(1).split('/');
    return beginning.every((part, at) => shape[at]?.startsWith('{') || (shape[at] ?? '').startsWith(part));
  });
}

function inALine({ method, template, description }: ApiMethod): string {
  return `${method} ${template}: ${cleanLine(description, most.line)}`;
}

/** One call in full; of its parameters those with the words, where there are words, and the names of the others. */
function described(about: ApiMethod, query: string) {
  const { method, template, description, permissions, returns } = about;
  const own = [...about.parameters.values()].filter(({ name }) => !template.includes(`{${name}}`));
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const hits = own.filter(({ name, description: said = '' }) =>
    words.some((word) => name.toLowerCase().includes(word) || said.toLowerCase().includes(word)),
  );
  const wanted = hits.length > 0 ? hits : own;
  // What has to be given comes first.
  const ordered = wanted.toSorted((a, b) => Number(a.optional) - Number(b.optional));
  let left: number = most.parameters;
  const lines = ordered.map(parameterLine).filter((line) => {
    left -= line.length;
    return left >= 0;
  });
  const shown = new Set(ordered.slice(0, lines.length));
  const others = own.filter((one) => !shown.has(one)).map(({ name }) => name);
  return {
    method,
    path: template,
    description,
    needs: permissions,
    answers: returns,
    parameters: lines,
    ...(others.length === 0 ? {} : { otherParameters: others.join(' ') }),
    by: by(about),
  };
}

function by({ method, template, noToken }: ApiMethod): string {
  if (noToken) return 'Proxmox lets no API token do it';
  const path = template.replaceAll(/[{}]/g, '');
  const problems = method === 'GET' ? problemsOfRead(path, {}) : problemsOfWrite(method, path, {});
  const refused = problems.find(({ field }) => field === 'path');
  if (refused !== undefined) return refused.message;
  return method === 'GET' ? 'read_api' : 'start_dangerous_change with the operation change-api; dryRun first';
}

/** `memory: integer, 16 to 4096, default 512. What it is` */
function parameterLine(about: ApiParameter): string {
  const { name, type, optional, format, pattern, requires, items, description } = about;
  const values = about.enum ?? items?.enum;
  const range = [about.minimum ?? about.minLength, about.maximum ?? about.maxLength];
  const said = [
    `${name}${optional ? '' : ' (needed)'}: ${type}`,
    ...(values === undefined ? [] : [values.slice(0, 40).join('|')]),
    ...(range.every((one) => one === undefined) ? [] : [`${range[0] ?? ''}…${range[1] ?? ''}`]),
    ...(format === undefined ? [] : [format]),
    ...(pattern === undefined ? [] : [`like ${cleanLine(pattern, 80)}`]),
    ...(about.default === undefined ? [] : [`default ${about.default}`]),
    ...(requires === undefined ? [] : [`needs ${requires}`]),
  ];
  return `${said.join(', ')}${description === undefined ? '' : `. ${cleanLine(description, most.parameter)}`}`;
}

const readInput = z.object({
  host: z.string().max(63),
  path: z.string().max(500).describe('Filled, e.g. /nodes/pve1/qemu/100/config'),
  parameters: z.record(z.string(), z.unknown()).optional(),
  offset: z.int().min(0).default(0),
  limit: z.int().min(1).max(500).default(50),
});

/** GET of whatever the schema describes. */
const readApi = defineTool<typeof readInput, object>({
  name: 'read_api',
  title: 'Read the Proxmox API',
  description: 'GET any path that search_api finds, for what no other tool reads. Secrets are masked.',
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  input: readInput,
  async handler({ host, path, parameters: given, offset, limit }, { reads }, { signal }) {
    const page = { offset, limit };
    const parameters = scalars(given);
    const { call, data, ...answered } = await reads.api.read(host, path, parameters, { signal, page });
    const of = { note: quoteNotice, path: call.path };
    const list = typeof data === 'string' && data.includes('\n') ? data.split('\n') : data;
    if (!Array.isArray(list))
      return { data: { ...of, answer: bounded(list, { characters: most.answer }, most.depth) } };
    const skipped = answered.offset === undefined ? list.slice(offset) : list;
    const left = { characters: most.answer as number };
    const items: unknown[] = [];
    for (const item of skipped.slice(0, limit)) {
      const shown = bounded(item, left, most.depth);
      if (left.characters < 0 && items.length > 0) break;
      items.push(shown);
    }
    const total = Math.max(answered.total ?? 0, answered.offset === undefined ? list.length : offset + list.length);
    const next = offset + items.length;
    return { data: { ...of, total, ...(next < total && items.length > 0 ? { next } : {}), items } };
  },
});

/** A union of types in the tool's schema would cost every conversation more than all else that it says of parameters. */
function scalars(given: Readonly<Record<string, unknown>> = {}): Record<string, string | number | boolean> {
  const wrong = Object.entries(given).filter(([, value]) => !['string', 'number', 'boolean'].includes(typeof value));
  if (wrong.length === 0) return given as Record<string, string | number | boolean>;
  throw invalidCall(
    wrong.map(([name]) => ({
      field: `parameters.${cleanLine(name, most.name)}`,
      message: 'expected a text, a number, true or false',
    })),
  );
}

/** What a host's API said, in the length that a conversation bears: what is cut says so. */
function bounded(value: unknown, left: { characters: number }, depth: number): unknown {
  if (typeof value === 'string') {
    const shown = cleanText(value, Math.max(0, Math.min(most.text, left.characters)));
    left.characters -= shown.length + 4;
    return shown;
  }
  if (typeof value !== 'object' || value === null) {
    left.characters -= 8;
    return value;
  }
  if (depth === 0) return '…';
  const entries = Object.entries(value);
  const shown: [string, unknown][] = [];
  for (const [key, inner] of entries) {
    if (left.characters <= 0) break;
    left.characters -= key.length + 4;
    shown.push([cleanLine(key, most.name), bounded(inner, left, depth - 1)]);
  }
  const hidden = entries.length - shown.length;
  if (Array.isArray(value)) {
    const items = shown.map(([, inner]) => inner);
    return hidden === 0 ? items : [...items, `… (${hidden} more)`];
  }
  return Object.fromEntries(hidden === 0 ? shown : [...shown, ['…', `${hidden} more`]]);
}

/** The tools that look at whatever a host's API has. */
export const apiTools: readonly AnyTool[] = [searchApi, readApi];
