import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resizeDisk } from '../../src/operations/resize-disk.ts';
import { type ApiChangeLab, createApiChangeLab } from '../support/api-change.ts';

let lab: ApiChangeLab;
beforeEach(async () => {
  lab = await createApiChangeLab();
});
afterEach(() => lab.close());

const operation = 'resize-disk';
const gibibyte = 2 ** 30;

describe.each([
  ['a VM that runs', 100, 'scsi0', 'qemu', 'pve1'],
  ['a VM that is off', 120, 'scsi0', 'qemu', 'pve1'],
  ['a container', 101, 'rootfs', 'lxc', 'pve2'],
])('%s', (_, vmid, disk, type, node) => {
  it.each([
    ['+10G', 26],
    ['32G', 32],
  ])('grows by %s, once', async (size, after) => {
    const { output, upids, look } = await lab.carryOutTwice(operation, { vmid, disk, size });
    expect(output).toMatchObject({ disk, before: 16 * gibibyte, after: after * gibibyte });
    expect(upids).toHaveLength(1);
    expect(lab.writes()).toEqual([`PUT /nodes/${node}/${type}/${vmid}/resize`]);
    expect(look.plan.steps[1]?.does[0]).toContain(`disk=${disk} size=${after}G digest=`);
    const volume = lab.simulator.state.volumes.find((one) => one.vmid === vmid);
    expect(volume?.size).toBe(after * gibibyte);
  });
});

it('is as large already: nothing is called', async () => {
  const { look, output } = await lab.carryOut(operation, { vmid: 120, disk: 'scsi0', size: '16384M' });
  expect(look.steps).toEqual([]);
  expect(resizeDisk.undo?.reverse({ host: 'pve1', vmid: 120, disk: 'scsi0', size: '16G' }, output)).toEqual({
    why: expect.stringContaining('already'),
  });
  expect(lab.writes()).toEqual([]);
});

it('can not be taken back, and says what helps', async () => {
  const { output } = await lab.carryOut(operation, { vmid: 120, disk: 'scsi0', size: '+1G' });
  expect(resizeDisk.undo?.reverse({ host: 'pve1', vmid: 120, disk: 'scsi0', size: '+1G' }, output)).toEqual({
    why: expect.stringContaining('backup'),
  });
});

describe('what lies', () => {
  it('a task that is OK and has done nothing', async () => {
    lab.simulator.inject({ kind: 'silent' }, { task: 'resize' });
    await expect(lab.carryOut(operation, { vmid: 120, disk: 'scsi0', size: '+1G' })).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining('scsi0 16G'),
    });
  });

  it('a configuration that says more than the volume has', async () => {
    const input = { vmid: 120, disk: 'scsi0', size: '17G' };
    const request = await lab.request(operation, input);
    const { node, seen, steps } = await lab.look(operation, input);
    // As after a write of the configuration alone.
    const guest = lab.simulator.state.guests.get(120);
    if (guest?.config) guest.config.scsi0 = 'local:120/vm-120-disk-0.qcow2,size=17G';
    const { title = '', line = '' } = steps[0] ?? {};
    await expect(lab.verify({ ...request, node, seen, step: { title, line } })).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining('has 16 GiB'),
    });
  });

  it('a lost answer: the task is found, and no second one is started', async () => {
    lab.simulator.inject({ kind: 'lose-answer' }, { method: 'PUT', times: 1 });
    const { upids, output } = await lab.carryOut(operation, { vmid: 120, disk: 'scsi0', size: '+1G' });
    expect(upids).toHaveLength(1);
    expect(output.after).toBe(17 * gibibyte);
    expect(lab.writes()).toHaveLength(1);
  });
});

describe('is refused before anything is done', () => {
  it.each([
    [{ vmid: 120, disk: 'scsi0', size: '8G' }, 'invalid-input', "can't shrink"],
    [{ vmid: 120, disk: 'scsi7', size: '+1G' }, 'not-found', 'scsi7'],
    [{ vmid: 101, disk: 'mp3', size: '+1G' }, 'not-found', 'mp3'],
  ])('%j', async (input, code, message) => {
    await expect(lab.look(operation, input)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
      remedy: expect.stringMatching(/scsi0|rootfs|16G/),
    });
    expect(lab.writes()).toEqual([]);
  });

  it('a drive that is no disk', async () => {
    await lab.carryOut('configure-guest', { vmid: 120, set: { ide2: 'none,media=cdrom' } });
    await expect(lab.look(operation, { vmid: 120, disk: 'ide2', size: '+1G' })).rejects.toMatchObject({
      message: expect.stringContaining('CD drive'),
    });
  });

  it('a guest that is locked, and a storage that is full', async () => {
    const guest = lab.simulator.state.guests.get(120);
    if (guest) guest.lock = 'backup';
    await expect(lab.look(operation, { vmid: 120, disk: 'scsi0', size: '+1G' })).rejects.toMatchObject({
      code: 'proxmox-locked',
    });
    if (guest) delete guest.lock;
    lab.simulator.inject({ kind: 'full-storage', storage: 'local' });
    await expect(lab.look(operation, { vmid: 120, disk: 'scsi0', size: '+1G' })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('free'),
    });
  });

  it.each(['10', '-5G', '+G', '1e9G', '10G; rm'])('the size %s, before a run begins', (size) => {
    const parsed = resizeDisk.input.safeParse({ host: 'pve1', vmid: 120, disk: 'scsi0', size });
    expect(parsed.success).toBe(false);
  });
});
