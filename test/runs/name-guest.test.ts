import type { Client } from '@temporalio/client';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Config } from '../../src/config.ts';
import { catalogue } from '../../src/operations/catalogue.generated.ts';
import { defineOperation, type OperationDefinition } from '../../src/operations/definition.ts';
import { hostName, hostOfCluster, vmid } from '../../src/operations/inputs.ts';
import { createRuns } from '../../src/runs/create-runs.ts';
import { inputFields } from '../../src/runs/input-fields.ts';
import { type FindGuest, nameGuest, writtenInput } from '../../src/runs/name-guest.ts';
import { loadedConfig } from '../support/config.ts';

const described = {
  title: 'T',
  summary: 'S',
  description: 'D',
  guide: '–',
  risk: 'change',
  exposure: 'search',
  idempotent: true,
  needs: 'api',
  output: () => z.object({}),
  steps: [],
  schedules: [],
} as const;
const onGuest = defineOperation({
  ...described,
  name: 'on-guest',
  target: 'guest',
  input: () => z.object({ host: hostOfCluster(), vmid: vmid(), force: z.boolean().default(false) }),
});
const onHost = defineOperation({
  ...described,
  name: 'on-host',
  target: 'host',
  input: () => z.object({ host: hostName() }),
});

const base = loadedConfig();
const [first] = base.hosts;
if (first === undefined) throw new Error('no host');
const one: Config = { ...base, hosts: [first] };
const two: Config = { ...base, hosts: [first, { ...first, name: 'pve9' }] };

const asked: unknown[] = [];
const findGuest: FindGuest = async (wanted) => {
  asked.push(wanted);
  return { host: 'pve9', vmid: 123 };
};
const name = (raw: unknown, config = two) => nameGuest(onGuest, raw, { config, findGuest });

describe('what is written for a guest', () => {
  it('may be its name, and becomes host and number', async () => {
    expect(await name({ guest: 'files', force: true })).toEqual({ host: 'pve9', vmid: 123, force: true });
    expect(await name({ guest: 'files', host: 'pve9' })).toMatchObject({ vmid: 123 });
    expect(asked.splice(0)).toEqual([
      { guest: 'files', host: undefined },
      { guest: 'files', host: 'pve9' },
    ]);
  });

  it('is looked up by its number only where several hosts could be meant', async () => {
    expect(await name({ vmid: 100, host: 'pve9' })).toEqual({ vmid: 100, host: 'pve9' });
    expect(await name({ guest: '100', host: 'pve9' })).toEqual({ vmid: 100, host: 'pve9' });
    expect(await name({ guest: 100 }, one)).toEqual({ vmid: 100 });
    expect(asked).toEqual([]);
    expect(await name({ vmid: 100 })).toEqual({ host: 'pve9', vmid: 123 });
    expect(asked.splice(0)).toEqual([{ guest: 100, host: undefined }]);
  });

  it('names one guest', async () => {
    await expect(name({})).rejects.toMatchObject({
      code: 'invalid-input',
      message: expect.stringContaining('guest: it is missing'),
    });
    await expect(name({ guest: 'files', vmid: 100 })).rejects.toMatchObject({
      message: expect.stringContaining('guest: it is "files" and vmid is another'),
    });
    await expect(name({ guest: {} })).rejects.toMatchObject({
      message: expect.stringContaining('guest: expected a name'),
    });
    await expect(nameGuest(onGuest, { guest: 'files' }, { config: two })).rejects.toMatchObject({
      message: expect.stringContaining('names are not looked up here'),
    });
    expect(await name({ guest: 100, vmid: 100, host: 'pve9' })).toEqual({ vmid: 100, host: 'pve9' });
  });

  it('is left to the schema where it is about something else', async () => {
    expect(await nameGuest(onHost, { guest: 'files' }, { config: two, findGuest })).toEqual({ guest: 'files' });
    expect(await name('files')).toBe('files');
    expect(await name({ vmid: {}, host: 'pve9' })).toEqual({ vmid: {}, host: 'pve9' });
  });

  it('is asked for by its name, and by its number if one likes', () => {
    expect(inputFields(onGuest).map(({ name: field, isRequired }) => [field, isRequired])).toEqual([
      ['guest', false],
      ['host', false],
      ['vmid', false],
      ['force', false],
    ]);
    expect(writtenInput(onGuest).strict().safeParse({ guest: 100, force: true }).success).toBe(true);
    expect(writtenInput(onGuest).strict().safeParse({ guest: 1.5 }).success).toBe(false);
  });
});

describe('what is written for many guests', () => {
  const selected: unknown[] = [];
  const findHost = async (of: unknown) => {
    selected.push(of);
    return 'pve9';
  };
  const bulk = (raw: unknown, config = two) => nameGuest(catalogue['change-guests'], raw, { config, findHost });
  const request = { change: 'snapshot', with: { snapshot: 'before' }, tag: 'web' };

  it('needs no host, which is looked up where there are several', async () => {
    expect(await bulk(request)).toEqual({ ...request, host: 'pve9' });
    expect(selected.splice(0)).toEqual([expect.objectContaining({ tag: 'web' })]);
    expect(await bulk({ ...request, host: 'pve1' })).toEqual({ ...request, host: 'pve1' });
    expect(await bulk(request, one)).toEqual(request);
    expect(writtenInput(catalogue['change-guests']).strict().safeParse(request).success).toBe(true);
  });

  it('is left to the schema where it is wrong', async () => {
    for (const wrong of [{ ...request, tag: undefined }, { ...request, change: 'eat' }, 'all']) {
      expect(await bulk(wrong)).toEqual(wrong);
    }
    expect(writtenInput(catalogue['change-guests']).safeParse({ change: 'start' }).error?.message).toContain(
      'at least one of tag',
    );
    expect(selected).toEqual([]);
  });
});

it.each(Object.values<OperationDefinition>(catalogue).filter(({ input }) => Object.hasOwn(input.shape, 'host')))(
  'takes no host for $name, where there may be only one',
  (operation) => {
    expect(Object.keys(writtenInput(operation).shape)).toEqual(
      expect.arrayContaining(Object.keys(operation.input.shape)),
    );
    expect(inputFields(operation).find(({ name }) => name === 'host')).toMatchObject({ isRequired: false });
  },
);

it.each(Object.values<OperationDefinition>(catalogue).filter(({ target }) => target === 'guest'))(
  'takes the name of a guest for $name, too',
  (operation) => {
    const fields = Object.keys(operation.input.shape);
    expect(fields).toEqual(expect.arrayContaining(['host', 'vmid']));
    expect(fields).not.toContain('guest');
    const written = writtenInput(operation).shape;
    expect(Object.keys(written)).toEqual(expect.arrayContaining(['guest', ...fields]));
    for (const name of ['guest', 'host', 'vmid']) expect(written[name]?.safeParse(undefined).success).toBe(true);
  },
);

describe('a run of a guest that is named', () => {
  const started: string[] = [];
  const client = {
    workflow: { start: async (_type: string, { workflowId }: { workflowId: string }) => started.push(workflowId) },
  };
  const by = { kind: 'mcp', name: 'claude' } as const;

  it('is of its host and number, also where the request comes again after the guest has moved', async () => {
    const places = [
      { host: 'pve9', vmid: 123 },
      { host: first.name, vmid: 123 },
    ];
    const runs = createRuns({
      client: client as unknown as Client,
      config: two,
      findGuest: async () => places.shift() ?? { host: first.name, vmid: 999 },
    });
    const input = { guest: 'files', action: 'start' };
    await runs.start('control-guest', input, by, { idempotencyKey: 'call 1' });
    await runs.start('control-guest', input, by, { idempotencyKey: 'call 1' });
    await runs.start('control-guest', input, by, { idempotencyKey: 'call 2' });
    await runs.start('control-guest', input, by);
    expect(started.map((id) => id.replace(/\/[^/]*$/, ''))).toEqual([
      'control-guest/pve9.123',
      'control-guest/pve9.123',
      `control-guest/${first.name}.123`,
      `control-guest/${first.name}.999`,
    ]);
    expect(started[0]).toBe(started[1]);
  });
});
