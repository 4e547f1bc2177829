import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { changeHa } from '../../src/operations/change-ha.ts';
import { changeReplication } from '../../src/operations/change-replication.ts';
import type { Reversal } from '../../src/operations/reversal.ts';
import { type ApiChangeLab, createApiChangeLab } from '../support/api-change.ts';

let lab: ApiChangeLab;
beforeEach(async () => {
  lab = await createApiChangeLab();
});
afterEach(() => lab.close());

type Back = Exclude<Reversal, { why: string }>;

describe('change-ha', () => {
  const operation = 'change-ha';
  const haOf = (vmid: number) => {
    const { ha } = lab.simulator.state.guests.get(vmid) ?? {};
    return ha && { requested: ha.requested, max_restart: ha.max_restart, max_relocate: ha.max_relocate };
  };

  it.each([
    [100, 'started'],
    [102, 'stopped'],
  ])('puts %s under HA as it is now, once, and takes it out again', async (vmid, state) => {
    const request = await lab.request(operation, { vmid, action: 'add', maxRestart: 3 });
    const { look, output } = await lab.carryOutTwice(operation, { vmid, action: 'add', maxRestart: 3 });
    expect(output.after).toMatchObject({ state, max_restart: '3' });
    expect(lab.writes()).toEqual(['POST /cluster/ha/resources']);
    expect(haOf(vmid)).toMatchObject({ requested: state, max_restart: 3 });
    await lab.undo(request, look);
    expect(haOf(vmid)).toBeUndefined();
  });

  it('takes a guest out, and puts it back as it was', async () => {
    await lab.carryOut(operation, { vmid: 100, action: 'add', maxRestart: 3, maxRelocate: 2 });
    const before = haOf(100);
    const input = { vmid: 100, action: 'remove' };
    const request = await lab.request(operation, input);
    const { look, output } = await lab.carryOutTwice(operation, input);
    expect(haOf(100)).toBeUndefined();
    await lab.undo(request, look);
    expect(haOf(100)).toEqual(before);
    await lab.carryOut(operation, input);
    const given = { host: 'pve1', vmid: 100, action: 'remove' as const, dryRun: false };
    const reversal = changeHa.undo?.reverse(given, output) as Back;
    const back = await lab.look(operation, reversal.input);
    for (const line of reversal.expects) expect(back.plan.state).toContainEqual(line);
    await lab.carryOut(operation, reversal.input);
    expect(haOf(100)).toEqual(before);
  });

  it('has HA shut a guest down, waits for it, and sets that back', async () => {
    await lab.carryOut(operation, { vmid: 100, action: 'add' });
    const input = { vmid: 100, action: 'set', state: 'stopped' };
    const request = await lab.request(operation, input);
    const { look } = await lab.carryOutTwice(operation, input);
    expect(look.plan.affected.join()).toContain('shuts down');
    expect(lab.simulator.state.guests.get(100)?.status).toBe('stopped');
    await lab.undo(request, look);
    expect(haOf(100)).toMatchObject({ requested: 'started' });
  });

  it('is so already: nothing is called', async () => {
    const { look } = await lab.carryOut(operation, { vmid: 100, action: 'remove' });
    expect(look.steps).toEqual([]);
    expect(lab.writes()).toEqual([]);
  });

  it.each([
    ['POST', { vmid: 100, action: 'add' }],
    ['PUT', { vmid: 101, action: 'set', maxRestart: 5 }],
    ['DELETE', { vmid: 101, action: 'remove' }],
  ])('an answer to %s without effect is found', async (method, input) => {
    await lab.carryOut(operation, { vmid: 101, action: 'add' });
    lab.simulator.inject({ kind: 'silent' }, { method });
    await expect(lab.carryOut(operation, input)).rejects.toMatchObject({ code: 'verification-failed' });
  });

  it.each([
    [{ vmid: 100, action: 'set', state: 'stopped' }, 'conflict'],
    [{ vmid: 101, action: 'set' }, 'invalid-input'],
  ])('refuses %j', async (input, code) => {
    await lab.carryOut(operation, { vmid: 101, action: 'add' });
    await expect(lab.look(operation, input)).rejects.toMatchObject({ code });
  });

  it('refuses a template', async () => {
    const guest = lab.simulator.state.guests.get(120);
    if (guest) guest.template = true;
    await expect(lab.look(operation, { vmid: 120, action: 'add' })).rejects.toMatchObject({ code: 'conflict' });
  });
});

describe('change-replication', () => {
  const operation = 'change-replication';
  const jobs = () => structuredClone([...lab.simulator.state.configuration.replication.values()]);

  beforeEach(() => {
    const { storages, guests } = lab.simulator.state;
    for (const node of ['pve1', 'pve2']) {
      const storage = { storage: 'tank', node, plugin: 'zfspool', content: 'images,rootdir', shared: false } as const;
      storages.push({ ...storage, status: 'available', total: 2 ** 40, used: 0 });
    }
    const { config } = guests.get(100) ?? {};
    if (config) config.scsi0 = 'tank:vm-100-disk-0,size=16G';
  });

  it('creates a job, once, and deletes it again', async () => {
    const input = { vmid: 100, action: 'create', target: 'pve2', schedule: '22:00' };
    const request = await lab.request(operation, input);
    const { look, output } = await lab.carryOutTwice(operation, input);
    expect(output).toMatchObject({ job: '100-0', after: { schedule: '22:00' } });
    expect(lab.writes()).toEqual(['POST /cluster/replication']);
    await lab.undo(request, look);
    expect(jobs()).toEqual([]);
  });

  it('changes and deletes it, and puts both back', async () => {
    await lab.carryOut(operation, { vmid: 100, action: 'create', target: 'pve2', rate: 10 });
    const before = jobs();
    for (const input of [
      { vmid: 100, action: 'set', target: 'pve2', schedule: '*/30', on: false },
      { vmid: 100, action: 'delete', target: 'pve2' },
    ]) {
      const request = await lab.request(operation, input);
      const { look, output } = await lab.carryOutTwice(operation, input);
      expect(jobs()).not.toEqual(before);
      await lab.undo(request, look);
      expect(jobs()).toMatchObject(before.map(({ id, schedule, rate }) => ({ id, schedule, rate })));
      await lab.carryOut(operation, input);
      const reversal = changeReplication.undo?.reverse({ host: 'pve1', ...input } as never, output) as Back;
      const back = await lab.look(operation, reversal.input);
      for (const line of reversal.expects) expect(back.plan.state).toContainEqual(line);
      await lab.carryOut(operation, reversal.input);
      expect(jobs()).toMatchObject(before.map(({ id, schedule, rate }) => ({ id, schedule, rate })));
    }
  });

  it.each([
    ['POST', { action: 'create', target: 'pve2' }],
    ['PUT', { action: 'set', target: 'pve2', schedule: '*/30' }],
    ['DELETE', { action: 'delete', target: 'pve2' }],
  ])('an answer to %s without effect is found', async (method, input) => {
    if (method !== 'POST') await lab.carryOut(operation, { vmid: 100, action: 'create', target: 'pve2' });
    lab.simulator.inject({ kind: 'silent' }, { method });
    await expect(lab.carryOut(operation, { vmid: 100, ...input })).rejects.toMatchObject({
      code: 'verification-failed',
    });
  });

  it.each([
    [{ vmid: 100, action: 'create', target: 'pve1' }, 'invalid-input', 'itself'],
    [{ vmid: 100, action: 'create', target: 'pve9' }, 'not-found', 'pve9'],
    [{ vmid: 102, action: 'create', target: 'pve2' }, 'conflict', 'ZFS'],
    [{ vmid: 100, action: 'set', target: 'pve2', on: false }, 'not-found', 'No job'],
  ])('refuses %j', async (input, code, message) => {
    await expect(lab.look(operation, input)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
    expect(lab.writes()).toEqual([]);
  });

  it('has no such job: nothing is called', async () => {
    const { look } = await lab.carryOut(operation, { vmid: 100, action: 'delete', target: 'pve2' });
    expect(look.steps).toEqual([]);
  });
});
