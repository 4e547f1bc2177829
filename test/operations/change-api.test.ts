import { describe, expect, it } from 'vitest';
import { jsonSchema } from '../../src/mcp/json-schema.ts';
import { changeApi } from '../../src/operations/change-api.ts';
import { kindFor, labelFor, locksOf } from '../../src/operations/target.ts';

const parse = (input: Record<string, unknown>) => changeApi.input.strict().safeParse({ host: 'pve1', ...input });
const issues = (input: Record<string, unknown>) =>
  (parse(input).error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`);

describe('the input', () => {
  it('is written in one way, however it was given', () => {
    const given = { method: 'PUT', path: ' /api2/json/nodes/pve1/dns/ ', parameters: { search: 'example.org' } };
    expect(parse(given).data).toMatchObject({ path: '/nodes/pve1/dns', parameters: { search: 'example.org' } });
    // A run parses once more what the edge has parsed.
    expect(parse(parse(given).data ?? {}).data).toEqual(parse(given).data);
  });

  it.each([
    [{ method: 'PUT', path: 'nodes/pve1/dns' }, /^path: expected a path of the API/],
    [{ method: 'PUT', path: '/nodes/../x' }, /^path: expected a path of the API/],
    [{ method: 'GET', path: '/nodes' }, /^method: /],
    [{ method: 'POST', path: '/access/users' }, /^path: POST \/access\/users is not done here/],
    [{ method: 'PUT', path: '/x', parameters: { password: 'a' } }, /^parameters\.password: /],
    [{ method: 'PUT', path: '/x', parameters: { 'a.password': 'a' } }, /^parameters\.a\.password: /],
    [{ method: 'PUT', path: '/x', parameters: { __proto__x: 1 } }, /^parameters\.__proto__x: /],
    [{ method: 'PUT', path: '/x', parameters: { a: { b: 1 } } }, /^parameters\.a: /],
    [{ method: 'PUT', path: '/x', parameters: { a: 'x'.repeat(9_000) } }, /^parameters\.a: /],
    [{ method: 'PUT', path: '/nodes/pve1/qemu/100/config' }, /^vmid: expected 100, the guest in the path/],
    [{ method: 'PUT', path: '/nodes/pve1/qemu/100/config', vmid: 101 }, /^vmid: expected 100/],
    [{ method: 'PUT', path: '/nodes/pve1/dns', vmid: 100 }, /^vmid: expected nothing/],
    [{ method: 'PUT', path: '/nodes/pve1/dns', what: 1 }, /^: .*what/],
  ])('%j is refused by its field', (input, why) => {
    expect(
      issues(input).some((one) => why.test(one)),
      issues(input).join('\n'),
    ).toBe(true);
  });

  it('has a plain schema for clients', () => {
    expect(jsonSchema(changeApi.input.strict())).toMatchObject({
      type: 'object',
      required: ['host', 'method', 'path'],
      properties: { path: { type: 'string' }, method: { enum: ['POST', 'PUT', 'DELETE'] } },
    });
  });
});

describe('what a request is about', () => {
  it('is its guest where it names one, with the guest’s own lock; else its host', () => {
    expect(kindFor(changeApi, { host: 'pve1', vmid: 100 })).toBe('guest');
    expect(kindFor(changeApi, { host: 'pve1' })).toBe('host');
    expect(labelFor(changeApi, { host: 'pve1', vmid: 100 })).toBe('pve1/100');
    expect(labelFor(changeApi, { host: 'pve1' })).toBe('pve1');
    expect(locksOf({ kind: 'host', host: 'pve1' }, changeApi)).toEqual([{ name: 'host/pve1', mode: 'exclusive' }]);
    // Of an operation that only filters by it, it is no guest's.
    expect(kindFor({ target: 'host' }, { host: 'pve1', vmid: 100 })).toBe('host');
  });
});

describe('what takes it back', () => {
  const input = changeApi.input.parse({ host: 'pve1', method: 'PUT', path: '/cluster/options', parameters: { a: 1 } });
  const output = {
    call: 'PUT /cluster/options a=1',
    differences: [],
    settings: [{ name: 'a', before: null, after: '1' }],
  };

  it('is the same call with the former settings', () => {
    expect(changeApi.undo?.reverse(input, { ...output, back: { delete: 'a' } })).toEqual({
      input: { host: 'pve1', method: 'PUT', path: '/cluster/options', parameters: { delete: 'a' } },
      expects: [{ name: 'a', value: '1' }],
      asLongAs: 'nobody has changed these settings since',
    });
  });

  it('is nothing where that isn’t known, with the reason', () => {
    expect(changeApi.undo?.reverse(input, { ...output, noBack: 'The former value of a can not be read.' })).toEqual({
      why: 'The former value of a can not be read.',
    });
    expect(changeApi.undo?.reverse({ ...input, method: 'DELETE' }, { ...output, back: { a: '1' } })).toHaveProperty(
      'why',
    );
    expect(changeApi.undo?.reverse(input, { ...output, settings: [], back: {} })).toHaveProperty('why');
  });
});
