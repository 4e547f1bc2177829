import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addDisk } from '../../src/operations/add-disk.ts';
import { removeDisk } from '../../src/operations/remove-disk.ts';
import type { Reversal } from '../../src/operations/reversal.ts';
import { type ApiChangeLab, createApiChangeLab } from '../support/api-change.ts';

let lab: ApiChangeLab;
beforeEach(async () => {
  lab = await createApiChangeLab();
  const { volumes } = lab.simulator.state;
  volumes.push({
    storage: 'local',
    node: 'pve1',
    volid: 'local:import/debian-13.qcow2',
    content: 'import',
    format: 'qcow2',
    size: 3 * 2 ** 30,
    used: 2 ** 29,
    ctime: 1,
  });
});
afterEach(() => lab.close());

/** The guest's disks: the configuration, and the volumes that there are. */
function disksOf(vmid: number): unknown {
  const { guests, volumes } = lab.simulator.state;
  const { config, pending = {} } = guests.get(vmid) ?? {};
  const own = volumes.filter((one) => one.vmid === vmid).map(({ volid }) => volid);
  return structuredClone({ config, pending, volumes: own });
}

describe('add-disk', () => {
  const operation = 'add-disk';

  it.each([100, 120])('gives the VM %s an empty disk in the next free slot, once', async (vmid) => {
    const { output, upids, look } = await lab.carryOutTwice(operation, { vmid, storage: 'local', sizeGiB: 8 });
    expect(output).toMatchObject({ slot: 'scsi1', volume: expect.stringMatching(/^local:/), size: 8 * 2 ** 30 });
    expect(upids).toHaveLength(1);
    expect(lab.writes()).toEqual([`POST /nodes/pve1/qemu/${vmid}/config`]);
    expect(look.plan.steps[1]?.does[0]).toContain('scsi1=local:8 digest=');
  });

  it('imports an image', async () => {
    const { output } = await lab.carryOutTwice(operation, {
      vmid: 120,
      storage: 'local',
      image: 'local:import/debian-13.qcow2',
      slot: 'virtio1',
    });
    expect(output).toMatchObject({ slot: 'virtio1', size: 3 * 2 ** 30 });
  });

  it.each([100, 120])('of the VM %s is deleted again after a failure', async (vmid) => {
    const before = disksOf(vmid);
    const input = { vmid, storage: 'local', sizeGiB: 8 };
    const request = await lab.request(operation, input);
    const { look } = await lab.carryOut(operation, input);
    await lab.undo(request, look);
    expect(disksOf(vmid)).toEqual(before);
  });

  it('is detached by the run that takes it back', async () => {
    const input = { vmid: 120, storage: 'local', sizeGiB: 8 };
    const { output } = await lab.carryOut(operation, input);
    const reversal = addDisk.undo?.reverse({ host: 'pve1', ...input }, output) as Exclude<Reversal, { why: string }>;
    expect(reversal).toMatchObject({ operation: 'remove-disk', remains: expect.any(String) });
    const back = await lab.look('remove-disk', reversal.input);
    for (const line of reversal.expects) expect(back.plan.state).toContainEqual(line);
  });

  it('a task that is OK and has done nothing is found', async () => {
    lab.simulator.inject({ kind: 'silent' }, { task: 'qmconfig' });
    await expect(lab.carryOut(operation, { vmid: 120, storage: 'local', sizeGiB: 8 })).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining('scsi1 is not set'),
    });
  });

  it('somebody else’s disk is never deleted', async () => {
    const input = { vmid: 120, storage: 'local', sizeGiB: 8 };
    const request = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    const { config } = lab.simulator.state.guests.get(120) ?? {};
    // The slot has got the disk that the VM had before.
    if (config) config.scsi1 = String(config.scsi0);
    await lab.undo(request, look);
    expect(lab.writes()).toEqual([]);
  });

  it.each([
    [{ vmid: 102, storage: 'local', sizeGiB: 8 }, 'invalid-input', 'no VM'],
    [{ vmid: 120, storage: 'local' }, 'invalid-input', 'Neither'],
    [{ vmid: 120, storage: 'local', sizeGiB: 8, image: 'local:import/debian-13.qcow2' }, 'invalid-input', 'Both'],
    [{ vmid: 120, storage: 'local', sizeGiB: 8, slot: 'scsi0' }, 'already-exists', 'scsi0'],
    [{ vmid: 120, storage: 'local', sizeGiB: 8, slot: 'scsi99' }, 'invalid-input', 'scsi99'],
    [{ vmid: 120, storage: 'nowhere', sizeGiB: 8 }, 'not-found', 'nowhere'],
    [{ vmid: 120, storage: 'local', image: 'local:import/nosuch.qcow2' }, 'not-found', 'nosuch'],
  ])('refuses %j', async (input, code, message) => {
    await expect(lab.look(operation, input)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
    expect(lab.writes()).toEqual([]);
  });

  it.each(['/etc/shadow', 'local:../../etc/shadow', 'local:import/a.qcow2,import-from=/etc/shadow', 'a b'])(
    'refuses the image %s before a run begins',
    (image) => {
      expect(addDisk.input.safeParse({ host: 'pve1', vmid: 120, storage: 'local', image }).success).toBe(false);
    },
  );
});

describe('remove-disk', () => {
  const operation = 'remove-disk';

  it.each([
    [120, 'scsi0', 'qemu'],
    [100, 'scsi0', 'qemu'],
  ])('detaches the disk of %s, and it is attached again after a failure', async (vmid, disk, type) => {
    const before = disksOf(vmid);
    const request = await lab.request(operation, { vmid, disk, action: 'detach' });
    const { look, output } = await lab.carryOutTwice(operation, { vmid, disk, action: 'detach' });
    expect(output).toMatchObject({ unused: 'unused0', deleted: false, pending: false });
    expect(lab.writes()).toEqual([`PUT /nodes/pve1/${type}/${vmid}/config`]);
    await lab.undo(request, look);
    expect(disksOf(vmid)).toEqual(before);
  });

  it('is attached again by the run that takes it back', async () => {
    const before = disksOf(120);
    const input = { vmid: 120, disk: 'scsi0', action: 'detach' as const };
    const { output } = await lab.carryOut(operation, input);
    const reversal = removeDisk.undo?.reverse({ host: 'pve1', ...input }, output) as Exclude<Reversal, { why: string }>;
    const back = await lab.look('configure-guest', reversal.input);
    for (const line of reversal.expects) expect(back.plan.state).toContainEqual(line);
    await lab.carryOut('configure-guest', reversal.input);
    expect(disksOf(120)).toEqual(before);
  });

  it('deletes a disk of a guest that is off, in two steps', async () => {
    const { output } = await lab.carryOutTwice(operation, { vmid: 120, disk: 'scsi0', action: 'delete' });
    expect(output).toMatchObject({ deleted: true, volume: 'local:120/vm-120-disk-0.qcow2' });
    expect(lab.writes()).toHaveLength(2);
    expect(disksOf(120)).toMatchObject({ volumes: [] });
    const given = { host: 'pve1', vmid: 120, disk: 'scsi0', action: 'delete' };
    expect(removeDisk.undo?.reverse(given, output)).toEqual({ why: expect.stringContaining('backup') });
  });

  it('deletes an unused disk, and nothing else', async () => {
    await lab.carryOut('add-disk', { vmid: 120, storage: 'local', sizeGiB: 8 });
    await lab.carryOut(operation, { vmid: 120, disk: 'scsi1', action: 'detach' });
    await lab.carryOut(operation, { vmid: 120, disk: 'unused0', action: 'delete' });
    expect(disksOf(120)).toMatchObject({ volumes: ['local:120/vm-120-disk-0.qcow2'] });
  });

  it('a mount point of a container goes the same way', async () => {
    const { guests, volumes } = lab.simulator.state;
    const guest = guests.get(102);
    if (guest?.config) guest.config.mp0 = 'local:102/vm-102-disk-1.raw,mp=/data,size=4G';
    const [own] = volumes.filter((one) => one.vmid === 102);
    if (own) volumes.push({ ...own, volid: 'local:102/vm-102-disk-1.raw', size: 4 * 2 ** 30 });
    const before = disksOf(102);
    const input = { vmid: 102, disk: 'mp0', action: 'detach' as const };
    const request = await lab.request(operation, input);
    const { look } = await lab.carryOut(operation, input);
    await lab.undo(request, look);
    expect(disksOf(102)).toEqual(before);
    await lab.carryOut(operation, { ...input, action: 'delete' });
    expect(disksOf(102)).toMatchObject({ volumes: ['local:102/vm-102-disk-0.raw'] });
  });

  it.each([
    [{ vmid: 120, disk: 'scsi0', action: 'detach' }, 'scsi0 is still there'],
    [{ vmid: 120, disk: 'scsi0', action: 'delete' }, 'scsi0 is still there'],
  ])('an answer without effect is found: %j', async (input, message) => {
    lab.simulator.inject({ kind: 'silent' }, { method: 'PUT' });
    await expect(lab.carryOut(operation, input)).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining(message),
    });
  });

  it.each([
    [{ vmid: 120, disk: 'scsi5', action: 'detach' }, 'not-found'],
    [{ vmid: 102, disk: 'rootfs', action: 'delete' }, 'invalid-input'],
    [{ vmid: 100, disk: 'scsi0', action: 'delete' }, 'conflict'],
  ])('refuses %j', async (input, code) => {
    await expect(lab.look(operation, input)).rejects.toMatchObject({ code });
    expect(lab.writes()).toEqual([]);
  });

  it('refuses a protected guest, one with snapshots, one that is locked', async () => {
    const guest = lab.simulator.state.guests.get(120);
    if (guest === undefined) throw new Error('there is no such guest');
    const look = () => lab.look(operation, { vmid: 120, disk: 'scsi0', action: 'delete' });
    guest.protection = true;
    await expect(look()).rejects.toMatchObject({ code: 'forbidden' });
    guest.protection = false;
    guest.snapshots = [{ name: 'before', snaptime: 1, description: '', config: {} }];
    await expect(look()).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('before') });
    guest.snapshots = [];
    guest.lock = 'backup';
    await expect(look()).rejects.toMatchObject({ code: 'proxmox-locked' });
  });
});
