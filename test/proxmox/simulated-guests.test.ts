import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { Agent, request } from 'undici';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SimulatedRun } from '../../lab/proxmox/guests/agent.ts';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { gibibyte, type SimulatedGuest } from '../../lab/proxmox/state.ts';

let simulator: ProxmoxSimulator;
let agent: Agent;

beforeEach(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1, unreachableDelayMs: 1 });
  simulator.state.pace.secondMs = 20;
  agent = new Agent({ connect: { ca: simulator.caPem } });
});
afterEach(async () => {
  await agent.close();
  await simulator.close();
});

type Parameters = Readonly<Record<string, string | number | readonly string[]>>;

async function ask(method: string, path: string, parameters: Parameters = {}) {
  const pairs = Object.entries(parameters).flatMap(([key, value]) =>
    [value].flat().map((one) => [key, String(one)] as [string, string]),
  );
  const query = new URLSearchParams(pairs).toString();
  const inBody = method === 'POST' || method === 'PUT';
  const { user, name, secret } = simulator.tokens.full;
  const answer = await request(`${simulator.url}/api2/json${path}${inBody || query === '' ? '' : `?${query}`}`, {
    dispatcher: agent,
    method: method as 'GET',
    headers: {
      authorization: `PVEAPIToken=${user}!${name}=${secret}`,
      ...(inBody ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
    },
    body: inBody ? query : null,
  });
  const text = await answer.body.text();
  const { data, errors } = text === '' ? { data: null, errors: undefined } : JSON.parse(text);
  return { status: answer.statusCode, reason: answer.statusText, data, errors };
}

/** What a call answers that must succeed. */
async function data(method: string, path: string, parameters?: Parameters) {
  const answer = await ask(method, path, parameters);
  expect(answer, `${method} ${path}`).toMatchObject({ status: 200 });
  return answer.data;
}

/** How the task ends that a call starts. */
async function task(method: string, path: string, parameters?: Parameters): Promise<string> {
  return ended(await data(method, path, parameters));
}

async function ended(upid: string): Promise<string> {
  await expect.poll(() => simulator.state.tasks.get(upid)?.exitstatus, { timeout: 10_000 }).toBeDefined();
  return String(simulator.state.tasks.get(upid)?.exitstatus);
}

function guest(vmid: number): SimulatedGuest {
  const found = simulator.state.guests.get(vmid);
  if (!found) throw new Error(`no guest ${vmid}`);
  return found;
}

const files = '/nodes/pve1/qemu/100';
const workstation = '/nodes/pve1/qemu/120';
const proxy = '/nodes/pve1/lxc/102';
const dns = '/nodes/pve2/lxc/101';
const local = (node = 'pve1') => {
  const found = simulator.state.storages.find((one) => one.storage === 'local' && one.node === node);
  if (!found) throw new Error('no local');
  return found;
};

/** A storage of the whole cluster whose snapshots don't ask for a format. */
function addShared(): void {
  for (const node of ['pve1', 'pve2']) {
    const sizes = { total: 500 * gibibyte, used: gibibyte };
    const what = { plugin: 'rbd', content: 'images,rootdir', shared: true, status: 'available' } as const;
    simulator.state.storages.push({ storage: 'pool', node, ...what, ...sizes });
  }
}

describe('a configuration', () => {
  it('is where the figures of a guest come from, and the other way round', async () => {
    await data('PUT', `${workstation}/config`, { memory: 4096, cores: 4, name: 'desk' });
    expect(guest(120)).toMatchObject({ name: 'desk', cpus: 4, memory: 4 * gibibyte });
    guest(120).memory = 8 * gibibyte;
    guest(120).tags = 'a;b';
    expect(await data('GET', `${workstation}/config`)).toMatchObject({ memory: '8192', cores: 4, tags: 'a;b' });
    const all = await data('GET', '/cluster/resources', { type: 'vm' });
    expect(all).toContainEqual(expect.objectContaining({ vmid: 120, name: 'desk', maxcpu: 4, maxmem: 8 * gibibyte }));
  });

  it('of a running VM waits in part, and can be taken back', async () => {
    await data('PUT', `${files}/config`, { cores: 8, description: 'now', net1: 'virtio,bridge=vmbr0' });
    expect(await data('GET', `${files}/config`, { current: 1 })).toMatchObject({ cores: 2, description: 'now' });
    expect((await data('GET', `${files}/config`)).net1).toMatch(/^virtio=BC:24:11:[0-9A-F:]{8},bridge=vmbr0$/);
    expect(await data('GET', `${files}/pending`)).toContainEqual({ key: 'cores', value: 2, pending: 8 });
    await data('PUT', `${files}/config`, { revert: 'cores' });
    expect((await data('GET', `${files}/config`)).cores).toBe(2);
    await data('PUT', `${files}/config`, { delete: 'ostype' });
    expect(await data('GET', `${files}/pending`)).toContainEqual({ key: 'ostype', value: 'l26', delete: 1 });
    await task('POST', `${files}/status/stop`);
    expect(await data('GET', `${files}/config`, { current: 1 })).not.toHaveProperty('ostype');
  });

  it('hides a password, and says who may change what', async () => {
    await data('PUT', `${workstation}/config`, { ciuser: 'me', cipassword: 'secret' });
    const config = await data('GET', `${workstation}/config`);
    expect(config).toMatchObject({ ciuser: 'me', cipassword: '**********' });
    expect(await ask('PUT', `${workstation}/config`, { args: '-device x' })).toMatchObject({
      status: 500,
      reason: "only root can set 'args' config",
    });
    simulator.state.acl.splice(0);
    simulator.state.roles.set('Tags', ['VM.Audit', 'VM.Config.Options']);
    simulator.state.acl.push({ path: '/', subject: 'mcp@pve', role: 'Tags', propagate: true });
    await data('PUT', `${workstation}/config`, { tags: 'web' });
    expect(await ask('PUT', `${workstation}/config`, { tags: 'x', cores: 4 })).toMatchObject({
      status: 403,
      reason: 'Permission check failed (/vms/120, VM.Config.CPU)',
    });
    expect(guest(120).tags).toBe('web');
  });

  it('makes disks, keeps those that are taken off, and gives their space back at last', async () => {
    const used = local().used;
    await data('PUT', `${workstation}/config`, { scsi1: 'local:8,format=qcow2', ide2: 'local:cloudinit' });
    const config = await data('GET', `${workstation}/config`);
    expect(config).toMatchObject({
      scsi1: 'local:120/vm-120-disk-1.qcow2,size=8G',
      ide2: 'local:120/vm-120-cloudinit.qcow2,media=cdrom,size=4M',
    });
    expect(local().used).toBeGreaterThan(used);
    const volids = async () =>
      (
        (await data('GET', '/nodes/pve1/storage/local/content', { vmid: 120, content: 'images' })) as {
          volid: string;
        }[]
      ).map(({ volid }) => volid);
    expect(await volids()).toContain('local:120/vm-120-disk-1.qcow2');
    await data('PUT', `${workstation}/config`, { delete: 'scsi1' });
    expect(await data('GET', `${workstation}/config`)).toMatchObject({ unused0: 'local:120/vm-120-disk-1.qcow2' });
    await data('PUT', `${workstation}/unlink`, { idlist: 'unused0,ide2', force: 1 });
    expect(await volids()).toEqual(['local:120/vm-120-disk-0.qcow2']);
    expect(local().used).toBe(used);
  });
});

describe('cloud-init', () => {
  it('says what a VM is told, and what it will be told', async () => {
    await data('PUT', `${files}/config`, { ide2: 'local:cloudinit', ciuser: 'me', ipconfig0: 'ip=192.0.2.9/24' });
    expect(await data('GET', `${files}/cloudinit`)).toContainEqual({ key: 'ciuser', pending: 'me' });
    await task('POST', `${files}/status/stop`);
    expect(await data('GET', `${files}/cloudinit`)).toContainEqual({ key: 'ciuser', value: 'me' });
    await data('PUT', `${files}/cloudinit`);
    expect(await data('GET', `${files}/cloudinit/dump`, { type: 'user' })).toContain('user: me\n');
    expect(await data('GET', `${files}/cloudinit/dump`, { type: 'network' })).toContain("address: '192.0.2.9/24'");
    expect(await ask('PUT', `${workstation}/cloudinit`)).toMatchObject({ reason: 'no cloud-init drive found' });
  });
});

describe('snapshots', () => {
  it('hold the memory of a VM that runs, and go back to it', async () => {
    expect(await task('POST', `${files}/snapshot`, { snapname: 'before', vmstate: 1 })).toBe('OK');
    expect(simulator.state.volumes.map(({ volid }) => volid)).toContain('local:100/vm-100-state-before.raw');
    await data('PUT', `${files}/config`, { description: 'changed' });
    await task('POST', `${files}/status/stop`);
    expect(await task('POST', `${files}/snapshot/before/rollback`)).toBe('OK');
    expect(guest(100).status, 'with its memory it runs on').toBe('running');
    expect(await data('GET', `${files}/config`)).not.toHaveProperty('description');
    expect(await task('DELETE', `${files}/snapshot/before`)).toBe('OK');
    expect(simulator.state.volumes.map(({ volid }) => volid)).not.toContain('local:100/vm-100-state-before.raw');
  });

  it('say whether they can be made', async () => {
    expect(await data('GET', `${files}/feature`, { feature: 'snapshot' })).toEqual({ hasFeature: 1, nodes: ['pve1'] });
    expect(await data('GET', `${proxy}/feature`, { feature: 'snapshot' })).toMatchObject({ hasFeature: 0 });
    expect(await task('POST', `${proxy}/snapshot`, { snapname: 'one' })).toBe('snapshot feature is not available');
    addShared();
    await task('POST', `${proxy}/move_volume`, { volume: 'rootfs', storage: 'pool', delete: 1 });
    expect(guest(102).config?.rootfs).toBe('pool:vm-102-disk-0,size=16G');
    expect(await task('POST', `${proxy}/snapshot`, { snapname: 'one' })).toBe('OK');
  });
});

describe('power', () => {
  it('keeps a VM in memory, or on disk, where a start finds it', async () => {
    await task('POST', `${files}/status/suspend`);
    expect(await data('GET', `${files}/status/current`)).toMatchObject({ status: 'running', qmpstatus: 'paused' });
    await task('POST', `${files}/status/resume`);
    expect(guest(100).paused).toBeUndefined();
    expect(await task('POST', `${files}/status/suspend`, { todisk: 1 })).toBe('OK');
    expect(await data('GET', `${files}/status/current`)).toMatchObject({ status: 'stopped', lock: 'suspended' });
    expect(await task('POST', `${files}/status/resume`)).toBe('OK');
    expect(guest(100)).toMatchObject({ status: 'running' });
    expect(guest(100).lock).toBeUndefined();
  });
});

describe('a new guest', () => {
  it('of an image with cloud-init has its disk, and runs when that is asked for', async () => {
    simulator.state.volumes.push({
      storage: 'local',
      node: 'pve1',
      volid: 'local:import/debian-13.qcow2',
      content: 'import',
      format: 'qcow2',
      size: 400 * 2 ** 20,
      used: 400 * 2 ** 20,
      ctime: 1_790_000_000,
    });
    const asked = {
      vmid: 200,
      name: 'new',
      memory: 1024,
      agent: 'enabled=1',
      scsi0: 'local:0,import-from=local:import/debian-13.qcow2',
      ide2: 'local:cloudinit',
      net0: 'virtio,bridge=vmbr0',
      ipconfig0: 'ip=dhcp',
      start: 1,
    };
    expect(await task('POST', '/nodes/pve1/qemu', asked)).toBe('OK');
    expect(await data('GET', '/nodes/pve1/qemu/200/config')).toMatchObject({
      scsi0: 'local:200/vm-200-disk-0.raw,size=3G',
      ide2: 'local:200/vm-200-cloudinit.qcow2,media=cdrom,size=4M',
      boot: 'order=scsi0;net0',
    });
    await expect.poll(() => guest(200).status).toBe('running');
    const { result } = await data('GET', '/nodes/pve1/qemu/200/agent/network-get-interfaces');
    expect(result[1]['ip-addresses'][0]['ip-address']).toMatch(/^198\.51\./);
  });

  it('takes its id at once: who comes second hears that', async () => {
    const both = await Promise.all([1, 2].map(() => ask('POST', '/nodes/pve1/qemu', { vmid: 200, scsi0: 'local:4' })));
    expect(both.map(({ status }) => status).sort()).toEqual([200, 500]);
    expect(both.find(({ status }) => status === 500)?.reason).toBe(
      "unable to create VM 200 - VM 200 already exists on node 'pve1'",
    );
    expect(await ask('GET', '/cluster/nextid', { vmid: 200 })).toMatchObject({
      status: 400,
      errors: { vmid: 'VM 200 already exists' },
    });
  });

  it('of a template is a container with an address', async () => {
    const template = {
      storage: 'local',
      node: 'pve1',
      content: 'vztmpl',
      format: 'tzst',
      size: 2 ** 27,
      used: 2 ** 27,
    } as const;
    simulator.state.volumes.push({ ...template, volid: 'local:vztmpl/debian-13-standard.tar.zst', ctime: 1 });
    const asked = {
      vmid: 201,
      ostemplate: 'local:vztmpl/debian-13-standard.tar.zst',
      hostname: 'mail',
      rootfs: 'local:8',
      net0: 'name=eth0,bridge=vmbr0,ip=dhcp',
      unprivileged: 1,
      password: 'not in the configuration',
      'ssh-public-keys': 'ssh-ed25519 AAAA me',
      pool: 'office',
      start: 1,
    };
    simulator.state.pools.set('office', { vms: new Set(), storages: new Set() });
    expect(await task('POST', '/nodes/pve1/lxc', asked)).toBe('OK');
    const config = await data('GET', '/nodes/pve1/lxc/201/config');
    expect(config).toMatchObject({ hostname: 'mail', ostype: 'debian', rootfs: 'local:201/vm-201-disk-0.raw,size=8G' });
    expect(JSON.stringify(config)).not.toMatch(/not in the configuration|ssh-ed25519/);
    expect(simulator.state.pools.get('office')?.vms.has(201)).toBe(true);
    await expect.poll(() => guest(201).status).toBe('running');
    expect((await data('GET', '/nodes/pve1/lxc/201/interfaces'))[1]['ip-addresses']).toHaveLength(1);
  });

  it('leaves nothing when it fails, and a full storage is why', async () => {
    const mend = simulator.inject({ kind: 'full-storage', storage: 'local', node: 'pve1' });
    expect(await task('POST', `${files}/clone`, { newid: 200 })).toMatch(/^clone failed: .*No space left on device$/);
    expect(simulator.state.guests.has(200)).toBe(false);
    expect(simulator.state.volumes.some(({ vmid }) => vmid === 200)).toBe(false);
    mend();
    expect(await task('POST', `${files}/clone`, { newid: 200, name: 'copy' })).toBe('OK');
    expect(guest(200)).toMatchObject({ name: 'copy', status: 'stopped' });
    expect(guest(200).config?.net0).not.toBe(guest(100).config?.net0);
  });

  it('of a template shares its disk, and holds it', async () => {
    expect(await task('POST', `${workstation}/template`)).toBe('OK');
    expect(await task('POST', `${workstation}/clone`, { newid: 200 })).toBe('OK');
    expect(guest(200).config?.scsi0).toBe('local:120/base-120-disk-0.qcow2/200/vm-200-disk-0.qcow2,size=16G');
    expect(await task('DELETE', workstation)).toMatch(/is still in use by linked cloned$/);
    expect(await task('DELETE', '/nodes/pve1/qemu/200')).toBe('OK');
    expect(await task('DELETE', workstation, { purge: 1 })).toBe('OK');
    expect(simulator.state.guests.has(120)).toBe(false);
  });
});

describe('a guest’s place', () => {
  it('changes with its disks, offline and live', async () => {
    expect(await task('POST', `${workstation}/migrate`, { target: 'pve2' })).toBe('OK');
    expect(await data('GET', '/nodes/pve2/qemu/120/config')).toMatchObject({ name: 'workstation' });
    expect(simulator.state.volumes.find(({ vmid }) => vmid === 120)?.node).toBe('pve2');
    expect(await ask('POST', `${files}/migrate`, { target: 'pve2' })).toMatchObject({
      reason: "can't migrate running VM without --online",
    });
    expect(await task('POST', `${files}/migrate`, { target: 'pve2', online: 1 })).toBe('migration aborted');
    expect(guest(100)).toMatchObject({ node: 'pve1', status: 'running' });
    expect(guest(100).lock).toBeUndefined();
    expect(await task('POST', `${files}/migrate`, { target: 'pve2', online: 1, 'with-local-disks': 1 })).toBe('OK');
    expect(guest(100)).toMatchObject({ node: 'pve2', status: 'running' });
  });

  it('stays when there is no room over there, and a container runs again', async () => {
    const mend = simulator.inject({ kind: 'full-storage', storage: 'local', node: 'pve1' });
    expect(await task('POST', `${dns}/migrate`, { target: 'pve1', restart: 1 })).toBe('migration aborted');
    expect(guest(101)).toMatchObject({ node: 'pve2', status: 'running' });
    mend();
    expect(await task('POST', `${dns}/migrate`, { target: 'pve1', restart: 1 })).toBe('OK');
    expect(guest(101)).toMatchObject({ node: 'pve1', status: 'running' });
  });

  it('of a disk changes, and its size only grows', async () => {
    addShared();
    expect(await task('POST', `${files}/move_disk`, { disk: 'scsi0', storage: 'pool' })).toBe('OK');
    expect(guest(100).config).toMatchObject({
      scsi0: 'pool:vm-100-disk-0,size=16G',
      unused0: 'local:100/vm-100-disk-0.qcow2',
    });
    expect(await task('PUT', `${files}/resize`, { disk: 'scsi0', size: '+4G' })).toBe('OK');
    expect(guest(100).disk).toBe(20 * gibibyte);
    expect(await task('PUT', `${files}/resize`, { disk: 'scsi0', size: '10G' })).toBe(
      'shrinking disks is not supported',
    );
    expect(await task('PUT', `${workstation}/resize`, { disk: 'scsi0', size: '32G' })).toBe('OK');
    expect(await data('GET', `${workstation}/migrate`)).toMatchObject({
      allowed_nodes: ['pve2'],
      local_disks: [expect.objectContaining({ drivename: 'scsi0', size: 32 * gibibyte })],
    });
  });
});

describe('the agent', () => {
  it('isn’t there until it is configured and runs', async () => {
    expect((await ask('POST', `${workstation}/agent/ping`)).reason).toBe('No QEMU guest agent configured');
    await data('PUT', `${workstation}/config`, { agent: 1 });
    expect((await ask('POST', `${workstation}/agent/ping`)).reason).toBe('VM 120 is not running');
    await task('POST', `${workstation}/status/start`);
    expect(await data('POST', `${workstation}/agent/ping`)).toEqual({ result: {} });
    guest(120).behaviour = { agent: { state: 'missing' } };
    expect((await ask('GET', `${workstation}/agent/get-osinfo`)).reason).toBe('QEMU guest agent is not running');
    guest(120).behaviour = { agent: { state: 'hangs' } };
    expect((await ask('GET', `${workstation}/agent/get-osinfo`)).reason).toMatch(/got timeout$/);
  });

  it('runs a program, tells once how it ended, and cuts what is too long', async () => {
    const runs: Readonly<Record<string, SimulatedRun>> = {
      fail: { output: 'out\n', errors: 'err\n', exitCode: 7 },
      long: { output: 'x'.repeat(17 * 2 ** 20) },
      endless: { endless: true },
    };
    guest(100).config = { ...guest(100).config, agent: '1' };
    guest(100).behaviour = { agent: { run: ([name = '']) => runs[name] } };
    const { pid } = await data('POST', `${files}/agent/exec`, { command: ['fail', 'a b'] });
    const status = () => ask('GET', `${files}/agent/exec-status`, { pid });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect((await status()).data).toEqual({ exited: 1, exitcode: 7, 'out-data': 'out\n', 'err-data': 'err\n' });
    expect((await status()).reason, 'said once').toMatch(/does not exist$/);
    const long = await data('POST', `${files}/agent/exec`, { command: ['long'] });
    await new Promise((resolve) => setTimeout(resolve, 50));
    const cut = await data('GET', `${files}/agent/exec-status`, { pid: long.pid });
    expect(cut).toMatchObject({ 'out-truncated': 1 });
    expect(cut['out-data']).toHaveLength(16 * 2 ** 20);
    const endless = await data('POST', `${files}/agent/exec`, { command: ['endless'] });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await data('GET', `${files}/agent/exec-status`, { pid: endless.pid })).toEqual({ exited: 0 });
    expect((await ask('POST', `${files}/agent/exec`, { command: ['absent'] })).reason).toMatch(
      /No such file or directory/,
    );
  });

  it('reads and writes files, within its limits', async () => {
    guest(100).config = { ...guest(100).config, agent: '1' };
    await data('POST', `${files}/agent/file-write`, { file: '/tmp/a', content: 'grüße' });
    expect(await data('GET', `${files}/agent/file-read`, { file: '/tmp/a' })).toMatchObject({ 'bytes-read': 7 });
    const raw = Buffer.from([0, 255, 10]);
    await data('POST', `${files}/agent/file-write`, { file: '/tmp/b', content: raw.toString('base64'), encode: 0 });
    const read = await data('GET', `${files}/agent/file-read`, { file: '/tmp/b', decode: 0 });
    expect(Buffer.from(read.content, 'base64')).toEqual(raw);
    expect(await data('GET', `${files}/agent/file-read`, { file: '/tmp/b', count: 2 })).toMatchObject({ truncated: 1 });
    expect((await ask('GET', `${files}/agent/file-read`, { file: '/absent' })).reason).toMatch(
      /No such file or directory$/,
    );
    const tooLong = { file: '/tmp/c', content: 'x'.repeat(61_441) };
    expect((await ask('POST', `${files}/agent/file-write`, tooLong)).errors).toEqual({
      content: 'value may only be 61440 characters long',
    });
  });
});

describe('a backup', () => {
  it('is a file with notes and a log, and becomes the guest again', async () => {
    const asked = { vmid: 100, storage: 'local', compress: 'zstd', 'notes-template': '{{guestname}} of {{node}}' };
    expect(await task('POST', '/nodes/pve1/vzdump', asked)).toBe('OK');
    const archive = simulator.state.archives.find(({ file }) => file !== undefined);
    expect(archive).toMatchObject({ vmid: 100, type: 'qemu', notes: 'files of pve1' });
    const file = String(archive?.file);
    expect(gunzipSync(readFileSync(file)).toString()).toContain('vm-100-disk-0.qcow2');
    expect(readFileSync(`${file}.notes`, 'utf8')).toBe('files of pve1');
    expect(existsSync(`${file}.log`)).toBe(true);
    const [entry] = (await data('GET', '/nodes/pve1/storage/local/content', { content: 'backup', vmid: 100 })).slice(
      -1,
    );
    expect(entry).toMatchObject({ format: 'vma.zst', notes: 'files of pve1' });
    expect(await data('GET', '/nodes/pve1/vzdump/extractconfig', { volume: entry.volid })).toContain('name: files\n');
    await data('PUT', `${files}/config`, { name: 'changed' });
    expect(await task('POST', '/nodes/pve1/qemu', { vmid: 200, archive: entry.volid, unique: 1 })).toBe('OK');
    expect(guest(200)).toMatchObject({ name: 'files', disk: 16 * gibibyte });
    await task('DELETE', `/nodes/pve1/storage/local/content/${encodeURIComponent(entry.volid)}`);
    expect(existsSync(file)).toBe(false);
  });

  it('is one at a time on a node, holds the guest’s lock, and is gone when it is aborted', async () => {
    guest(100).behaviour = { taskMs: { vzdump: 5000 } };
    const first = await data('POST', '/nodes/pve1/vzdump', { vmid: 100, storage: 'local' });
    await expect.poll(() => guest(100).lock).toBe('backup');
    const second = await data('POST', '/nodes/pve1/vzdump', { vmid: 102, storage: 'local' });
    await expect
      .poll(() => simulator.state.tasks.get(second)?.log)
      .toEqual(['INFO: trying to get global lock - waiting...']);
    expect(await task('POST', `${files}/status/stop`)).toBe(
      "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout",
    );
    await data('DELETE', `/nodes/pve1/tasks/${encodeURIComponent(first)}`);
    expect(await ended(first)).toBe('interrupted by signal');
    await expect.poll(() => guest(100).lock).toBeUndefined();
    expect(await ended(second)).toBe('OK');
    expect(simulator.state.archives.some(({ file, vmid }) => file !== undefined && vmid === 100)).toBe(false);
  });
});

describe('what can be made to go wrong', () => {
  it('a change that says OK and isn’t made, of every kind', async () => {
    const before = JSON.stringify([...simulator.state.guests.values()]);
    const silent = (scope: object) => simulator.inject({ kind: 'silent' }, { ...scope, times: 1 });
    silent({ method: 'PUT', template: '/nodes/{node}/qemu/{vmid}/config' });
    await data('PUT', `${files}/config`, { description: 'lost' });
    const tasks: readonly (readonly [type: string, method: string, path: string, parameters?: Parameters])[] = [
      ['qmstart', 'POST', `${workstation}/status/start`],
      ['qmstop', 'POST', `${files}/status/stop`],
      ['qmsnapshot', 'POST', `${files}/snapshot`, { snapname: 'lost' }],
      ['resize', 'PUT', `${files}/resize`, { disk: 'scsi0', size: '+1G' }],
      ['qmclone', 'POST', `${files}/clone`, { newid: 200 }],
      ['qmcreate', 'POST', '/nodes/pve1/qemu', { vmid: 201 }],
      ['qmdestroy', 'DELETE', workstation],
      ['qmigrate', 'POST', `${workstation}/migrate`, { target: 'pve2' }],
      ['qmconfig', 'POST', `${workstation}/config`, { cores: 7 }],
    ];
    for (const [type, method, path, parameters] of tasks) {
      silent({ task: type });
      expect(await task(method, path, parameters), type).toBe('OK');
    }
    expect(JSON.stringify([...simulator.state.guests.values()])).toBe(before);
    await data('PUT', `${files}/config`, { description: 'kept' });
    expect(await data('GET', `${files}/config`), 'once only').toMatchObject({ description: 'kept' });
  });

  it('a snapshot without the memory, a clone without its disk', async () => {
    simulator.inject({ kind: 'without', part: 'ram' }, { task: 'qmsnapshot' });
    await task('POST', `${files}/snapshot`, { snapname: 'without', vmstate: 1 });
    expect((await data('GET', `${files}/snapshot`))[0]).toMatchObject({ name: 'without', vmstate: 0 });
    simulator.inject(
      { kind: 'without', part: 'disk' },
      { template: '/nodes/{node}/qemu/{vmid}/clone', method: 'POST' },
    );
    expect(await task('POST', `${workstation}/clone`, { newid: 200 })).toBe('OK');
    expect(await data('GET', '/nodes/pve1/qemu/200/config')).not.toHaveProperty('scsi0');
  });

  it('a task that hangs, fails after its work, or is killed', async () => {
    const lift = simulator.inject({ kind: 'task-hangs' }, { task: 'qmstart', vmid: 120 });
    const hung = await data('POST', `${workstation}/status/start`);
    expect(await task('PUT', `${workstation}/resize`, { disk: 'scsi0', size: '+1G' })).toMatch(/^can't lock file/);
    await data('DELETE', `/nodes/pve1/tasks/${encodeURIComponent(hung)}`);
    lift();
    simulator.inject({ kind: 'task-fails', exitstatus: 'got timeout', after: 'work' }, { task: 'qmstart', times: 1 });
    expect(await task('POST', `${workstation}/status/start`)).toBe('got timeout');
    expect(guest(120).status).toBe('running');
    simulator.inject({ kind: 'task-killed' }, { task: 'qmsnapshot', times: 1 });
    expect(await task('POST', `${workstation}/snapshot`, { snapname: 'lost' })).toBe('unexpected status');
    expect(guest(120)).toMatchObject({ lock: 'snapshot' });
  });

  it('the same when it is asked of another node', async () => {
    const member = await createProxmoxSimulator({ memberOf: { simulator, node: 'pve2' }, authenticationDelayMs: 1 });
    member.inject({ kind: 'silent' }, { task: 'qmstart', times: 1 });
    expect(await task('POST', `${workstation}/status/start`)).toBe('OK');
    expect(guest(120).status).toBe('stopped');
    await member.close();
    expect(await task('POST', `${workstation}/status/start`), 'and its tasks outlive it').toBe('OK');
    expect(guest(120).status).toBe('running');
  });

  it('a guest that moves just before, a node that is away, and no quorum', async () => {
    simulator.inject(
      { kind: 'moved', to: 'pve2' },
      { method: 'POST', template: '/nodes/{node}/qemu/{vmid}/snapshot', times: 1 },
    );
    expect(await ask('POST', `${workstation}/snapshot`, { snapname: 'late' })).toMatchObject({
      status: 500,
      reason: "Configuration file 'nodes/pve1/qemu-server/120.conf' does not exist",
    });
    expect(guest(120).node).toBe('pve2');
    simulator.inject({ kind: 'unavailable', status: 596, reason: 'Broken pipe' }, { vmid: 120, times: 1 });
    expect(await ask('GET', '/nodes/pve2/qemu/120/config')).toMatchObject({ status: 596, reason: 'Broken pipe' });
    const mend = simulator.inject({ kind: 'no-quorum' });
    expect((await ask('PUT', `${files}/config`, { cores: 1 })).reason).toMatch(/conf\.tmp\.\d+' - Permission denied$/);
    mend();
    await data('PUT', `${files}/config`, { description: 'works' });
  });
});
