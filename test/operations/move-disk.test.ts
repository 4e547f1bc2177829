import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { moveDisk } from '../../src/operations/move-disk.ts';
import type { Reversal } from '../../src/operations/reversal.ts';
import { type ApiChangeLab, createApiChangeLab } from '../support/api-change.ts';

let lab: ApiChangeLab;
beforeEach(async () => {
  lab = await createApiChangeLab();
  for (const node of ['pve1', 'pve2']) {
    lab.simulator.state.storages.push({
      storage: 'fast',
      node,
      plugin: 'lvmthin',
      content: 'images,rootdir',
      shared: false,
      status: 'available',
      total: 100 * 2 ** 30,
      used: 2 ** 30,
    });
  }
});
afterEach(() => lab.close());

const operation = 'move-disk';

/** The guest's disks: the configuration's lines, and the volumes that there are. */
function disksOf(vmid: number): unknown {
  const { guests, volumes } = lab.simulator.state;
  const { config } = guests.get(vmid) ?? {};
  return structuredClone({ config, volumes: volumes.filter((one) => one.vmid === vmid).map(({ volid }) => volid) });
}

describe.each([
  ['a VM that runs', 100, 'scsi0', 'POST /nodes/pve1/qemu/100/move_disk'],
  ['a VM that is off', 120, 'scsi0', 'POST /nodes/pve1/qemu/120/move_disk'],
  ['a container that is off', 102, 'rootfs', 'POST /nodes/pve1/lxc/102/move_volume'],
])('a disk of %s', (_, vmid, disk, call) => {
  it('moves, once, and its source is gone', async () => {
    const { output, upids } = await lab.carryOutTwice(operation, { vmid, disk, storage: 'fast' });
    expect(output).toMatchObject({
      disk,
      from: expect.stringMatching(/^local:/),
      to: expect.stringMatching(new RegExp(`^fast:vm-${vmid}-disk-\\d$`)),
    });
    expect(upids).toHaveLength(1);
    expect(lab.writes()).toEqual([call]);
    expect(lab.simulator.state.volumes.filter((one) => one.vmid === vmid).map(({ volid }) => volid)).toEqual([
      output.to,
    ]);
  });

  it('is moved back after a failure', async () => {
    const before = disksOf(vmid);
    const input = { vmid, disk, storage: 'fast' };
    const request = await lab.request(operation, input);
    const { look } = await lab.carryOut(operation, input);
    await lab.undo(request, look);
    expect(disksOf(vmid)).toEqual(before);
  });

  it('is moved back by the run that takes this one back', async () => {
    const before = disksOf(vmid);
    const { output } = await lab.carryOut(operation, { vmid, disk, storage: 'fast' });
    const reversal = moveDisk.undo?.reverse({ host: 'pve1', vmid, disk, storage: 'fast' }, output) as Exclude<
      Reversal,
      { why: string }
    >;
    const back = await lab.look(operation, reversal.input);
    for (const line of reversal.expects) expect(back.plan.state).toContainEqual(line);
    await lab.carryOut(operation, reversal.input);
    expect(disksOf(vmid)).toEqual(before);
  });
});

it('keeps the source where that is wanted', async () => {
  const { output } = await lab.carryOut(operation, { vmid: 120, disk: 'scsi0', storage: 'fast', keepSource: true });
  expect(lab.simulator.state.guests.get(120)?.config).toMatchObject({
    scsi0: expect.stringContaining('fast:'),
    unused0: output.from,
  });
});

it('is there already: nothing is called', async () => {
  const { look, output } = await lab.carryOut(operation, { vmid: 120, disk: 'scsi0', storage: 'local' });
  expect(look.steps).toEqual([]);
  expect(moveDisk.undo?.reverse({ host: 'pve1', vmid: 120, disk: 'scsi0', storage: 'local' }, output)).toHaveProperty(
    'why',
  );
});

describe('what lies', () => {
  it('a task that is OK and has moved nothing', async () => {
    lab.simulator.inject({ kind: 'silent' }, { task: 'qmmove' });
    await expect(lab.carryOut(operation, { vmid: 120, disk: 'scsi0', storage: 'fast' })).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining('scsi0 is local:120'),
    });
  });

  it('a disk that the configuration has there and the storage does not', async () => {
    const input = { vmid: 120, disk: 'scsi0', storage: 'fast' };
    const request = await lab.request(operation, input);
    const { look } = await lab.carryOut(operation, input);
    const { volumes } = lab.simulator.state;
    volumes.splice(
      volumes.findIndex((one) => one.vmid === 120),
      1,
    );
    const step = look.steps[0];
    const { node, seen } = look;
    await expect(
      lab.verify({ ...request, node, seen, step: { title: step?.title ?? '', line: step?.line ?? '' } }),
    ).rejects.toMatchObject({ code: 'verification-failed', message: expect.stringContaining('has no volume') });
  });

  it('a task that fails midway leaves the disk where it was, and nothing to take back', async () => {
    const before = disksOf(120);
    lab.simulator.inject({ kind: 'task-fails', exitstatus: 'storage migration failed: io error' }, { task: 'qmmove' });
    const input = { vmid: 120, disk: 'scsi0', storage: 'fast' };
    const request = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    await expect(lab.carryOutFrom(request, look)).rejects.toMatchObject({ code: 'command-failed' });
    await lab.undo(request, look);
    expect(disksOf(120)).toEqual(before);
    expect(lab.writes()).toHaveLength(1);
  });
});

describe('is refused before anything is done', () => {
  afterEach(() => expect(lab.writes()).toEqual([]));

  it.each([
    [{ vmid: 120, disk: 'scsi9', storage: 'fast' }, 'not-found', 'scsi9'],
    [{ vmid: 120, disk: 'scsi0', storage: 'nowhere' }, 'not-found', 'nowhere'],
    [{ vmid: 101, disk: 'rootfs', storage: 'fast' }, 'conflict', 'runs'],
  ])('%j', async (input, code, message) => {
    await expect(lab.look(operation, input)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it('snapshots that need the source', async () => {
    const guest = lab.simulator.state.guests.get(120);
    if (guest) guest.snapshots = [{ name: 'before', snaptime: 1, description: '', config: {} }];
    await expect(lab.look(operation, { vmid: 120, disk: 'scsi0', storage: 'fast' })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('before'),
    });
    const kept = await lab.look(operation, { vmid: 120, disk: 'scsi0', storage: 'fast', keepSource: true });
    expect(kept.steps).toHaveLength(1);
  });

  it('a storage that is full, and one for other things', async () => {
    const lift = lab.simulator.inject({ kind: 'full-storage', storage: 'fast' });
    const look = () => lab.look(operation, { vmid: 120, disk: 'scsi0', storage: 'fast' });
    await expect(look()).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('free') });
    lift();
    const storage = lab.simulator.state.storages.find((one) => one.storage === 'fast');
    Object.assign(storage ?? {}, { content: 'iso' });
    await expect(look()).rejects.toMatchObject({ code: 'invalid-input', remedy: expect.stringContaining('local') });
  });

  it('a guest that is locked', async () => {
    const guest = lab.simulator.state.guests.get(120);
    if (guest) guest.lock = 'snapshot';
    await expect(lab.look(operation, { vmid: 120, disk: 'scsi0', storage: 'fast' })).rejects.toMatchObject({
      code: 'proxmox-locked',
    });
  });
});
