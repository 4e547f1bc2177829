import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ApiChangeLab, createApiChangeLab, run } from '../support/api-change.ts';
import { addStorage, asItIs, furnish, letSnapshot, takeBackRun } from '../support/cluster-state.ts';

let lab: ApiChangeLab;
beforeEach(async () => {
  lab = await createApiChangeLab();
  furnish(lab);
});
afterEach(() => lab.close());

const operation = 'clone-guest';
const guestOf = (vmid: number) => {
  const guest = lab.simulator.state.guests.get(vmid);
  if (guest?.config === undefined) throw new Error(`no guest ${vmid}`);
  return guest as typeof guest & { config: NonNullable<typeof guest.config> };
};
const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBIeXEr+Q3TzPkzkjJ7kSC0Lp7b0m6u1Qd3yWqz2r9kV admin@desk';

/** A template with a cloud-init drive, and an agent in what is made of it. */
async function makeTemplate(): Promise<void> {
  const guest = guestOf(120);
  Object.assign(guest.config, { ide2: 'local:120/vm-120-cloudinit.qcow2,media=cdrom', agent: '1' });
  const disk = lab.simulator.state.volumes.find((one) => one.vmid === 120);
  if (disk) {
    const size = 4 * 2 ** 20;
    lab.simulator.state.volumes.push({ ...disk, volid: 'local:120/vm-120-cloudinit.qcow2', size, used: size });
  }
  await lab.carryOut('convert-to-template', { vmid: 120 });
}

describe.each([
  ['a VM', 120, 'qemu', 'name'],
  ['a container', 102, 'lxc', 'hostname'],
])('%s that is off', (_, vmid, type, option) => {
  it('is copied with its disks, by one task', async () => {
    const { look, output, upids } = await lab.carryOutTwice(operation, {
      vmid,
      name: 'copy',
      pool: 'web',
      notes: 'why',
    });
    expect(output).toMatchObject({ vmid: 103, node: 'pve1', type, linked: false, from: vmid, madeBy: run });
    const copy = guestOf(103);
    expect(copy).toMatchObject({ name: 'copy', status: 'stopped' });
    expect(copy.lock).toBeUndefined();
    expect(copy.config.description).toContain(`why\nProxmox MCP: ${run}`);
    expect(output.disks).toEqual(
      lab.simulator.state.volumes.filter((one) => one.vmid === 103).map(({ volid }) => volid),
    );
    expect(lab.simulator.state.pools.get('web')?.vms).toEqual(new Set([103]));
    expect(upids).toHaveLength(1);
    expect(lab.writes()).toEqual([`POST /nodes/pve1/${type}/${vmid}/clone`]);
    expect(look.plan.steps[1]?.does[0]).toContain(`clone newid=103 ${option}=copy`);
  });

  it('leaves nothing when it is taken back: at once, and by a run of its own', async () => {
    const before = asItIs(lab);
    const input = { vmid, name: 'copy', start: true, waitSeconds: 0 };
    const request = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    await lab.carryOutFrom(request, look);
    expect(guestOf(103).status).toBe('running');
    await lab.undo(request, look);
    expect(asItIs(lab)).toBe(before);
    const { output } = await lab.carryOut(operation, input);
    await takeBackRun(lab, operation, input, output);
    expect(asItIs(lab)).toBe(before);
  });
});

describe('a template', () => {
  beforeEach(makeTemplate);

  it('becomes a running guest with an address in one call', async () => {
    const input = { vmid: 120, name: 'web-2', ip: 'dhcp', user: 'admin', sshKeys: [key], start: true };
    const made = lab.writes().length;
    const { look, output, upids } = await lab.carryOutTwice(operation, input);
    expect(output).toMatchObject({
      vmid: 103,
      linked: true,
      status: 'running',
      address: expect.stringMatching(/^[\d.]+$/),
    });
    expect(guestOf(103).config).toMatchObject({ ipconfig0: 'ip=dhcp', ciuser: 'admin' });
    expect(decodeURIComponent(String(guestOf(103).config.sshkeys))).toContain(key);
    expect(upids).toHaveLength(2);
    expect(lab.writes().slice(made)).toEqual([
      'POST /nodes/pve1/qemu/120/clone',
      'PUT /nodes/pve1/qemu/103/config',
      'POST /nodes/pve1/qemu/103/status/start',
    ]);
    expect(look.steps.map(({ title }) => title)).toEqual(['Clone', 'Configure', 'Start', 'Wait for an address']);
  });

  it('says it where no address came, and the guest stays', async () => {
    guestOf(120).behaviour = { agent: { state: 'missing' } };
    Object.assign(guestOf(120).config, { agent: '0' });
    const { output } = await lab.carryOut(operation, { vmid: 120, name: 'mute', start: true, waitSeconds: 5 });
    expect(output).toMatchObject({ status: 'running', missed: expect.stringContaining('no guest agent runs in it') });
    expect(output).not.toHaveProperty('address');
    expect(guestOf(103).status).toBe('running');
  });

  it('has the address that was given without waiting for it', async () => {
    const input = { vmid: 120, name: 'fixed', ip: '192.0.2.10/24', gateway: '192.0.2.1', start: true };
    const { look, output } = await lab.carryOut(operation, input);
    expect(output.address).toBe('192.0.2.10');
    expect(guestOf(103).config.ipconfig0).toBe('ip=192.0.2.10/24,gw=192.0.2.1');
    expect(look.steps.map(({ title }) => title)).toEqual(['Clone', 'Configure', 'Start']);
  });

  it('is copied in full where that or a storage was asked for', async () => {
    addStorage(lab, 'fast');
    const { output } = await lab.carryOut(operation, { vmid: 120, name: 'own', storage: 'fast' });
    expect(output).toMatchObject({ linked: false });
    expect(guestOf(103).config.scsi0).toMatch(/^fast:/);
    await lab.carryOut(operation, { vmid: 120, name: 'too', full: true });
    expect(lab.simulator.state.volumes.filter((one) => one.vmid === 104 && one.parent)).toEqual([]);
  });
});

it('copies from a snapshot, also of a container that runs', async () => {
  letSnapshot(lab, 101);
  await lab.carryOut('snapshot-guest', { vmid: 101, snapshot: 'before' });
  guestOf(101).config.memory = 4096;
  const { output } = await lab.carryOut(operation, { vmid: 101, name: 'copy', snapshot: 'before' });
  expect(output).toMatchObject({ node: 'pve2', vmid: 103 });
  expect(guestOf(103).config.memory).not.toBe(4096);
});

it('copies to another node where the storage is shared', async () => {
  addStorage(lab, 'nas', { plugin: 'nfs', shared: true });
  const volume = lab.simulator.state.volumes.findIndex((one) => one.vmid === 120);
  const disk = lab.simulator.state.volumes[volume];
  if (disk) lab.simulator.state.volumes[volume] = { ...disk, storage: 'nas', volid: 'nas:120/vm-120-disk-0.qcow2' };
  guestOf(120).config.scsi0 = 'nas:120/vm-120-disk-0.qcow2,size=16G';
  const { output } = await lab.carryOut(operation, { vmid: 120, name: 'copy', targetNode: 'pve2' });
  expect(output).toMatchObject({ node: 'pve2' });
  expect(guestOf(103).node).toBe('pve2');
});

it('deletes nothing that bears another run’s mark', async () => {
  const input = { vmid: 120, name: 'copy' };
  const request = await lab.request(operation, input);
  const look = await lab.look(operation, input);
  await lab.carryOut(operation, input);
  const before = asItIs(lab);
  await lab.undo({ ...request, run: 'clone-guest/pve1-120/another' }, look);
  expect(asItIs(lab)).toBe(before);
});

it('does not take over the mark of its source', async () => {
  guestOf(120).config.description = `golden\nProxmox MCP: create-vm/pve1/older\n`;
  await lab.carryOut(operation, { vmid: 120, name: 'copy' });
  expect(guestOf(103).config.description).toContain(`golden\nProxmox MCP: ${run}`);
  expect(guestOf(103).config.description).not.toContain('older');
});

describe('what lies', () => {
  it.each([
    ['a task that is OK and has made nothing', { kind: 'silent' }, /no VM 103|not the one/],
    ['a clone without its disk', { kind: 'without', part: 'disk' }, /no disk scsi0/],
  ] as const)('%s, and what is left of it is taken back', async (_, fault, message) => {
    const before = asItIs(lab);
    const lift = lab.simulator.inject(fault, { task: 'qmclone' });
    const input = { vmid: 120, name: 'copy' };
    const request = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    await expect(lab.carryOutFrom(request, look)).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringMatching(message),
    });
    lift();
    await lab.undo(request, look);
    if (fault.kind === 'without') expect(asItIs(lab)).toBe(before);
  });

  it('a task that fails midway leaves nothing', async () => {
    lab.simulator.inject({ kind: 'task-fails', exitstatus: 'clone failed: no space left' }, { task: 'qmclone' });
    const input = { vmid: 120, name: 'copy' };
    const request = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    await expect(lab.carryOutFrom(request, look)).rejects.toMatchObject({ code: 'command-failed' });
    await lab.undo(request, look);
    expect(lab.simulator.state.volumes.map(({ volid }) => volid).filter((volid) => volid.includes('103'))).toEqual([]);
  });

  it('a number that somebody else takes first: nothing of theirs is touched', async () => {
    const input = { vmid: 120, name: 'copy' };
    const request = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    await lab.carryOut('create-container', { name: 'theirs', start: false });
    const before = asItIs(lab);
    await expect(lab.carryOutFrom({ ...request, run: 'clone-guest/pve1-120/second' }, look)).rejects.toMatchObject({
      code: 'already-exists',
    });
    await lab.undo({ ...request, run: 'clone-guest/pve1-120/second' }, look);
    expect(asItIs(lab)).toBe(before);
  });

  it('an answer that is lost, after which there is one clone', async () => {
    lab.simulator.inject({ kind: 'lose-answer' }, { method: 'POST', times: 1 });
    const { upids } = await lab.carryOutTwice(operation, { vmid: 120, name: 'copy' });
    expect(upids).toHaveLength(1);
    expect(lab.writes()).toHaveLength(1);
    expect(lab.simulator.state.guests.size).toBe(5);
  });
});

describe('is refused before anything is done', () => {
  afterEach(() => expect(lab.writes().filter((line) => line.includes('/clone'))).toEqual([]));
  const copy = { vmid: 120, name: 'copy' };

  it.each([
    [{ ...copy, newVmid: 101 }, 'already-exists', 'taken by dns', 'newVmid'],
    [{ ...copy, name: 'Files' }, 'already-exists', '100', 'name'],
    [{ ...copy, pool: 'nowhere' }, 'not-found', 'nowhere', 'pool'],
    [{ ...copy, snapshot: 'nope' }, 'not-found', 'nope', 'snapshot'],
    [{ ...copy, targetNode: 'pve9' }, 'not-found', 'pve9', 'targetNode'],
    [{ ...copy, targetNode: 'pve2' }, 'conflict', 'only pve1 has', 'targetNode'],
    [{ ...copy, storage: 'nowhere' }, 'not-found', 'nowhere', 'storage'],
    [{ ...copy, full: false }, 'conflict', 'no template', 'full'],
    [{ ...copy, ip: 'dhcp' }, 'conflict', 'no cloud-init drive', 'ip'],
    [{ ...copy, gateway: '192.0.2.1' }, 'invalid-input', 'gateway', 'gateway'],
    [{ ...copy, vmid: 101 }, 'conflict', 'only copied from a snapshot', 'snapshot'],
    [{ ...copy, vmid: 102, user: 'admin' }, 'conflict', 'no cloud-init', 'user'],
  ])('%j', async (input, code, message, field) => {
    await expect(lab.look(operation, input)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
      details: { field },
    });
  });

  it('a linked clone with a storage of its own', async () => {
    await makeTemplate();
    await expect(lab.look(operation, { ...copy, full: false, storage: 'local' })).rejects.toMatchObject({
      code: 'invalid-input',
      details: { field: 'storage' },
    });
  });

  it('a node that is away, a storage that is full, a source that is locked', async () => {
    const { simulator } = lab;
    Object.assign(simulator.state.nodes.get('pve2') ?? {}, { online: false, api: 'down' });
    await expect(lab.look(operation, { ...copy, targetNode: 'pve2' })).rejects.toMatchObject({
      code: 'conflict',
      details: { field: 'targetNode' },
    });
    const lift = simulator.inject({ kind: 'full-storage', storage: 'local' });
    await expect(lab.look(operation, copy)).rejects.toMatchObject({ message: expect.stringContaining('free') });
    lift();
    guestOf(120).lock = 'backup';
    await expect(lab.look(operation, copy)).rejects.toMatchObject({ code: 'proxmox-locked' });
  });

  it.each([
    ['name', 'a b'],
    ['name', '-x'],
    ['name', 'x\n'],
    ['sshKeys', ['-----BEGIN OPENSSH PRIVATE KEY-----']],
    ['sshKeys', [`${key}\n${key}`]],
    ['ip', '192.0.2.300/24'],
    ['ip', '192.0.2.1/24,gw=192.0.2.2'],
    ['user', 'root;x'],
    ['targetNode', '../x'],
    ['pool', 'a,b'],
  ])('%s: %j', async (field, value) => {
    await expect(lab.request(operation, { ...copy, [field]: value })).rejects.toThrow(new RegExp(field));
  });
});
