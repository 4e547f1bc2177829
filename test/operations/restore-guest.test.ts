import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { archiveVolid } from '../../lab/proxmox/guests/archives.ts';
import type { SimulatedArchive, SimulatedGuest } from '../../lab/proxmox/state.ts';
import { type ApiChangeLab, createApiChangeLab, run } from '../support/api-change.ts';
import { asItIs, takeBackRun } from '../support/cluster-state.ts';

let lab: ApiChangeLab;
beforeEach(async () => {
  lab = await createApiChangeLab();
  lab.simulator.state.archives.splice(0);
  const { behaviour } = guestOf(vm);
  guestOf(vm).behaviour = { ...behaviour };
});
afterEach(() => lab.close());

const operation = 'restore-guest';
/** It runs, on pve1. */
const vm = 100;

function guestOf(vmid: number): SimulatedGuest {
  const guest = lab.simulator.state.guests.get(vmid);
  if (guest === undefined) throw new Error(`no guest ${vmid}`);
  return guest;
}

const volidOf = (one: SimulatedArchive) => archiveVolid(one, 'dir');
const archivesOf = (vmid: number) => lab.simulator.state.archives.filter((one) => one.vmid === vmid);

/** What was called before the restore. */
let since = 0;
const writes = () => lab.writes().slice(since);

/** A backup of the guest as it is now, made as any other one; then the guest goes on. */
async function backedUp(vmid = vm): Promise<string> {
  const { output } = await lab.carryOut('back-up-guest', { vmid, storage: 'local' });
  since = lab.writes().length;
  return String(output.archive);
}

/** A container on the host itself. */
function haveContainer(): number {
  const vmid = 103;
  lab.simulator.state.guests.set(vmid, {
    ...{ vmid, type: 'lxc', name: 'files', node: 'pve1', status: 'stopped' },
    ...{ cpus: 1, memory: 2 ** 29, disk: 2 ** 32, template: false },
  } as SimulatedGuest);
  Object.assign(guestOf(vmid).config ?? {}, {
    net0: 'name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:03,ip=dhcp,type=veth',
  });
  return vmid;
}

describe('to a new number', () => {
  it.each(['qemu', 'lxc'] as const)(
    'a %s is there once, with its disks, other addresses and no network',
    async (type) => {
      const from = type === 'qemu' ? vm : haveContainer();
      const before = String(guestOf(from).config?.net0);
      const archive = await backedUp(from);
      const { output, findings } = await lab.carryOutTwice(operation, { archive, newVmid: 900, storage: 'local' });
      expect(writes()).toEqual([`POST /nodes/pve1/${type}`, `PUT /nodes/pve1/${type}/900/config`]);
      const made = guestOf(900);
      expect(output).toMatchObject({ vmid: 900, name: `${guestOf(from).name}-restored`, replaced: false, madeBy: run });
      expect(made.config?.description).toContain(`Proxmox MCP: ${run}`);
      const mac = /(?:[0-9A-F]{2}:){5}[0-9A-F]{2}/i;
      expect(made.config?.net0).toMatch(/link_down=1/);
      expect(mac.exec(String(made.config?.net0))?.[0]).toBeDefined();
      expect(mac.exec(String(made.config?.net0))?.[0]).not.toBe(mac.exec(before)?.[0]);
      expect(made.onboot ?? false).toBe(false);
      expect(findings.filter(({ verdict }) => verdict !== 'ok')).toEqual([]);
    },
  );

  it('is taken back exactly: at once, and by a run of its own', async () => {
    const input = { archive: await backedUp(), newVmid: 900, storage: 'local' };
    const before = asItIs(lab);
    const request = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    await lab.carryOutFrom(request, look);
    await lab.undo(request, look);
    expect(asItIs(lab)).toBe(before);
    const { output } = await lab.carryOut(operation, input);
    await takeBackRun(lab, operation, input, output);
    expect(asItIs(lab)).toBe(before);
  });

  it('comes up on another bridge, in its pool, and its agent answers', async () => {
    const { state } = lab.simulator;
    state.pools.set('web', { vms: new Set(), storages: new Set() });
    Object.assign(guestOf(vm).config ?? {}, { agent: '1' });
    const archive = await backedUp();
    const asked = { archive, newVmid: 900, name: 'trial', pool: 'web', network: 'kept', bridge: 'vmbr0', start: true };
    const { output } = await lab.carryOut(operation, { ...asked, waitSeconds: 2 });
    expect(guestOf(900)).toMatchObject({ name: 'trial', status: 'running' });
    expect(state.pools.get('web')?.vms.has(900)).toBe(true);
    expect(output).toMatchObject({ status: 'running' });
  });

  it('leaves no empty guest where the archive turns out to be of another kind', async () => {
    const archive = await backedUp();
    const before = asItIs(lab);
    const request = await lab.request(operation, { archive, newVmid: 900, storage: 'local' });
    const look = await lab.look(operation, { archive, newVmid: 900, storage: 'local' });
    lab.simulator.inject({ kind: 'full-storage', storage: 'local' });
    await expect(lab.carryOutFrom(request, look)).rejects.toMatchObject({ code: 'command-failed' });
    await lab.undo(request, look);
    expect(asItIs(lab)).toBe(before);
  });

  it('does nothing where somebody takes the number meanwhile', async () => {
    const archive = await backedUp();
    const request = await lab.request(operation, { archive, newVmid: 900, storage: 'local' });
    const look = await lab.look(operation, { archive, newVmid: 900, storage: 'local' });
    lab.simulator.state.guests.set(900, { ...guestOf(vm), vmid: 900, name: 'theirs' } as SimulatedGuest);
    await expect(lab.carryOutFrom(request, look)).rejects.toThrow(/already exists/);
    await lab.undo(request, look);
    expect(guestOf(900).name).toBe('theirs');
  });
});

describe('over the old one', () => {
  const over = { into: 'over', vmid: vm, stopFirst: true } as const;

  it('it is as it was then, and what it was now is kept', async () => {
    const archive = await backedUp();
    Object.assign(guestOf(vm).config ?? {}, { memory: '4096', description: 'changed since' });
    const { output, look } = await lab.carryOutTwice(operation, { ...over, archive });
    expect(writes()).toEqual([
      'POST /nodes/pve1/qemu/100/status/stop',
      'POST /nodes/pve1/vzdump',
      'POST /nodes/pve1/qemu',
    ]);
    expect(look.plan.steps[3]?.does[0]).toContain('force=1');
    expect(String(guestOf(vm).config?.memory)).not.toBe('4096');
    const copy = archivesOf(vm).at(-1) as SimulatedArchive;
    expect(copy).toMatchObject({ protected: true });
    expect(output).toMatchObject({ replaced: true, safetyCopy: volidOf(copy), madeBy: run, archive });
  });

  it('is taken back: at once, and by a run of its own', async () => {
    const archive = await backedUp();
    Object.assign(guestOf(vm).config ?? {}, { description: 'changed since' });
    const input = { ...over, archive };
    const request = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    await lab.carryOutFrom(request, look);
    await lab.undo(request, look);
    expect(guestOf(vm).config?.description).toBe('changed since');
    expect(guestOf(vm).status).toBe('running');
    const { output } = await lab.carryOut(operation, input);
    expect(guestOf(vm).config?.description).not.toContain('changed since');
    await takeBackRun(lab, operation, input, output);
    expect(guestOf(vm).config?.description).toContain('changed since');
  });

  it.each([
    ['the restore fails', { kind: 'task-fails', exitstatus: 'vma extract failed', after: 'work' }, 'command-failed'],
    ['its disks are missing though the task is OK', { kind: 'without', part: 'disk' }, 'verification-failed'],
  ] as const)('where %s, what it was is put back', async (_, fault, code) => {
    const archive = await backedUp();
    Object.assign(guestOf(vm).config ?? {}, { description: 'changed since' });
    const request = await lab.request(operation, { ...over, archive });
    const look = await lab.look(operation, { ...over, archive });
    const lift = lab.simulator.inject(fault, { task: 'qmrestore' });
    await expect(lab.carryOutFrom(request, look)).rejects.toMatchObject({ code });
    lift();
    await lab.undo(request, look);
    const { config, status } = guestOf(vm);
    expect(config?.description).toBe('changed since');
    expect(config?.scsi0).toBeDefined();
    expect(status).toBe('running');
  });

  it('nothing is restored where the safety copy is none', async () => {
    const archive = await backedUp();
    const request = await lab.request(operation, { ...over, archive });
    const look = await lab.look(operation, { ...over, archive });
    guestOf(vm).behaviour = { backupWritten: (one) => ({ ...one, size: 0 }) };
    await expect(lab.carryOutFrom(request, look)).rejects.toMatchObject({
      message: expect.stringContaining('is empty'),
    });
    expect(writes()).not.toContain('POST /nodes/pve1/qemu');
    await lab.undo(request, look);
    expect(guestOf(vm).status).toBe('running');
  });
});

describe('is refused before anything is done', () => {
  let archive: string;
  beforeEach(async () => {
    archive = await backedUp();
  });
  afterEach(() => expect(writes()).toEqual([]));
  const over = () => ({ into: 'over', vmid: vm, archive, stopFirst: true });

  it.each<readonly [string, () => void, string]>([
    ['is locked', () => Object.assign(guestOf(vm), { lock: 'backup' }), 'proxmox-locked'],
    ['HA manages', () => Object.assign(guestOf(vm), { ha: { state: 'started' } }), 'conflict'],
    ['is protected', () => Object.assign(guestOf(vm), { protection: true }), 'forbidden'],
    [
      'has a disk that no backup holds',
      () => addOption('scsi1', 'local:100/vm-100-disk-1.qcow2,backup=0,size=1G'),
      'conflict',
    ],
    [
      'is replicated',
      () => {
        const job = { id: '100-0', guest: vm, target: 'pve2' };
        lab.simulator.state.configuration.replication.set('100-0', job as never);
      },
      'conflict',
    ],
  ])('a guest that %s', async (_, prepare, code) => {
    prepare();
    await expect(lab.look(operation, over())).rejects.toMatchObject({ code });
  });

  it('a guest that runs, unless it may be stopped', async () => {
    const look = lab.look(operation, { ...over(), stopFirst: false });
    await expect(look).rejects.toMatchObject({ details: { field: 'stopFirst' } });
  });

  it('an archive that is not there, is damaged, or is of another guest', async () => {
    const gone = archive.replace('vzdump-qemu-100-2', 'vzdump-qemu-100-1');
    await expect(lab.look(operation, { archive: gone })).rejects.toMatchObject({ code: 'not-found' });
    Object.assign(archivesOf(vm)[0] ?? {}, { verification: 'failed' });
    await expect(lab.look(operation, { archive })).rejects.toThrow(/damaged/);
    delete archivesOf(vm)[0]?.verification;
    await expect(lab.look(operation, { ...over(), vmid: 120 })).rejects.toMatchObject({ details: { field: 'vmid' } });
  });

  it('a number or a name that is taken', async () => {
    await expect(lab.look(operation, { archive, newVmid: 120 })).rejects.toMatchObject({ code: 'already-exists' });
    const { name } = guestOf(120);
    await expect(lab.look(operation, { archive, name })).rejects.toMatchObject({ code: 'already-exists' });
  });

  it.each([
    [{ archive: '/etc/shadow' }],
    [{ archive: 'local:backup/../../etc/shadow' }],
    [{ into: 'over' }],
    [{ vmid: vm }],
    [{ into: 'over', vmid: vm, newVmid: 900 }],
  ])('the input %j', async (wrong) => {
    await expect(lab.request(operation, { archive, ...wrong })).rejects.toThrow();
  });
});

function addOption(option: string, value: string): void {
  Object.assign(guestOf(vm).config ?? {}, { [option]: value });
}
