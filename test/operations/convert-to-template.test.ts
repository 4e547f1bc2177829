import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { convertToTemplate } from '../../src/operations/convert-to-template.ts';
import { type ApiChangeLab, createApiChangeLab } from '../support/api-change.ts';
import { addStorage, letSnapshot } from '../support/cluster-state.ts';

let lab: ApiChangeLab;
beforeEach(async () => {
  lab = await createApiChangeLab();
});
afterEach(() => lab.close());

const operation = 'convert-to-template';
const guestOf = (vmid: number) => {
  const guest = lab.simulator.state.guests.get(vmid);
  if (guest?.config === undefined) throw new Error(`no guest ${vmid}`);
  return guest as typeof guest & { config: NonNullable<typeof guest.config> };
};

describe.each([
  ['a VM', 120, 'qemu', 1],
  ['a container', 102, 'lxc', 0],
])('%s that is off', (_, vmid, type, tasks) => {
  it('is a template with base volumes, converted once', async () => {
    const { look, output, upids } = await lab.carryOutTwice(operation, { vmid });
    expect(guestOf(vmid).template).toBe(true);
    expect(output).toMatchObject({ wasTemplate: false, disks: [expect.stringMatching(/base/)] });
    expect(upids).toHaveLength(tasks);
    expect(lab.writes()).toEqual([`POST /nodes/pve1/${type}/${vmid}/template`]);
    expect(look.plan.steps[1]?.does).toEqual([`POST /nodes/pve1/${type}/${vmid}/template`]);
    expect(convertToTemplate.undo?.reverse({ host: 'pve1', vmid, dryRun: false }, output as never)).toEqual({
      why: expect.stringContaining('full clone'),
    });
  });

  it('that is one already is left as it is', async () => {
    await lab.carryOut(operation, { vmid });
    const made = lab.writes().length;
    const { look, output } = await lab.carryOut(operation, { vmid });
    expect(look.steps).toEqual([]);
    expect(look.done).toContain('a template already');
    expect(lab.writes()).toHaveLength(made);
    expect(convertToTemplate.undo?.reverse({ host: 'pve1', vmid, dryRun: false }, output as never)).toEqual({
      why: expect.stringContaining('nothing was done'),
    });
  });
});

describe('what lies', () => {
  it('a task that is OK and has converted nothing', async () => {
    lab.simulator.inject({ kind: 'silent' }, { task: 'qmtemplate' });
    await expect(lab.carryOut(operation, { vmid: 120 })).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining('is no template'),
    });
  });

  it('a container’s call that is answered and does nothing', async () => {
    lab.simulator.inject({ kind: 'silent' }, { template: '/nodes/{node}/lxc/{vmid}/template' });
    await expect(lab.carryOut(operation, { vmid: 102 })).rejects.toMatchObject({ code: 'verification-failed' });
  });

  it('a template whose disk is none to clone from', async () => {
    const request = await lab.request(operation, { vmid: 120 });
    const { look } = await lab.carryOut(operation, { vmid: 120 });
    guestOf(120).config.scsi0 = 'local:120/vm-120-disk-0.qcow2,size=16G';
    const { node, seen, steps } = look;
    const step = { title: 'Convert', line: steps[0]?.line ?? '' };
    await expect(lab.verify({ ...request, node, seen, step })).rejects.toMatchObject({
      message: expect.stringContaining('scsi0 is not one to clone from'),
    });
  });
});

describe('is refused before anything is done', () => {
  afterEach(() => expect(lab.writes().filter((line) => line.includes('/template'))).toEqual([]));

  it('one that runs, is locked, or is in HA', async () => {
    await expect(lab.look(operation, { vmid: 100 })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('is running'),
    });
    guestOf(120).lock = 'backup';
    await expect(lab.look(operation, { vmid: 120 })).rejects.toMatchObject({ code: 'proxmox-locked' });
    guestOf(102).ha = { state: 'stopped' };
    await expect(lab.look(operation, { vmid: 102 })).rejects.toMatchObject({
      message: expect.stringContaining('HA stack'),
    });
  });

  it('one with snapshots', async () => {
    letSnapshot(lab, 102);
    for (const vmid of [120, 102]) {
      await lab.carryOut('snapshot-guest', { vmid, snapshot: 'before' });
      await expect(lab.look(operation, { vmid })).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringContaining('before'),
      });
    }
  });

  it('one with a disk on a storage without templates', async () => {
    addStorage(lab, 'thick', { plugin: 'lvm' });
    guestOf(120).config.scsi1 = 'thick:vm-120-disk-1,size=8G';
    await expect(lab.look(operation, { vmid: 120 })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('scsi1 on thick'),
    });
  });
});
