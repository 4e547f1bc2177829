import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { moveStores } from '../../src/move/stores.ts';
import { createRuns } from '../../src/runs/create-runs.ts';
import { createSchedules } from '../../src/runs/create-schedules.ts';
import { switchOptions } from '../../src/runs/switch.ts';
import { cacheFolder } from '../../src/service/paths.ts';
import { findTemporal } from '../../src/service/temporal-binary.ts';
import { startTemporalServer } from '../../src/service/temporal-server.ts';
import { lockId, serviceQueue } from '../../src/workflows/lib/messages.ts';
import { localMachine, type Machine, makePlace, type Place } from '../faults/places.ts';
import { bareEnvironment, useDist } from '../support/built.ts';
import { exhaustive, sample } from '../support/exhaustive.ts';
import { freePorts } from '../support/free-ports.ts';
import { quietTimeZone } from '../support/quiet-time-zone.ts';
import { startService, type TestService } from '../support/service.ts';

const by = { kind: 'cli', name: 'test' } as const;
/** Hosts take no fence that is 5 minutes ahead of their clock. */
const aheadMs = 240_000;
const hourMs = 3_600_000;

const built = useDist();
let machine: Machine;
let place: Place;
let oldFolder: string;
let moved: string;
let temporalBinary: string;
/** The new service: its own server and data folder, the same host. */
let next: TestService;
/** What the old one had. */
const was = { checked: '', saved: '', planned: '', once: '', own: '', fired: '' };
let fence = 0;

function cliIn(folder: string) {
  return (...args: readonly string[]) =>
    promisify(execFile)(process.execPath, [built.path('src/cli.js'), ...args], {
      env: { ...bareEnvironment(), PROXMOX_MCP_CONFIG_DIR: folder },
    });
}
const cli = (...args: readonly string[]) => cliIn(oldFolder)(...args);

async function withOld<Result>(work: (client: Client) => Promise<Result>): Promise<Result> {
  const { config } = loadConfig({ cwd: oldFolder, env: {} });
  const connection = await Connection.connect({ address: `127.0.0.1:${config.temporal.port}` });
  try {
    return await work(new Client({ connection }));
  } finally {
    await connection.close();
  }
}

/** Starts the command and kills it, with SIGKILL, as soon as `isTime`. */
async function killed(
  folder: string,
  args: readonly string[],
  isTime: () => Promise<boolean> | boolean,
): Promise<void> {
  const child: ChildProcess = spawn(process.execPath, [built.path('src/cli.js'), ...args], {
    env: { ...bareEnvironment(), PROXMOX_MCP_CONFIG_DIR: folder },
    stdio: 'ignore',
  });
  const ended = once(child, 'exit');
  while (child.exitCode === null && !(await isTime())) await sleep(5);
  child.kill('SIGKILL');
  await ended;
}

// The whole way, with real services: minutes. What every store does by itself: `stores.system.test.ts`.
describe.skipIf(!exhaustive)('a service moves', () => {
  beforeAll(async () => {
    machine = localMachine();
    place = await makePlace({ name: 'first', machine });
    oldFolder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-move-'));
    moved = join(oldFolder, 'moved');
    ({ path: temporalBinary } = await findTemporal({
      binary: process.env.TEMPORAL_BINARY,
      cacheDir: cacheFolder(),
      say: console.log,
    }));
    const [port, uiPort, mcpPort, metricsPort] = await freePorts(4);
    const env = {
      DATA_DIR: './data',
      TEMPORAL_PORT: port,
      TEMPORAL_UI_PORT: uiPort,
      TEMPORAL_BINARY: temporalBinary,
      MCP_PORT: mcpPort,
      WORKER_METRICS_PORT: metricsPort,
      TIME_ZONE: quietTimeZone(),
    };
    const lines = Object.entries(env).map(([key, value]) => `${key}=${value}\n`);
    writeFileSync(join(oldFolder, '.env'), lines.join(''), { mode: 0o600 });
    writeFileSync(join(oldFolder, 'hosts.yaml'), JSON.stringify({ hosts: { first: place.entry } }), { mode: 0o600 });
    mkdirSync(join(oldFolder, 'data'), { mode: 0o700 });
    writeFileSync(join(oldFolder, 'data/known_hosts'), '192.0.2.1 ssh-ed25519 AAAA\n', { mode: 0o600 });
  }, 600_000);

  afterAll(async () => {
    await next?.stop();
    await cli('stop').catch(() => undefined);
    await machine?.stop();
    if (oldFolder) rmSync(oldFolder, { recursive: true, force: true, maxRetries: 5 });
  }, 120_000);

  it('an old service has runs, schedules, people’s own ones, tokens and a ledger', async () => {
    await cli('start', '--keep');
    const { config } = loadConfig({ cwd: oldFolder, env: {} });
    await withOld(async (client) => {
      // The host has seen fences that are ahead of the clock: who begins anew with the time would be kept out.
      await client.workflow.start('targetLock', {
        workflowId: lockId('host/first'),
        taskQueue: serviceQueue,
        args: ['host/first', { holders: [], queue: [], lastFence: Date.now() + aheadMs }],
      });
      // Switched on and off before; nobody has to be told of it any more.
      const state = { on: false, number: 3, since: new Date().toISOString(), why: 'was nothing' };
      await client.workflow.start('changeSwitch', { ...switchOptions, args: [state], memo: { switch: state } });

      const runs = createRuns({ client, config });
      const schedules = createSchedules({ client, config });
      const done = async (operation: string, input: object) => {
        const { id } = await runs.start(operation, input, by, { idempotencyKey: operation });
        expect((await runs.wait(id, { timeoutMs: 120_000 })).result?.outcome).toBeDefined();
        return id;
      };
      was.saved = await done('back-up', { host: 'first' });
      was.checked = await done('check-health', { host: 'first' });
      was.planned = (await runs.start('back-up', { host: 'first', dryRun: true }, by)).id;
      await runs.wait(was.planned, { timeoutMs: 60_000 });
      await schedules.change('back-up/daily/first', { cron: '17 4 * * *' }, 'test');
      await schedules.pause('check-health/daily/first', 'a holiday', 'test');
      const check = { operation: 'check-health', input: { host: 'first' } };
      was.own = (await schedules.add({ ...check, every: '30 5 * * 1', name: 'mondays' }, by)).id;
      const later = new Date(Date.now() + 5 * hourMs).toISOString();
      was.once = (await schedules.add({ ...check, at: later, name: 'later' }, by)).id;
      const soon = new Date(Date.now() + 12_000).toISOString();
      was.fired = (await schedules.add({ ...check, at: soon, name: 'soon' }, by)).id;
      const fired = async () => (await schedules.list()).find(({ id }) => id === was.fired)?.lastRuns[0]?.runId;
      await expect.poll(fired, { timeout: 60_000 }).toBeDefined();
      await runs.wait((await fired()) as string, { timeoutMs: 60_000 });
    });
    await cli('token', 'create', 'claude', '--scope', 'operate');
    fence = Number(readFileSync(join(place.layout.state, 'host.fence'), 'utf8'));
    expect(fence).toBeGreaterThan(Date.now());
  }, 300_000);

  it('nothing is moved while something is changed', async () => {
    await place.reset('Pack');
    const { stdout } = await cli('back-up', '--host', 'first', '--no-wait');
    const id = stdout.trim();
    await place.held();
    await expect(cli('move', 'export', moved)).rejects.toMatchObject({ stderr: expect.stringContaining(id) });
    await withOld(async (client) => {
      const { config } = loadConfig({ cwd: oldFolder, env: {} });
      const all = await createSchedules({ client, config }).list();
      expect(all.filter(({ paused }) => paused).map(({ id: one }) => one)).toEqual(['check-health/daily/first']);
      await place.open();
      await createRuns({ client, config }).wait(id, { timeoutMs: 120_000 });
    });
  }, 180_000);

  it('a dry run says what would come along, and changes nothing', async () => {
    const { stdout } = await cli('move', 'export', `${moved}-not`, '--dry-run');
    for (const { name } of moveStores.filter(({ keptBy }) => keptBy === 'server')) expect(stdout).toContain(name);
    expect(existsSync(`${moved}-not`)).toBe(false);
  }, 60_000);

  it('an export that is killed when the schedules are paused goes on when it is run again', async () => {
    const isPaused = () =>
      withOld(async (client) => (await client.schedule.getHandle('back-up/daily/first').describe()).state.paused);
    await killed(oldFolder, ['move', 'export', moved], isPaused);
    const { stdout, stderr } = await cli('move', 'export', moved);
    // Which was paused by people is known all the same.
    expect(stdout).toMatch(/schedules .*5 schedules \(1 with another time, 1 paused, 3 made by somebody\)/);
    expect(stdout).toMatch(/runs +[5-9] runs/);
    expect(stdout).toMatch(/ledger +\d+ records/);
    expect(stderr).toContain('Stopped: ');
    // And once more, with nothing running.
    await expect(cli('move', 'export', moved)).resolves.toMatchObject({
      stderr: expect.stringContaining('what it has was read before'),
    });
  }, 180_000);

  it('the old server starts nothing any more', async () => {
    const { config } = loadConfig({ cwd: oldFolder, env: {} });
    const server = await startTemporalServer({
      binary: temporalBinary,
      dataDir: config.dataDir,
      port: config.temporal.port,
      uiPort: config.temporal.uiPort,
      namespace: 'default',
    });
    try {
      await withOld(async (client) => {
        const all = await createSchedules({ client, config }).list();
        expect(all.filter(({ paused }) => !paused)).toEqual([]);
        const open = client.workflow.list({ query: `ExecutionStatus = 'Running' AND OpsPhase IS NOT NULL` });
        for await (const { workflowId } of open) throw new Error(`${workflowId} goes on`);
      });
    } finally {
      await server.stop();
    }
  }, 120_000);

  it('an import that is killed after any store brings everything once', async () => {
    next = await startService({ hosts: { first: place.entry } });
    const marks = join(next.config.dataDir, 'moved.json');
    const brought = () =>
      existsSync(marks) ? Object.keys(Object.values(JSON.parse(readFileSync(marks, 'utf8')))[0] as object).length : 0;
    await expect(next.cli('move', 'import', moved, '--dry-run')).resolves.toBeDefined();
    expect(existsSync(marks)).toBe(false);
    for (const count of sample(
      moveStores.map((_, index) => index),
      2,
    )) {
      await killed(next.folder, ['move', 'import', moved], () => brought() >= count);
    }
    const { stdout } = await next.cli('move', 'import', moved);
    expect(stdout).toMatch(/schedules/);
    expect(brought()).toBe(moveStores.length);
    const again = await next.cli('move', 'import', moved);
    expect(again.stdout.match(/brought already/g)).toHaveLength(moveStores.length);
    expect(existsSync(`${join(next.config.dataDir, 'ledger')}.moving`)).toBe(false);
  }, 300_000);

  it('everything is there when the new service has started', async () => {
    await next.startWorker();
    await expect.poll(async () => (await next.schedules.list()).length, { timeout: 20_000 }).toBe(4);
    const all = new Map((await next.schedules.list()).map((one) => [one.id, one]));
    expect(all.get('back-up/daily/first')).toMatchObject({ cron: '17 4 * * *', paused: false, lastRuns: [] });
    expect(all.get('check-health/daily/first')).toMatchObject({ paused: true, note: 'a holiday (test)' });
    expect(all.get(was.own)).toMatchObject({ cron: '30 5 * * 1', paused: false, own: { madeBy: 'cli:test' } });
    expect(all.get(was.once)).toMatchObject({ paused: false, own: { at: expect.any(String) }, lastRuns: [] });
    // What ran once there runs here no more.
    expect(all.has(was.fired)).toBe(false);
    const { memo } = await next.client.workflow.getHandle('switch/changes').describe();
    expect(memo).toMatchObject({ switch: { on: false, number: 3, why: 'was nothing' } });
    expect((await next.cli('token', 'list')).stdout).toContain('claude');
    expect(readFileSync(join(next.config.dataDir, 'known_hosts'), 'utf8')).toContain('192.0.2.1');
    const { stdout } = await next.cli('ledger', 'list', '--run', was.saved);
    expect(stdout).toContain('outcome');
    expect((await next.cli('ledger', 'verify')).stdout).toMatch(/intact|as it was written/);
  }, 120_000);

  it('runs of the old server are read as before, and are not done again', async () => {
    const { runs } = await next.runs.list({ limit: 50, dryRuns: true });
    const ids = runs.map(({ id }) => id);
    expect(ids).toEqual(expect.arrayContaining([was.saved, was.checked, was.planned]));
    expect(new Set(ids).size).toBe(ids.length);
    const first = await next.runs.list({ limit: 2 });
    const second = await next.runs.list({ limit: 2, cursor: first.cursor as string });
    expect([...first.runs, ...second.runs].map(({ id }) => id)).toEqual(
      (await next.runs.list({ limit: 4 })).runs.map(({ id }) => id),
    );
    expect((await next.runs.list({ limit: 50 })).runs.map(({ id }) => id)).not.toContain(was.planned);
    expect((await next.runs.list({ limit: 50, operation: 'check-health' })).runs.length).toBe(2);
    expect(await next.runs.get(was.checked)).toMatchObject({
      state: 'done',
      result: { report: { sections: expect.anything() } },
    });
    expect((await next.cli('runs', 'log', was.saved)).stdout).toContain('Got the lock of host/first');
    // By the last part of its id, too.
    expect((await next.runs.get(was.saved.split('/').at(-1) as string)).id).toBe(was.saved);
    // The same key finds the same run.
    const again = await next.runs.start('back-up', { host: 'first' }, by, { idempotencyKey: 'back-up' });
    expect(again).toMatchObject({ id: was.saved, existing: true });
  }, 120_000);

  it('the host takes the fences of the new server, which are greater', async () => {
    await place.reset();
    const { id } = await next.runs.start('back-up', { host: 'first' }, by);
    expect(await next.runs.wait(id, { timeoutMs: 120_000 })).toMatchObject({ state: 'done' });
    expect(Number(readFileSync(join(place.layout.state, 'host.fence'), 'utf8'))).toBeGreaterThan(fence);
  }, 180_000);

  it('a ledger that is there already is neither joined nor lost, and a folder that others can read is refused', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-other-'));
    try {
      const target = join(folder, 'target');
      for (const name of ['target', 'export']) mkdirSync(join(folder, name), { mode: 0o700 });
      cpSync(join(next.folder, '.env'), join(target, '.env'));
      cpSync(join(next.folder, 'hosts.yaml'), join(target, 'hosts.yaml'));
      const other = cliIn(target);
      await other('move', 'import', moved, '--only', 'ledger', 'tokens');
      const ledger = join(target, 'data/ledger');
      const digest = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
      const before = digest(join(ledger, '0001.sqlite'));
      // As if it were another export.
      rmSync(join(target, 'data/moved.json'));
      const key = join(moved, 'ledger/ledger.key');
      const kept = readFileSync(key, 'utf8');
      writeFileSync(key, `${'0'.repeat(64)}\n`, { mode: 0o600 });
      await expect(other('move', 'import', moved, '--only', 'ledger')).rejects.toMatchObject({
        stderr: expect.stringContaining('not as it was written'),
      });
      writeFileSync(key, kept, { mode: 0o600 });
      await expect(other('move', 'import', moved, '--only', 'ledger')).resolves.toMatchObject({
        stdout: expect.stringContaining('as here already'),
      });
      expect(digest(join(ledger, '0001.sqlite'))).toBe(before);
      await expect(other('move', 'import', join(folder, 'export'))).rejects.toMatchObject({
        stderr: expect.stringContaining('holds nothing that move export has written'),
      });
      await promisify(execFile)('chmod', ['755', join(folder, 'export')]);
      await expect(other('move', 'import', join(folder, 'export'))).rejects.toMatchObject({
        stderr: expect.stringContaining('may be read or written by other users'),
      });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }, 120_000);
});
