import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { jsonSchema } from '../../src/mcp/json-schema.ts';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import { allTools } from '../../src/mcp/tools/all.ts';
import { ask } from './lib/clients.ts';
import { type MemoryService, memoryService } from './lib/memory-service.ts';

let serving: HttpServing;
let service: MemoryService;
let url: string;

beforeAll(async () => {
  service = memoryService();
  serving = await serveHttp(service, { version: '1.0.0' });
  url = `http://127.0.0.1:${serving.port}/api/mcp`;
});

afterAll(() => serving.close());

interface Property {
  readonly type?: string | readonly string[];
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly anyOf?: readonly Property[];
  readonly additionalProperties?: unknown;
  readonly properties?: Readonly<Record<string, unknown>>;
}

interface Tool {
  readonly name: string;
  readonly inputSchema: { readonly properties?: Record<string, Property>; readonly required?: readonly string[] };
}

/** Values that a property's schema refuses. */
function wrongFor(property: Property): fc.Arbitrary<unknown> {
  const types = (property.anyOf ?? [property]).flatMap(({ type }) => type ?? []);
  const accepts = (type: string) => types.includes(type) || (type === 'number' && types.includes('integer'));
  const others = [
    ...(accepts('string') ? [] : [fc.string()]),
    ...(accepts('number') ? [] : [fc.double({ noNaN: true, noDefaultInfinity: true })]),
    ...(accepts('boolean') ? [] : [fc.boolean()]),
    ...(accepts('null') ? [] : [fc.constant(null)]),
    // Of a list an empty one may be right, and any text in it.
    accepts('array')
      ? fc.array(fc.constantFrom(null, true), { minLength: 1, maxLength: 3 })
      : fc.array(fc.jsonValue(), { maxLength: 3 }),
    // Of a record, and of an object of which nothing is said, any may be right, and of another object an empty one.
    ...(typeof property.additionalProperties === 'object' || (accepts('object') && property.properties === undefined)
      ? []
      : [fc.dictionary(fc.string({ maxLength: 10 }), fc.jsonValue(), { minKeys: 1, maxKeys: 3 })]),
  ];
  const outside = [
    ...(property.enum === undefined ? [] : [fc.string().filter((text) => !property.enum?.includes(text))]),
    ...(property.pattern === undefined
      ? []
      : [
          fc.string({ unit: 'binary' }).filter((text) => !new RegExp(property.pattern ?? '', 'u').test(text)),
          fc.constantFrom(
            '',
            '../../etc/passwd',
            'pve1\n',
            "pve1'; reboot #",
            '$(reboot)',
            'pve1\u0000',
            'x'.repeat(5_000),
          ),
        ]),
    ...(property.maximum === undefined
      ? []
      : [fc.integer({ min: property.maximum + 1, max: Number.MAX_SAFE_INTEGER })]),
    ...(property.minimum === undefined ? [] : [fc.integer({ min: -1_000_000, max: property.minimum - 1 })]),
    ...(property.type === 'integer' ? [fc.constantFrom(1.5, 1e300)] : []),
    ...((property.maxLength ?? 1e9) > 10_000 ? [] : [fc.constant('y'.repeat((property.maxLength ?? 0) + 1))]),
    ...((property.minLength ?? 0) < 2 ? [] : [fc.constantFrom('', ' ', '   ')]),
  ];
  return fc.oneof(...others, ...outside);
}

/** A right value, so that one wrong field is the only thing wrong. */
function rightFor(name: string, property: Property): unknown {
  if (property.enum !== undefined) return property.enum[0];
  if (name === 'host') return 'pve1';
  if (name === 'operation') return 'back-up';
  if (name === 'input') return { host: 'pve1' };
  // Of a schedule as well as of a run.
  if (name === 'id') return 'back-up/daily/pve1';
  if (name === 'cron') return '0 3 * * *';
  if (property.type === 'boolean') return true;
  if (property.type === 'integer') return property.minimum ?? 1;
  return 'because of a test';
}

/** One call of a tool with one field wrong, missing or unknown. */
function malformed(tool: Tool): fc.Arbitrary<{ tool: string; args: unknown; field: string }> {
  const properties = Object.entries(tool.inputSchema.properties ?? {});
  const required = new Set(tool.inputSchema.required ?? []);
  const right = Object.fromEntries(
    properties.filter(([name]) => required.has(name)).map(([name, property]) => [name, rightFor(name, property)]),
  );
  const unknown = fc
    .tuple(
      fc
        .stringMatching(/^[A-Za-z_][A-Za-z0-9_ .$-]{0,20}$/)
        .filter((key) => !properties.some(([name]) => name === key)),
      fc.jsonValue(),
    )
    .map(([key, value]) => ({ tool: tool.name, args: { ...right, [key]: value }, field: key }));
  const notAnObject = fc
    .oneof(fc.string(), fc.integer(), fc.boolean(), fc.array(fc.jsonValue(), { maxLength: 3 }))
    .map((args) => ({ tool: tool.name, args, field: 'arguments' }));
  const wrong = properties.map(([name, property]) =>
    wrongFor(property).map((value) => ({ tool: tool.name, args: { ...right, [name]: value }, field: name })),
  );
  const missing = [...required].map((name) =>
    fc.constant({
      tool: tool.name,
      args: Object.fromEntries(Object.entries(right).filter(([key]) => key !== name)),
      field: name,
    }),
  );
  return fc.oneof(unknown, notAnObject, ...wrong, ...missing);
}

it('1,000 malformed calls: each a clear error that names the field, none a crash, none a change', async () => {
  const { last } = await ask(url, 'admin-token', 'tools/list');
  const listed: Tool[] = last.result.tools;
  // What is published leaves out forms and lengths, which are checked all the same.
  const whole = new Map(allTools(service.operations).map(({ name, input }) => [name, jsonSchema(input.strict())]));
  const tools = listed.map(({ name, inputSchema }) => ({ name, inputSchema: whole.get(name) ?? inputSchema }) as Tool);
  let calls = 0;
  await fc.assert(
    fc.asyncProperty(fc.oneof(...tools.map(malformed)), async ({ tool, args, field }) => {
      calls += 1;
      const answer = await ask(url, 'admin-token', 'tools/call', { name: tool, arguments: args });
      // Arguments that are no object break the protocol; all else is the tool's to explain.
      const message: string = answer.last.error?.message ?? answer.last.result.content[0].text;
      expect(answer.status).toBeLessThan(500);
      if (answer.last.error === undefined) expect(answer.last.result.isError).toBe(true);
      else expect(answer.last.error.code).toBe(-32_602);
      expect(message).toContain(field);
      expect(message).not.toMatch(/internal:|undefined is not|\bat \w+ \(/);
      expect(message.length).toBeLessThan(8_000);
    }),
    { numRuns: 1_000, endOnFailure: true },
  );
  expect(calls).toBeGreaterThanOrEqual(1_000);
  expect(service.runs.started).toEqual([]);
  expect(service.schedules.changes).toEqual([]);
  expect((await ask(url, 'admin-token', 'tools/list')).status).toBe(200);
}, 120_000);

it('a thousand bodies that are no requests: refused, and the server goes on', async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.json({ maxDepth: 3 }), fc.string(), fc.base64String()), async (body) => {
      const response = await fetch(url, {
        method: 'POST',
        headers: {
          authorization: 'Bearer admin-token',
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
        },
        body,
      });
      await response.text();
      expect(response.status).toBeGreaterThanOrEqual(400);
      expect(response.status).toBeLessThan(500);
    }),
    { numRuns: 1_000, endOnFailure: true },
  );
  expect((await ask(url, 'admin-token', 'tools/list')).status).toBe(200);
}, 120_000);
