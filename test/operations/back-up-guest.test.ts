import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Fault } from '../../lab/proxmox/faults.ts';
import type { SimulatedArchive, SimulatedGuest } from '../../lab/proxmox/state.ts';
import { type ApiChangeLab, createApiChangeLab, run } from '../support/api-change.ts';

let lab: ApiChangeLab;
beforeEach(async () => {
  lab = await createApiChangeLab();
});
afterEach(() => lab.close());

const operation = 'back-up-guest';
const vm = 100;
const container = 103;
const day = 86_400;
const ago = (days: number) => Math.floor(Date.now() / 1000) - days * day;

function guestOf(vmid: number): SimulatedGuest {
  const guest = lab.simulator.state.guests.get(vmid);
  if (guest === undefined) throw new Error(`no guest ${vmid}`);
  return guest;
}

function archivesOf(vmid: number): readonly SimulatedArchive[] {
  return lab.simulator.state.archives.filter((one) => one.vmid === vmid);
}

/** A container on the host itself, with a root disk. */
function haveContainer(more: Readonly<Record<string, string>> = {}): void {
  const { state } = lab.simulator;
  state.guests.set(container, {
    vmid: container,
    type: 'lxc',
    name: 'files',
    node: 'pve1',
    status: 'stopped',
    cpus: 1,
    memory: 2 ** 29,
    disk: 2 ** 32,
    template: false,
  } as SimulatedGuest);
  Object.assign(guestOf(container).config ?? {}, more);
}

const input = { vmid: vm, storage: 'local' };

describe.each([
  ['a VM that runs', vm, 'qemu'],
  ['a container', container, 'lxc'],
] as const)('%s', (_, vmid, type) => {
  beforeEach(() => {
    if (vmid === container) haveContainer();
    lab.simulator.state.archives.splice(0);
  });

  it('is backed up once, with what was planned, and nothing older goes', async () => {
    lab.simulator.state.archives.push({ storage: 'local', node: 'pve1', vmid, type, takenAt: ago(1), size: 100 });
    const { look, output, findings } = await lab.carryOutTwice(operation, { vmid, storage: 'local', notes: 'why' });
    expect(lab.writes()).toEqual(['POST /nodes/pve1/vzdump']);
    expect(look.plan.steps[1]?.does[0]).toMatch(/^POST \/nodes\/pve1\/vzdump vmid=\d+ storage=local mode=snapshot/);
    expect(look.plan.steps[1]?.does[0]).toContain('remove=0');
    const [old, made] = archivesOf(vmid);
    expect(old?.size).toBe(100);
    expect(made?.notes).toBe(`Proxmox MCP: ${run}\n${guestOf(vmid).name}: why`);
    expect(output).toMatchObject({
      vmid,
      storage: 'local',
      archive: expect.stringContaining(`vzdump-${type}-${vmid}-`),
    });
    expect(output.holds).toEqual([type === 'qemu' ? 'scsi0' : 'rootfs']);
    expect(findings.filter(({ verdict }) => verdict !== 'ok')).toEqual([]);
  });
});

it('is protected, slowed down and fleeced where that is asked for', async () => {
  const asked = { ...input, protect: true, bwlimitKiB: 1024, fleecing: 'local', compress: 'gzip', mode: 'suspend' };
  const { look } = await lab.carryOut(operation, asked);
  expect(archivesOf(vm).at(-1)).toMatchObject({ protected: true, format: 'vma.gz' });
  expect(look.plan.steps[1]?.does[0]).toContain('fleecing=enabled=1,storage=local bwlimit=1024');
  expect(look.plan.affected.join()).toContain('stands still while it is backed up');
});

// More ways to have success without one: test/backups/success-without-backup.
describe('a backup that does not come about', () => {
  const faulty = (fault: Fault) => () => {
    lab.simulator.inject(fault, { task: 'vzdump' });
  };

  beforeEach(() => {
    const { archives } = lab.simulator.state;
    archives.splice(0);
    for (const days of [3, 2, 1])
      archives.push({ storage: 'local', node: 'pve1', vmid: vm, type: 'qemu', takenAt: ago(days), size: 300 });
  });

  it('counts without a disk that the guest has only from its next start, and says so', async () => {
    guestOf(vm).pending = { sata0: 'local:100/vm-100-disk-7.qcow2,size=1G' };
    const { findings, output } = await lab.carryOut(operation, input);
    expect(output.holds).toEqual(['scsi0']);
    expect(findings).toContainEqual(
      expect.objectContaining({ check: 'Not in the archive', summary: expect.stringContaining('sata0') }),
    );
  });

  it('an archive that goes while it is looked at', async () => {
    const look = await lab.look(operation, input);
    const carried = lab.carryOutFrom(await lab.request(operation, input), look);
    const gone = (async () => {
      await expect.poll(() => archivesOf(vm).length, { interval: 5 }).toBe(4);
      await new Promise((resolve) => setTimeout(resolve, 40));
      lab.simulator.state.archives.pop();
    })();
    await expect(carried).rejects.toMatchObject({ code: 'verification-failed' });
    await gone;
  });

  it.each<readonly [string, () => void, string]>([
    [
      'its backup fails within the job',
      () => {
        guestOf(vm).behaviour = { backupError: 'qmeventd went away' };
      },
      'failed: job errors (Backup of VM 100 failed - qmeventd went away)',
    ],
    [
      'the storage fills up',
      () => lab.simulator.inject({ kind: 'full-storage', storage: 'local' }),
      'No space left on device',
    ],
    [
      'its task is aborted',
      faulty({ kind: 'task-fails', exitstatus: 'interrupted by signal' }),
      'interrupted by signal',
    ],
  ])('%s', async (_, prepare, message) => {
    const look = await lab.look(operation, input);
    prepare();
    await expect(lab.carryOutFrom(await lab.request(operation, input), look)).rejects.toMatchObject({
      code: 'command-failed',
      message: expect.stringContaining(message),
    });
  });

  it('is told in the plan where a disk is kept out of backups', async () => {
    Object.assign(guestOf(vm).config ?? {}, { scsi1: 'local:100/vm-100-disk-1.qcow2,backup=0,size=4G' });
    const { plan } = await lab.look(operation, input);
    expect(plan.risks.join()).toContain('scsi1 is kept out of backups (backup=0)');
  });

  it('a mount point that is not marked, and a folder of the node', async () => {
    haveContainer({ mp0: 'local:103/vm-103-disk-1.raw,mp=/data,size=4G', mp1: '/srv/films,mp=/films' });
    const { findings, output } = await lab.carryOut(operation, { vmid: container, storage: 'local' });
    expect(output).toMatchObject({ holds: ['rootfs'], leavesOut: ['mp0', 'mp1'] });
    const left = findings.filter(({ check }) => check === 'Not in the archive').map(({ summary }) => summary);
    expect(left).toEqual([
      'mp0 is not marked for backups (backup=1): /data',
      'mp1 is a folder or a device of the node (/srv/films), which is never backed up',
    ]);
  });
});

describe('undone', () => {
  it('it takes its own archive away, and no other', async () => {
    lab.simulator.state.archives.splice(0);
    lab.simulator.state.archives.push({
      storage: 'local',
      node: 'pve1',
      vmid: vm,
      type: 'qemu',
      takenAt: ago(1),
      size: 9,
    });
    const request = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    await lab.carryOutFrom(request, look);
    await lab.undo({ ...request, run: `${run}-2` }, look);
    expect(archivesOf(vm)).toHaveLength(2);
    await lab.undo(request, look);
    expect(archivesOf(vm)).toMatchObject([{ size: 9 }]);
  });

  it('it leaves the only one that there is', async () => {
    lab.simulator.state.archives.splice(0);
    const request = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    await lab.carryOutFrom(request, look);
    await lab.undo(request, look);
    expect(archivesOf(vm)).toHaveLength(1);
  });
});

describe('is refused before anything is done', () => {
  afterEach(() => expect(lab.writes()).toEqual([]));

  it('a guest that is locked', async () => {
    guestOf(vm).lock = 'migrate';
    await expect(lab.look(operation, input)).rejects.toMatchObject({ code: 'proxmox-locked' });
  });

  it('a storage that takes no backups, and mode stop under HA', async () => {
    await expect(lab.look(operation, { vmid: vm, storage: 'local-lvm' })).rejects.toThrow(/local-lvm/);
    guestOf(vm).ha = { state: 'started' };
    await expect(lab.look(operation, { ...input, mode: 'stop' })).rejects.toMatchObject({ details: { field: 'mode' } });
  });

  it.each(['{{nope}}', 'two\nlines'])('the notes %j', async (notes) => {
    await expect(lab.request(operation, { ...input, notes })).rejects.toThrow(/notes/);
  });
});

it('says what Windows makes of a backup with an agent', async () => {
  Object.assign(guestOf(vm).config ?? {}, { ostype: 'win11', agent: '1' });
  const { plan } = await lab.look(operation, input);
  expect(plan.risks.join()).toContain('VSS takes this for a full backup');
});
