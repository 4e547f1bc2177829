import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { archiveVolid } from '../../lab/proxmox/guests/archives.ts';
import type { SimulatedArchive, SimulatedGuest } from '../../lab/proxmox/state.ts';
import { type ApiChangeLab, createApiChangeLab, run } from '../support/api-change.ts';
import { addStorage, asItIs, takeBackRun } from '../support/cluster-state.ts';

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

/** One as a usual host has it: `local` takes backups and no container, whose volumes are on two other storages. */
function haveContainerOnTwo(more: Readonly<Record<string, string>> = {}): number {
  const vmid = 103;
  const { state } = lab.simulator;
  for (const one of state.storages) Object.assign(one, { content: 'backup,iso,vztmpl,images' });
  addStorage(lab, 'fast');
  addStorage(lab, 'big');
  state.guests.set(vmid, {
    ...{ vmid, type: 'lxc', node: 'pve1', status: 'stopped', template: false },
    config: {
      hostname: 'files',
      arch: 'amd64',
      memory: 512,
      ostype: 'debian',
      unprivileged: 1,
      rootfs: 'fast:vm-103-disk-0,size=4G',
      mp0: 'big:vm-103-disk-0,mp=/data,backup=1,size=512M',
      net0: 'name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:03,ip=dhcp,type=veth',
      ...more,
    },
  } as unknown as SimulatedGuest);
  return vmid;
}

/** Storages of a guest's volumes, by what it calls them. */
function whereOf(vmid: number): Readonly<Record<string, string>> {
  const { config = {} } = guestOf(vmid);
  return Object.fromEntries(
    Object.entries(config)
      .filter(([option]) => /^(rootfs|mp\d+|scsi\d+)$/.test(option))
      .map(([option, value]) => [option, String(value).split(':')[0] ?? '']),
  );
}

describe('a container whose volumes are on two storages', () => {
  const where = { rootfs: 'fast', mp0: 'big' };

  it('comes anew where it was, or where it is told, with the options of its mount points', async () => {
    const archive = await backedUp(haveContainerOnTwo());
    await lab.carryOutTwice(operation, { archive, newVmid: 900 });
    expect(whereOf(900)).toEqual(where);
    expect(guestOf(900).config?.mp0).toMatch(/,mp=\/data,backup=1,size=512M$/);
    await lab.carryOut(operation, { archive, newVmid: 901, name: 'files-2', storage: 'big' });
    expect(whereOf(901)).toEqual({ rootfs: 'big', mp0: 'big' });
  });

  it('is replaced where it was, and taken back: at once, and by a run of its own', async () => {
    const vmid = haveContainerOnTwo();
    const input = { archive: await backedUp(vmid), into: 'over', vmid, storage: 'fast' } as const;
    Object.assign(guestOf(vmid).config ?? {}, { description: 'changed since\n' });
    const request = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    await lab.carryOutFrom(request, look);
    expect(whereOf(vmid)).toEqual({ rootfs: 'fast', mp0: 'fast' });
    await lab.undo(request, look);
    expect(whereOf(vmid)).toEqual(where);
    expect(guestOf(vmid).config?.description).toContain('changed since');
    const { output } = await lab.carryOut(operation, { ...input, storage: undefined });
    expect(whereOf(vmid)).toEqual(where);
    await takeBackRun(lab, operation, { ...input, storage: undefined }, output);
    expect(whereOf(vmid)).toEqual(where);
    expect(guestOf(vmid).config?.description).toContain('changed since');
  });

  it('is put back where the restore fails after it is gone', async () => {
    const vmid = haveContainerOnTwo();
    const input = { archive: await backedUp(vmid), into: 'over', vmid } as const;
    Object.assign(guestOf(vmid).config ?? {}, { description: 'changed since\n' });
    const request = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    const lift = lab.simulator.inject({ kind: 'full-storage', storage: 'big' });
    await expect(lab.carryOutFrom(request, look)).rejects.toMatchObject({ code: 'command-failed' });
    expect(lab.simulator.state.guests.has(vmid)).toBe(false);
    lift();
    await lab.undo(request, look);
    expect(whereOf(vmid)).toEqual(where);
    expect(guestOf(vmid).config?.description).toContain('changed since');
  });

  it('says which mount points come back empty, and what goes that the archive does not hold', async () => {
    const vmid = haveContainerOnTwo({ mp0: 'big:vm-103-disk-0,mp=/data,size=512M' });
    const archive = await backedUp(vmid);
    const { look, findings } = await lab.carryOut(operation, { archive, newVmid: 900 });
    expect(look.plan.risks.join()).toContain('mp0 comes back empty');
    expect(findings).toContainEqual(expect.objectContaining({ check: 'Not restored', verdict: 'warning' }));
    Object.assign(guestOf(vmid).config ?? {}, { mp0: 'big:vm-103-disk-0,mp=/data,backup=1,size=512M' });
    const over = await lab.look(operation, { archive, into: 'over', vmid });
    expect(over.plan.risks.join()).toContain('has mp0 (big:vm-103-disk-0), of which the archive holds nothing');
  });

  it.each([
    ['a folder of the node', { mp1: '/srv/films,mp=/films' }, 'mp1 (/srv/films)'],
    ['lines of LXC itself', { 'lxc.idmap': 'u 0 100000 65536' }, 'lxc'],
  ])('is not replaced with %s, which no API token can put back', async (_, more, named) => {
    const plain = haveContainerOnTwo();
    const archive = await backedUp(plain);
    Object.assign(guestOf(plain).config ?? {}, more);
    const input = { archive, into: 'over', vmid: plain };
    await expect(lab.look(operation, input)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(named),
    });
    const withIt = await backedUp(plain);
    const { look } = await lab.carryOut(operation, { archive: withIt, newVmid: 900 });
    expect(look.plan.risks.join()).toMatch(/does not come back: only root may restore it/);
    await expect(lab.look(operation, { ...input, archive: withIt })).rejects.toThrow(/only root may restore/);
  });
});

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

  it('leaves nothing where its storage is full midway, though Proxmox leaves an empty configuration', async () => {
    const archive = await backedUp();
    const before = asItIs(lab);
    const request = await lab.request(operation, { archive, newVmid: 900, storage: 'local' });
    const look = await lab.look(operation, { archive, newVmid: 900, storage: 'local' });
    lab.simulator.inject({ kind: 'full-storage', storage: 'local' });
    await expect(lab.carryOutFrom(request, look)).rejects.toMatchObject({ code: 'command-failed' });
    expect(guestOf(900).config).toEqual({ memory: '128' });
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
      'POST /nodes/pve1/qemu/100/status/start',
    ]);
    expect(guestOf(vm).status).toBe('running');
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

  it('is put back where it answered before, and the restored one does not', async () => {
    Object.assign(guestOf(vm).config ?? {}, { agent: '1' });
    const archive = await backedUp();
    Object.assign(guestOf(vm).config ?? {}, { description: 'changed since' });
    const input = { ...over, archive, waitSeconds: 2 };
    const request = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    guestOf(vm).behaviour = { ...guestOf(vm).behaviour, agent: { state: 'missing' } };
    await expect(lab.carryOutFrom(request, look)).rejects.toMatchObject({ code: 'verification-failed' });
    await lab.undo(request, look);
    expect(guestOf(vm).config?.description).toBe('changed since');
    expect(guestOf(vm).status).toBe('running');
  });

  it('stays off where that is asked, and says so', async () => {
    const { look } = await lab.carryOut(operation, { ...over, archive: await backedUp(), start: false });
    expect(guestOf(vm).status).toBe('stopped');
    expect(look.plan.affected.join()).toContain('stays off afterwards');
  });

  it('a restore that was killed is told, with how to unlock what it left', async () => {
    const archive = await backedUp();
    const request = await lab.request(operation, { ...over, archive });
    const look = await lab.look(operation, { ...over, archive });
    const lift = lab.simulator.inject({ kind: 'task-killed' }, { task: 'qmrestore' });
    await expect(lab.carryOutFrom(request, look)).rejects.toBeDefined();
    lift();
    guestOf(vm).lock = 'create';
    await expect(lab.undo(request, look)).rejects.toThrow(/qm unlock 100/);
    delete guestOf(vm).lock;
    await lab.undo(request, look);
    expect(guestOf(vm).config?.scsi0).toBeDefined();
    expect(guestOf(vm).status).toBe('running');
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
    ['has a USB device of the node', () => addOption('usb0', 'host=1234:5678'), 'conflict'],
    ['has a disk of the node', () => addOption('scsi1', '/dev/disk/by-id/x,size=1G'), 'conflict'],
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

  it('an archive with a device of the node, and one with a disk of the node without a storage for it', async () => {
    addOption('hostpci0', '0000:01:00.0,pcie=1');
    const withDevice = await backedUp();
    await expect(lab.look(operation, { archive: withDevice })).rejects.toThrow(/hostpci0 \(0000:01:00.0\)/);
    delete guestOf(vm).config?.hostpci0;
    addOption('scsi1', '/dev/disk/by-id/x,size=1G');
    const passed = await backedUp();
    await expect(lab.look(operation, { archive: passed })).rejects.toMatchObject({ details: { field: 'storage' } });
    const { plan } = await lab.look(operation, { archive: passed, storage: 'local' });
    expect(plan.state).toContainEqual({ name: 'Disks', value: 'scsi0 on local, scsi1 on local' });
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
