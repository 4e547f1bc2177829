import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ServiceError } from '../../src/errors.ts';
import { type ApiChangeLab, createApiChangeLab, run } from '../support/api-change.ts';
import { addStorage, asItIs, furnish, takeBackRun } from '../support/cluster-state.ts';

let lab: ApiChangeLab;
beforeEach(async () => {
  lab = await createApiChangeLab();
  furnish(lab);
});
afterEach(() => lab.close());

const operation = 'create-vm';
const guestOf = (vmid: number) => {
  const guest = lab.simulator.state.guests.get(vmid);
  if (guest?.config === undefined) throw new Error(`no guest ${vmid}`);
  return guest as typeof guest & { config: NonNullable<typeof guest.config> };
};
const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBIeXEr+Q3TzPkzkjJ7kSC0Lp7b0m6u1Qd3yWqz2r9kV admin@desk';

describe('from a cloud image', () => {
  it('is a running VM with an address, by a name and a key, each call made once', async () => {
    const { look, output, upids } = await lab.carryOutTwice(operation, {
      name: 'web-1',
      sshKeys: [key],
      user: 'admin',
    });
    expect(output).toMatchObject({
      vmid: 103,
      name: 'web-1',
      node: 'pve1',
      type: 'qemu',
      status: 'running',
      image: 'local:import/debian-13.qcow2',
      address: expect.stringMatching(/^[\d.]+$/),
      madeBy: run,
    });
    expect(upids).toHaveLength(3);
    expect(lab.writes()).toEqual([
      'POST /nodes/pve1/qemu',
      'PUT /nodes/pve1/qemu/103/resize',
      'POST /nodes/pve1/qemu/103/status/start',
    ]);
    expect(look.steps.map(({ title }) => title)).toEqual(['Create', 'Resize', 'Start', 'Wait for an address']);
    const { config } = guestOf(103);
    expect(config).toMatchObject({
      machine: 'q35',
      scsihw: 'virtio-scsi-single',
      cores: 2,
      ostype: 'l26',
      boot: 'order=scsi0',
      serial0: 'socket',
      ciuser: 'admin',
      ipconfig0: 'ip=dhcp',
    });
    expect(config.scsi0).toMatch(/^local:103\/.*size=20G/);
    expect(config.ide2).toContain('cloudinit');
    expect(config.net0).toMatch(/^virtio=.*bridge=vmbr0/);
    expect(decodeURIComponent(String(config.sshkeys))).toContain(key);
    expect(output.disks).toEqual(expect.arrayContaining([String(config.scsi0).split(',')[0]]));
  });

  it('has what was asked for', async () => {
    addStorage(lab, 'fast');
    const input = {
      name: 'db',
      newVmid: 500,
      cores: 4,
      memoryMiB: 8192,
      diskGiB: 40,
      storage: 'fast',
      bridge: 'vmbr0',
      vlan: 12,
      ip: '192.0.2.20/24',
      gateway: '192.0.2.1',
      tags: ['prod', 'db'],
      pool: 'web',
      notes: 'for the shop',
    };
    const { output } = await lab.carryOut(operation, input);
    expect(output).toMatchObject({ vmid: 500, address: '192.0.2.20', status: 'running' });
    const guest = guestOf(500);
    expect(guest.config).toMatchObject({ cores: 4, ipconfig0: 'ip=192.0.2.20/24,gw=192.0.2.1' });
    expect(guest.config.scsi0).toMatch(/^fast:.*size=40G/);
    expect(guest.config.net0).toContain('tag=12');
    expect(guest.tags).toMatch(/prod/);
    expect(guest.config.description).toContain(`for the shop\nProxmox MCP: ${run}`);
    expect(lab.simulator.state.pools.get('web')?.vms).toEqual(new Set([500]));
  });

  it('leaves nothing when it is taken back: at once, and by a run of its own', async () => {
    const before = asItIs(lab);
    const input = { name: 'web-1', waitSeconds: 0 };
    const request = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    await lab.carryOutFrom(request, look);
    await lab.undo(request, look);
    expect(asItIs(lab)).toBe(before);
    const { output } = await lab.carryOut(operation, input);
    await takeBackRun(lab, operation, input, output);
    expect(asItIs(lab)).toBe(before);
  });
});

it('from an ISO it has its disc and no cloud-init, and nobody waits for an address', async () => {
  const { look, output } = await lab.carryOut(operation, {
    name: 'desk',
    image: 'local:iso/debian-13.iso',
    diskGiB: 32,
  });
  expect(look.steps.map(({ title }) => title)).toEqual(['Create', 'Start']);
  expect(output).toMatchObject({ status: 'running', image: 'local:iso/debian-13.iso' });
  expect(guestOf(103).config).toMatchObject({
    ide2: expect.stringContaining('local:iso/debian-13.iso,media=cdrom'),
    boot: 'order=scsi0;ide2',
    scsi0: expect.stringContaining('size=32G'),
  });
  expect(guestOf(103).config).not.toHaveProperty('ipconfig0');
});

it('warns of what nobody can log in to, and of what may not fit', async () => {
  const { plan } = await lab.look(operation, { name: 'web-1', diskGiB: 2000 });
  expect(plan.risks.join()).toMatch(/may grow to .*nobody can log in/);
});

describe('what lies', () => {
  it.each([
    ['a task that is OK and has made nothing', { kind: 'silent' }, 'qmcreate', /no VM 103|not the one/],
    ['a VM without its disk', { kind: 'without', part: 'disk' }, 'qmcreate', /no disk scsi0/],
    ['a disk that did not grow', { kind: 'silent' }, 'resize', /not 20 GiB/],
    ['a start after which it does not run', { kind: 'silent' }, 'qmstart', /does not run/],
  ] as const)('%s: the run fails, and nothing is left of it', async (_, fault, task, message) => {
    const before = asItIs(lab);
    const lift = lab.simulator.inject(fault, { task });
    const input = { name: 'web-1' };
    const request = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    await expect(lab.carryOutFrom(request, look)).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringMatching(message),
    });
    lift();
    await lab.undo(request, look);
    if (task !== 'qmcreate' || fault.kind === 'without') expect(asItIs(lab)).toBe(before);
  });

  it('a task that is killed leaves an empty guest: a person decides while it is locked, and then it goes', async () => {
    const before = asItIs(lab);
    const lift = lab.simulator.inject({ kind: 'task-killed' }, { task: 'qmcreate' });
    const request = await lab.request(operation, { name: 'web-1' });
    const look = await lab.look(operation, { name: 'web-1' });
    await expect(lab.carryOutFrom(request, look)).rejects.toMatchObject({ code: 'outcome-unknown' });
    lift();
    expect(guestOf(103).lock).toBe('create');
    await expect(lab.undo(request, look)).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining('unlock and destroy it there'),
    });
    expect(guestOf(103).lock).toBe('create');
    delete guestOf(103).lock;
    await lab.undo(request, look);
    expect(asItIs(lab)).toBe(before);
  });

  it('one that was moved while it was made is not said to be gone: a person decides', async () => {
    const request = await lab.request(operation, { name: 'web-1' });
    const look = await lab.look(operation, { name: 'web-1' });
    const moved = { kind: 'moved', to: 'pve2' } as const;
    lab.simulator.inject(moved, { method: 'PUT', template: '/nodes/{node}/qemu/{vmid}/resize' });
    await expect(lab.carryOutFrom(request, look)).rejects.toBeInstanceOf(ServiceError);
    await expect(lab.undo(request, look)).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining('a guest 103 (web-1) is on pve2'),
    });
    expect(guestOf(103).node).toBe('pve2');
    lab.simulator.state.guests.delete(103);
    await lab.undo(request, look);
  });

  it('answers that are lost, after which there is one VM', async () => {
    lab.simulator.inject({ kind: 'lose-answer' }, { method: 'POST', times: 2 });
    const { upids } = await lab.carryOutTwice(operation, { name: 'web-1', waitSeconds: 0 });
    expect(upids).toHaveLength(3);
    expect(lab.simulator.state.guests.size).toBe(5);
  });

  it('a number that somebody else takes first: nothing of theirs is touched', async () => {
    const request = await lab.request(operation, { name: 'web-1' });
    const look = await lab.look(operation, { name: 'web-1' });
    await lab.carryOut('create-container', { name: 'theirs', start: false });
    const before = asItIs(lab);
    const mine = { ...request, run: 'create-vm/pve1/second' };
    await expect(lab.carryOutFrom(mine, look)).rejects.toMatchObject({ code: 'already-exists' });
    await lab.undo(mine, look);
    expect(asItIs(lab)).toBe(before);
  });
});

describe('is refused before anything is done', () => {
  afterEach(() => expect(lab.writes()).toEqual([]));

  it.each([
    [{ name: 'files' }, 'already-exists', 'files', 'name'],
    [{ name: 'web', newVmid: 100 }, 'already-exists', '100', 'newVmid'],
    [{ name: 'web', pool: 'nowhere' }, 'not-found', 'nowhere', 'pool'],
    [{ name: 'web', bridge: 'vmbr9' }, 'not-found', 'vmbr9', 'bridge'],
    [{ name: 'web', storage: 'nowhere' }, 'not-found', 'nowhere', 'storage'],
    [{ name: 'web', image: 'local:import/nope.qcow2' }, 'not-found', 'nope', 'image'],
    [{ name: 'web', gateway: '192.0.2.1' }, 'invalid-input', 'gateway', 'gateway'],
    [{ name: 'web', image: 'local:iso/debian-13.iso', user: 'me' }, 'invalid-input', 'cloud-init', 'user'],
  ])('%j', async (input, code, message, field) => {
    await expect(lab.look(operation, input)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
      details: { field },
    });
  });

  it('several images or storages to choose from, which are named', async () => {
    addStorage(lab, 'fast');
    await expect(lab.look(operation, { name: 'web' })).rejects.toMatchObject({
      code: 'invalid-input',
      remedy: expect.stringMatching(/fast \(100 GiB free\)/),
      details: { field: 'storage' },
    });
    const { volumes } = lab.simulator.state;
    const image = volumes.find(({ content }) => content === 'import');
    if (image) volumes.push({ ...image, volid: 'local:import/ubuntu.qcow2' });
    await expect(lab.look(operation, { name: 'web' })).rejects.toMatchObject({
      code: 'invalid-input',
      remedy: expect.stringContaining('local:import/debian-13.qcow2, local:import/ubuntu.qcow2'),
      details: { field: 'image' },
    });
  });

  it('an image whose name would become a part of the call', async () => {
    const { volumes } = lab.simulator.state;
    const image = volumes.find(({ content }) => content === 'import');
    if (image) image.volid = 'local:import/x,media=cdrom.qcow2';
    await expect(lab.look(operation, { name: 'web' })).rejects.toMatchObject({ code: 'not-found' });
  });

  it('no image at all, and a storage without room for it', async () => {
    lab.simulator.inject({ kind: 'full-storage', storage: 'local' });
    await expect(lab.look(operation, { name: 'web', storage: 'local' })).rejects.toMatchObject({
      code: 'conflict',
      details: { field: 'storage' },
    });
    const { volumes } = lab.simulator.state;
    volumes.splice(0, volumes.length, ...volumes.filter(({ content }) => content !== 'import'));
    await expect(lab.look(operation, { name: 'web' })).rejects.toMatchObject({
      code: 'not-found',
      remedy: expect.stringContaining('download-image'),
    });
  });

  it.each([
    ['image', 'local:import/../../etc/shadow.raw'],
    ['image', 'local:import/a.qcow2,media=cdrom'],
    ['image', '/etc/passwd'],
    ['storage', 'local,x=1'],
    ['bridge', 'vmbr0,firewall=0'],
    ['tags', ['a;b']],
    ['name', 'web_1'],
    ['cipassword', 'secret'],
  ])('%s: %j', async (field, value) => {
    await expect(lab.request(operation, { name: 'web', [field]: value })).rejects.toThrow(new RegExp(field));
  });
});
