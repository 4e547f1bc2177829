import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { migrateGuest } from '../../src/operations/migrate-guest.ts';
import type { Reversal } from '../../src/operations/reversal.ts';
import { type ApiChangeLab, createApiChangeLab } from '../support/api-change.ts';

let lab: ApiChangeLab;
beforeEach(async () => {
  lab = await createApiChangeLab();
});
afterEach(() => lab.close());

const operation = 'migrate-guest';

function guestOf(vmid: number) {
  const guest = lab.simulator.state.guests.get(vmid);
  if (guest === undefined) throw new Error(`there is no guest ${vmid}`);
  return guest;
}

function placeOf(vmid: number): unknown {
  const { node, status, config, lock } = guestOf(vmid);
  const volumes = lab.simulator.state.volumes.filter((one) => one.vmid === vmid);
  return structuredClone({ node, status, config, lock, volumes: volumes.map((one) => [one.volid, one.node]) });
}

/** The guest 101 runs on pve2, the others are on pve1. */
describe.each([
  ['a VM that runs', 100, 'qemu', 'pve1', 'pve2', 'online=1 with-local-disks=1'],
  ['a VM that is off', 120, 'qemu', 'pve1', 'pve2', 'target=pve2'],
  ['a container that runs', 101, 'lxc', 'pve2', 'pve1', 'restart=1 timeout=180'],
  ['a container that is off', 102, 'lxc', 'pve1', 'pve2', 'target=pve2'],
])('%s', (_, vmid, type, from, target, parameters) => {
  it('is there as before, after one task', async () => {
    const { status } = guestOf(vmid);
    const { output, upids, look } = await lab.carryOutTwice(operation, { vmid, target });
    expect(output).toMatchObject({ from, node: target, status });
    expect(guestOf(vmid)).toMatchObject({ node: target, status });
    expect(upids).toHaveLength(1);
    expect(lab.writes()).toEqual([`POST /nodes/${from}/${type}/${vmid}/migrate`]);
    expect(look.plan.steps[2]?.does[0]).toContain(parameters);
  });

  it('goes back where a later step fails, and by the run that takes this one back', async () => {
    const before = placeOf(vmid);
    const request = await lab.request(operation, { vmid, target });
    const { look, output } = await lab.carryOut(operation, { vmid, target });
    await lab.undo(request, look);
    expect(placeOf(vmid)).toEqual(before);
    await lab.carryOut(operation, { vmid, target });
    const given = { host: 'pve1', vmid, target, live: true, timeoutSeconds: 180 };
    const reversal = migrateGuest.undo?.reverse(given, output) as Exclude<Reversal, { why: string }>;
    const back = await lab.look(operation, reversal.input);
    for (const line of reversal.expects) expect(back.plan.state).toContainEqual(line);
    await lab.carryOut(operation, reversal.input);
    expect(placeOf(vmid)).toEqual(before);
  });

  it('is where it was, as it was, when the task fails', async () => {
    const before = placeOf(vmid);
    const exitstatus = 'migration aborted';
    lab.simulator.inject({ kind: 'task-fails', exitstatus }, { task: type === 'qemu' ? 'qmigrate' : 'vzmigrate' });
    const request = await lab.request(operation, { vmid, target });
    const look = await lab.look(operation, { vmid, target });
    await expect(lab.carryOutFrom(request, look)).rejects.toMatchObject({
      code: 'command-failed',
      message: expect.stringContaining(exitstatus),
    });
    await lab.undo(request, look);
    expect(placeOf(vmid)).toEqual(before);
    expect(lab.writes()).toHaveLength(1);
  });
});

it('is there already: nothing is called', async () => {
  const { look, output } = await lab.carryOut(operation, { vmid: 100, target: 'pve1' });
  expect(look.steps).toEqual([]);
  const given = { host: 'pve1', vmid: 100, target: 'pve1', live: true, timeoutSeconds: 180 };
  expect(migrateGuest.undo?.reverse(given, output)).toHaveProperty('why');
});

it('a guest that HA manages is moved by HA, and waited for', async () => {
  guestOf(100).ha = { state: 'started' };
  guestOf(100).behaviour = { haMs: 500 };
  const { upids, look } = await lab.carryOutTwice(operation, { vmid: 100, target: 'pve2' });
  expect(upids[0]).toContain(':hamigrate:');
  expect(look.plan.summary).toContain('HA');
  expect(guestOf(100)).toMatchObject({ node: 'pve2', status: 'running' });
});

describe('what lies', () => {
  it('a task that is OK, and the guest is where it was', async () => {
    lab.simulator.inject({ kind: 'silent' }, { task: 'qmigrate' });
    await expect(lab.carryOut(operation, { vmid: 100, target: 'pve2' })).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining('it is on pve1'),
    });
  });

  it('a guest that is there, and has not come up', async () => {
    const request = await lab.request(operation, { vmid: 101, target: 'pve1' });
    const look = await lab.look(operation, { vmid: 101, target: 'pve1' });
    const done = await lab.carryOutFrom(request, look);
    guestOf(101).status = 'stopped';
    const { node, seen, steps } = done.look;
    const { title = '', line = '' } = steps[1] ?? {};
    await expect(lab.verify({ ...request, node, seen, step: { title, line } })).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining('does not run'),
    });
    await lab.undo(request, look);
    expect(guestOf(101)).toMatchObject({ node: 'pve2', status: 'running' });
  });

  it('a container that was left off by a failed migration is started again', async () => {
    const request = await lab.request(operation, { vmid: 101, target: 'pve1' });
    const look = await lab.look(operation, { vmid: 101, target: 'pve1' });
    guestOf(101).status = 'stopped';
    await lab.undo(request, look);
    expect(guestOf(101)).toMatchObject({ node: 'pve2', status: 'running' });
    expect(lab.writes()).toEqual(['POST /nodes/pve2/lxc/101/status/start']);
  });
});

describe('is refused before anything is done', () => {
  afterEach(() => expect(lab.writes()).toEqual([]));
  const look = (input: Record<string, unknown>) => lab.look(operation, { vmid: 100, target: 'pve2', ...input });

  it('a node that there is not, and one that is off', async () => {
    await expect(look({ target: 'pve9' })).rejects.toMatchObject({
      code: 'not-found',
      remedy: expect.stringContaining('pve2'),
    });
    const node = lab.simulator.state.nodes.get('pve2');
    if (node) node.online = false;
    await expect(look({})).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('offline') });
  });

  it('one that runs and must not move while it runs', async () => {
    await expect(look({ live: false })).rejects.toMatchObject({ details: { field: 'live' } });
  });

  it('devices of the node', async () => {
    const { config } = guestOf(100);
    if (config) config.hostpci0 = '0000:01:00.0';
    await expect(look({})).rejects.toMatchObject({ message: expect.stringContaining('hostpci0') });
  });

  it('a disc of the node in a drive', async () => {
    const { state } = lab.simulator;
    const [disk] = state.volumes;
    if (disk) state.volumes.push({ ...disk, vmid: undefined, volid: 'local:iso/debian.iso', content: 'iso' } as never);
    const { config } = guestOf(100);
    if (config) config.ide2 = 'local:iso/debian.iso,media=cdrom,size=1G';
    await expect(look({})).rejects.toMatchObject({
      message: expect.stringContaining('local:iso/debian.iso'),
      remedy: expect.stringContaining('none,media=cdrom'),
    });
  });

  it('snapshots of one that runs from disks of the node', async () => {
    guestOf(100).snapshots = [{ name: 'before', snaptime: 1, description: '', config: {} }];
    await expect(look({})).rejects.toMatchObject({ message: expect.stringContaining('before') });
  });

  it('a storage that the node has not, or that is full', async () => {
    const { config } = guestOf(120);
    const { storages } = lab.simulator.state;
    const there = storages.findIndex(({ storage, node }) => storage === 'local' && node === 'pve2');
    const lift = lab.simulator.inject({ kind: 'full-storage', storage: 'local', node: 'pve2' });
    await expect(look({ vmid: 120 })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringMatching(/free/),
    });
    lift();
    storages.splice(there, 1);
    await expect(look({ vmid: 120 })).rejects.toMatchObject({
      message: expect.stringMatching(/unavailable|no storage/),
    });
    await expect(look({ vmid: 100 })).rejects.toMatchObject({
      message: expect.stringMatching(/unavailable|no storage/),
    });
    expect(config).toBeDefined();
  });

  it('one that is locked', async () => {
    guestOf(100).lock = 'backup';
    await expect(look({})).rejects.toMatchObject({ code: 'proxmox-locked' });
  });
});

it('takes its disks to another storage there', async () => {
  lab.simulator.state.storages.push({
    storage: 'fast',
    node: 'pve2',
    plugin: 'dir',
    content: 'images,rootdir',
    shared: false,
    status: 'available',
    total: 100 * 2 ** 30,
    used: 0,
  });
  const input = { vmid: 120, target: 'pve2', targetStorage: 'fast' };
  const { output } = await lab.carryOut(operation, input);
  expect(guestOf(120).config?.scsi0).toContain('fast:');
  const given = { host: 'pve1', live: true, timeoutSeconds: 180, ...input };
  expect(migrateGuest.undo?.reverse(given, output)).toMatchObject({
    input: { target: 'pve1', targetStorage: 'local' },
  });
});
