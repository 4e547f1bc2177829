import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { token } from '../../lab/proxmox/state.ts';
import { bareEnvironment } from '../support/built.ts';
import { exhaustive } from '../support/exhaustive.ts';
import { freePorts } from '../support/free-ports.ts';
import { apiEntry } from '../support/hosts.ts';
import { startService, type TestService } from '../support/service.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

// Worker and MCP server in processes of their own that are told to read their configuration again.
const by = { kind: 'cli', name: 'test' } as const;
const vmid = 301;
let simulator: ProxmoxSimulator;
let service: TestService;

beforeAll(async () => {
  simulator = await createProxmoxSimulator();
  service = await startService({ hosts: { pve1: apiEntry(simulator) } });
  await Promise.all([service.startWorker(), service.startMcp()]);
}, 600_000);
afterAll(async () => {
  await service?.stop();
  await simulator?.close();
}, 120_000);

const env = () => readFileSync(join(service.folder, '.env'), 'utf8');
const write = (text: string) => writeFileSync(join(service.folder, '.env'), text, { mode: 0o600 });
/** The host with another token of the same user. */
function secondToken() {
  const { tokens } = simulator.state;
  const [id, made] = token('mcp@pve', 'second', false);
  const { secret } = tokens.get(id) ?? made;
  if (!tokens.has(id)) tokens.set(id, made);
  return { ...apiEntry(simulator), PROXMOX_TOKEN_NAME: 'second', PROXMOX_TOKEN_VALUE: secret };
}
/** What `reload` prints; also where it ends with 1. */
const reload = () =>
  service.cli('reload').then(
    ({ stdout }) => stdout,
    ({ stdout, stderr }: { stdout: string; stderr: string }) => `${stdout}${stderr}`,
  );
const times = (text: string, name: 'worker' | 'mcp' = 'worker') => service.log(name).split(text).length - 1;

it('a host’s address and token change while a run follows its task: the run ends, nothing is done twice', async () => {
  const old = await startTcpProxy(simulator.port);
  onTestFinished(() => old.stop());
  service.writeHosts({ pve1: { ...apiEntry(simulator), PROXMOX_PORT: String(old.port) } });
  expect(await reload()).toContain('pve1.PROXMOX_PORT changed');
  simulator.state.tasks.clear();
  const like = simulator.state.guests.get(100);
  if (like === undefined) throw new Error('there is no guest to copy');
  simulator.state.guests.set(vmid, {
    ...structuredClone(like),
    vmid,
    name: 'moved',
    node: 'pve1',
    status: 'stopped',
    behaviour: { startMs: 6_000 },
  });
  const { id } = await service.runs.start('control-guest', { host: 'pve1', vmid, action: 'start' }, by);
  const started = () => [...simulator.state.tasks.values()].filter((task) => task.id === String(vmid));
  await expect.poll(() => started().length, { timeout: 30_000 }).toBe(1);

  // Another address, another token; when they are in use neither of the old ones is good for anything any more.
  const second = secondToken();
  service.writeHosts({ pve1: second });
  const said = await reload();
  await old.stop();
  simulator.state.tokens.delete('mcp@pve!full');
  expect(said).toMatch(
    /worker \(process \d+\) has read the configuration again: pve1\.PROXMOX_PORT, pve1\.PROXMOX_TOKEN_NAME, pve1\.PROXMOX_TOKEN_VALUE changed/,
  );
  expect(said).toMatch(/MCP server \(process \d+\) has read the configuration again/);
  expect(said + service.log('worker') + service.log('mcp')).not.toContain(second.PROXMOX_TOKEN_VALUE);
  expect(await service.runs.wait(id, { timeoutMs: 60_000 })).toMatchObject({ state: 'done' });
  expect(started()).toHaveLength(1);
}, 180_000);

it('what is wrong changes nothing and is said whole; a new host is there at once, and one that is removed is gone', async () => {
  const good = env();
  write(`${good}SSH_PRT=22\nLOG_LEVEL=loud\n`);
  writeFileSync(join(service.folder, 'policy.yaml'), 'rules: 7\n', { mode: 0o600 });
  const refused = await reload();
  expect(refused).toMatch(/worker .* has found problems, and nothing has changed:\n +1\. .*\n +2\. /);
  expect(refused).toContain('SSH_PRT');
  expect(service.log('worker')).toMatch(/nothing of it counts: LOG_LEVEL/);
  expect(service.log('mcp')).toMatch(/nothing of it counts: SSH_PRT/);

  write(good);
  expect(await reload()).toContain('policy.yaml');
  writeFileSync(join(service.folder, 'policy.yaml'), '', { mode: 0o600 });
  const proxy = await startTcpProxy(simulator.port);
  onTestFinished(() => proxy.stop());
  const first = secondToken();
  service.writeHosts({ pve1: first, added: { ...first, PROXMOX_PORT: String(proxy.port) } });
  const [port] = await freePorts(1);
  write(`${good.replace(/MCP_PORT=.*/, `MCP_PORT=${port}`)}MCP_ALLOWED_HOSTS=mcp.example.org\n`);
  const taken = await reload();
  expect(taken).toMatch(/added\.PROXMOX_HOST.* changed; MCP_PORT counts only after a restart/);
  const hosts = await service.cli('--set', `MCP_PORT=${service.config.mcp.port}`, 'call', 'list_hosts', '{}');
  expect(hosts.stdout).toContain('added');
  const { id } = await service.runs.start('check-health', { host: 'pve1' }, by);
  expect(await service.runs.wait(id, { timeoutMs: 60_000 })).toMatchObject({ state: 'done' });
  const schedules = async () => (await service.schedules.list()).map((one) => one.id).join();
  expect(await schedules()).toContain('added');
  // What waits for a restart is still named.
  expect((await service.cli('status').catch(({ stdout }) => ({ stdout }))).stdout).not.toContain('PROXMOX_HOST');

  write(good);
  service.writeHosts({ pve1: first });
  expect(await reload()).toContain('added.PROXMOX_HOST');
  expect(await schedules()).not.toContain('added');
}, 180_000);

it.runIf(exhaustive)(
  'requests during one are one more after it, and the last that was written counts',
  async () => {
    const good = env();
    const before = times('the configuration was read again');
    service.hangUp('worker');
    for (const level of [11, 12, 13]) {
      write(`${good}WORKER_ACTIVITIES_PER_HOST=${level}\n`);
      service.hangUp('worker');
      await sleep(20);
    }
    await expect
      .poll(
        () =>
          service
            .log('worker')
            .split('\n')
            .filter((line) => line.includes('WORKER_ACTIVITIES_PER_HOST')).length,
        { timeout: 30_000 },
      )
      .toBeGreaterThan(0);
    // Nothing is left to be done: the next one finds nothing new.
    expect(await reload()).toMatch(/worker .*: no key has changed/);
    expect(times('the configuration was read again') - before).toBeLessThanOrEqual(5);
    write(good);
    await reload();
  },
  120_000,
);

it.runIf(exhaustive)(
  'a worker that is told while it starts has read it when it is ready',
  async () => {
    await service.killWorker('SIGTERM');
    // It leaves nothing behind for the next `reload`.
    const left = () => readdirSync(join(service.config.dataDir, 'run')).filter((name) => name.endsWith('.reload'));
    expect(left().filter((name) => name.startsWith('worker'))).toEqual([]);
    const root = join(import.meta.dirname, '../..');
    const child = spawn(process.execPath, [join(root, 'dist/src/worker.js')], {
      env: { ...bareEnvironment(), PROXMOX_MCP_CONFIG_DIR: service.folder },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    // Node itself takes a moment in which nobody can hear a signal.
    await expect.poll(() => listensForHangUps(child.pid), { timeout: 30_000, interval: 5 }).toBe(true);
    for (let count = 0; count < 20 && !said.includes('worker is ready'); count += 1) {
      child.kill('SIGHUP');
      await sleep(50);
    }
    await expect
      .poll(() => said, { timeout: 60_000 })
      .toMatch(/worker is ready(?:.|\n)*the configuration was read again/);
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await gone).toEqual([0, null]);
  },
  120_000,
);

/** Whether the kernel hands it SIGHUP instead of ending it. */
function listensForHangUps(pid = 0): boolean {
  const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
  return (BigInt(`0x${caught}`) & 1n) === 1n;
}
