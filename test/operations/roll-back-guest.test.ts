import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rollBackGuest } from '../../src/operations/roll-back-guest.ts';
import { type ApiChangeLab, createApiChangeLab } from '../support/api-change.ts';
import { addStorage, letSnapshot } from '../support/cluster-state.ts';

let lab: ApiChangeLab;
beforeEach(async () => {
  lab = await createApiChangeLab();
  letSnapshot(lab, 101);
  for (const vmid of [100, 101, 120]) await lab.carryOut('snapshot-guest', { vmid, snapshot: 'before' });
});
afterEach(() => lab.close());

const operation = 'roll-back-guest';
const guestOf = (vmid: number) => {
  const guest = lab.simulator.state.guests.get(vmid);
  if (guest?.config === undefined) throw new Error(`no guest ${vmid}`);
  return guest as typeof guest & { config: NonNullable<typeof guest.config> };
};

describe.each([
  ['a VM that runs', 100, 'qemu', 'pve1', 'running'],
  ['a container that runs', 101, 'lxc', 'pve2', 'running'],
  ['a VM that is off', 120, 'qemu', 'pve1', 'stopped'],
])('%s', (_, vmid, type, node, status) => {
  it('is what it was, by one task, and on or off as before', async () => {
    const made = lab.writes().length;
    const guest = guestOf(vmid);
    const { pid } = guest;
    guest.config.memory = 4096;
    const { look, output, upids } = await lab.carryOutTwice(operation, { vmid, snapshot: 'before' });
    expect(guest.config.memory).not.toBe(4096);
    expect(guest.status).toBe(status);
    if (status === 'running') expect(guest.pid).not.toBe(pid);
    expect(output).toMatchObject({ before: status, after: status, later: [] });
    expect(upids).toHaveLength(1);
    expect(lab.writes().slice(made)).toEqual([`POST /nodes/${node}/${type}/${vmid}/snapshot/before/rollback`]);
    expect(look.plan.steps[1]?.does[0]).toBe(
      `POST /nodes/${node}/${type}/${vmid}/snapshot/before/rollback start=${status === 'running' ? 1 : 0}`,
    );
    expect(look.plan.affected.join()).toContain('memory 4096 →');
    expect(look.plan.affected.some((line) => line.includes('is cut off'))).toBe(status === 'running');
  });
});

it('starts or stays off as it was told', async () => {
  await lab.carryOut(operation, { vmid: 100, snapshot: 'before', start: false });
  expect(guestOf(100).status).toBe('stopped');
  await lab.carryOut(operation, { vmid: 120, snapshot: 'before', start: true });
  expect(guestOf(120).status).toBe('running');
});

it('goes on from its RAM, whatever was asked for', async () => {
  await lab.carryOut('snapshot-guest', { vmid: 100, snapshot: 'warm', withRam: true });
  const { output } = await lab.carryOut(operation, { vmid: 100, snapshot: 'warm', start: false });
  expect(output).toMatchObject({ after: 'running' });
  expect(guestOf(100).status).toBe('running');
});

it('can not be taken back, and says what is lost', async () => {
  const { output } = await lab.carryOut(operation, { vmid: 120, snapshot: 'before' });
  expect(rollBackGuest.undo?.reverse({ host: 'pve1', vmid: 120, snapshot: 'before' }, output)).toEqual({
    why: expect.stringContaining('is lost'),
  });
});

describe('what lies', () => {
  it.each([
    ['a task that is OK, while the guest ran on', 100, {}, 'ran on all the while'],
    ['one that leaves the configuration as it is', 120, { memory: 4096 }, 'memory 4096 →'],
    ['one after which another snapshot counts', 120, { parent: 'other' }, 'does not stand on before'],
  ])('%s', async (_, vmid, changed, message) => {
    const { parent, ...config } = changed as { parent?: string; memory?: number };
    Object.assign(guestOf(vmid).config, config);
    if (parent !== undefined) guestOf(vmid).parent = parent;
    lab.simulator.inject({ kind: 'silent' }, { task: 'qmrollback' });
    await expect(lab.carryOut(operation, { vmid, snapshot: 'before' })).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining(message),
    });
  });
});

describe('is refused before anything is done', () => {
  let made = 0;
  beforeEach(() => {
    made = lab.writes().length;
  });
  afterEach(() => expect(lab.writes()).toHaveLength(made));

  it('a snapshot that is not there', async () => {
    await expect(lab.look(operation, { vmid: 100, snapshot: 'after' })).rejects.toMatchObject({
      code: 'not-found',
      remedy: expect.stringContaining('before'),
    });
  });

  it('a guest that is locked', async () => {
    guestOf(100).lock = 'backup';
    await expect(lab.look(operation, { vmid: 100, snapshot: 'before' })).rejects.toMatchObject({
      code: 'proxmox-locked',
    });
  });

  it('one that the HA stack manages', async () => {
    guestOf(100).ha = { state: 'started' };
    await expect(lab.look(operation, { vmid: 100, snapshot: 'before' })).rejects.toMatchObject({
      code: 'conflict',
      remedy: expect.stringContaining('change-ha'),
    });
  });

  it('an older snapshot on a storage that only goes back to the newest', async () => {
    addStorage(lab, 'tank', { plugin: 'zfspool' });
    const guest = guestOf(120);
    const config = { ...guest.config, scsi0: 'tank:vm-120-disk-0,size=16G' };
    guest.snapshots = ['one', 'two'].map((name, at) => ({ name, snaptime: 100 + at, description: '', config }));
    await expect(lab.look(operation, { vmid: 120, snapshot: 'one' })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringMatching(/tank \(zfspool\).*two/),
    });
  });
});
