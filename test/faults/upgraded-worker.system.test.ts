import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { readWorkerVersions, strandedIn } from '../../src/runs/worker-versions.ts';
import { exhaustive } from '../support/exhaustive.ts';
import { apiEntry } from '../support/hosts.ts';
import { startService, type TestService } from '../support/service.ts';

// Worker processes of two builds, and runs in flight: each starts a guest of a simulated API, which counts its tasks.
const by = { kind: 'cli', name: 'test' } as const;
const runsInFlight = exhaustive ? 50 : 4;
let simulator: ProxmoxSimulator;
let service: TestService;
let nextGuest = 1_000;

beforeAll(async () => {
  simulator = await createProxmoxSimulator();
  service = await startService({
    hosts: { pve1: apiEntry(simulator) },
    env: { WORKER_VERSIONING: 'true', WORKER_ACTIVITIES_PER_HOST: '20' },
  });
}, 600_000);
afterAll(async () => {
  await service?.stop();
  await simulator?.close();
}, 120_000);
beforeEach(async () => {
  await service.killWorker('SIGTERM');
  await service.killWorker('SIGTERM', 'second-worker');
});

const versions = async () => (await readWorkerVersions(service.client))?.versions ?? [];
const version = async (build: string) => (await versions()).find((one) => one.build === build);
/** What a command prints; also where it ends with 1. */
const cli = (...args: string[]) =>
  service.cli(...args).then(
    ({ stdout }) => stdout,
    ({ stdout, stderr }: { stdout: string; stderr: string }) => `${stdout}${stderr}`,
  );

interface Started {
  readonly id: string;
  readonly vmid: number;
}

/**
 * Starts so many guests that are stopped, each by a run of its own, and waits until Proxmox is at all of them.
 *
 * @param startsWhen what Proxmox needs until then
 */
async function start(count: number, startsWhen: Promise<void>): Promise<readonly Started[]> {
  const like = simulator.state.guests.get(100);
  if (like === undefined) throw new Error('there is no guest to copy');
  const all = await Promise.all(
    Array.from({ length: count }, async (): Promise<Started> => {
      nextGuest += 1;
      const vmid = nextGuest;
      const name = `guest-${vmid}`;
      const behaviour = { startsWhen };
      simulator.state.guests.set(vmid, {
        ...structuredClone(like),
        vmid,
        name,
        node: 'pve1',
        status: 'stopped',
        behaviour,
      });
      const { id } = await service.runs.start('control-guest', { host: 'pve1', vmid, action: 'start' }, by);
      return { id, vmid };
    }),
  );
  await expect.poll(() => all.filter((one) => tasksOf(one) === 1).length, { timeout: 90_000 }).toBe(count);
  return all;
}

/** What comes about when it is let go. */
function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

const tasksOf = ({ vmid }: Started) =>
  [...simulator.state.tasks.values()].filter(({ id, type }) => id === String(vmid) && type === 'qmstart').length;

/** None lost, none twice. */
async function expectDone(runs: readonly Started[]): Promise<void> {
  const ended = await Promise.all(runs.map(({ id }) => service.runs.wait(id, { timeoutMs: 180_000 })));
  expect(ended.map(({ state }) => state)).toEqual(runs.map(() => 'done'));
  expect(runs.map(tasksOf)).toEqual(runs.map(() => 1));
  expect(runs.map(({ vmid }) => simulator.state.guests.get(vmid)?.status)).toEqual(runs.map(() => 'running'));
}

it('a worker is upgraded while runs go on: those in flight are moved or end on the old one, none is lost or done twice', async () => {
  await service.startWorker('worker', { build: 'one' });
  await expect.poll(async () => (await version('one'))?.state, { timeout: 60_000 }).toBe('current');
  const { opened, open } = gate();
  const moved = await start(runsInFlight, opened);
  await service.startWorker('second-worker', { build: 'two', promotes: true });
  await expect.poll(async () => (await version('two'))?.state, { timeout: 60_000 }).toBe('current');
  expect(await cli('workers', 'list')).toMatch(/^one +draining +\d+ +\d+ +\d+@/m);
  const begun = await start(2, opened);

  const said = await cli('--set', 'WORKER_BUILD_ID=two', 'workers', 'move', '--from', 'one');
  expect(said).toMatch(new RegExp(`^${runsInFlight} runs moved to build two`, 'm'));
  // Gone without a word, with what it follows.
  await service.killWorker('SIGKILL');
  open();
  await expectDone([...moved, ...begun]);
  expect((await version('one'))?.pinned).toBe(0);
}, 600_000);

it.runIf(exhaustive)(
  'a build whose workflows don’t replay takes no run of the old one, which ends there',
  async () => {
    const root = otherProgram();
    try {
      await service.startWorker('worker', { build: 'three' });
      await expect.poll(async () => (await version('three'))?.processes.length, { timeout: 60_000 }).toBe(1);
      await cli('workers', 'promote', 'three', '--anyway');
      const { opened, open } = gate();
      const old = await start(10, opened);
      await service.startWorker('second-worker', { build: 'four', root });
      await expect.poll(async () => (await version('four'))?.processes.length, { timeout: 60_000 }).toBe(1);
      expect(await cli('workers', 'promote', 'four')).toContain('New runs are worked on by build four now.');
      const move = await promisify(execFile)(
        process.execPath,
        [join(root, 'dist/src/cli.js'), 'workers', 'move', '--json'],
        {
          env: { ...process.env, PROXMOX_MCP_CONFIG_DIR: service.folder, WORKER_BUILD_ID: 'four' },
        },
      ).then(
        () => '',
        ({ stdout }: { stdout: string }) => stdout,
      );
      const { runs } = JSON.parse(move) as { runs: { id: string; from: string; why?: string }[] };
      expect(runs.map(({ id }) => id).sort()).toEqual(old.map(({ id }) => id).sort());
      for (const { from, why } of runs) {
        expect(from).toBe('three');
        expect(why).toMatch(/doesn't replay/);
      }
      open();
      await expectDone(old);
      expect(strandedIn({ current: 'four', versions: await versions(), unversioned: [] })).toEqual([]);
    } finally {
      await service.killWorker('SIGTERM', 'second-worker');
      rmSync(root, { recursive: true, force: true });
    }
  },
  300_000,
);

it.runIf(exhaustive)(
  'runs whose worker is gone are told of, and end once they are moved',
  async () => {
    await service.startWorker('worker', { build: 'five', promotes: true });
    await expect.poll(async () => (await version('five'))?.state, { timeout: 60_000 }).toBe('current');
    const { opened, open } = gate();
    const runs = await start(2, opened);
    await service.killWorker('SIGKILL');
    await service.startWorker('second-worker', { build: 'six', promotes: true });
    await service.startMcp();
    const said = '2 runs wait for a worker of build five that is gone.';
    // A worker counts as there for a minute and a half after its last poll.
    await expect.poll(() => cli('doctor', '--json'), { timeout: 150_000, interval: 5_000 }).toContain(said);
    await expect
      .poll(async () => (await fetch(`${service.mcpUrl}/health`)).text(), { timeout: 30_000, interval: 1_000 })
      .toContain(said);
    expect(await cli('--set', 'WORKER_BUILD_ID=six', 'workers', 'move', '--from', 'five')).toContain(
      '2 runs moved to build six.',
    );
    open();
    await expectDone(runs);
  },
  400_000,
);

/** This program with workflows that take another step than before. */
function otherProgram(): string {
  const here = join(import.meta.dirname, '../..');
  const root = mkdtempSync(join(tmpdir(), 'proxmox-mcp-other-'));
  mkdirSync(join(root, 'dist'));
  for (const name of ['package.json', 'dist/src', 'dist/lab'])
    cpSync(join(here, name), join(root, name), { recursive: true });
  symlinkSync(join(here, 'node_modules'), join(root, 'node_modules'));
  const bundle = readFileSync(join(here, 'dist/workflow-bundle.js'), 'utf8');
  const changed = bundle.replaceAll('.lookAtGuest(', '.inspectGuest(');
  if (changed === bundle) throw new Error('the workflows call no lookAtGuest');
  writeFileSync(join(root, 'dist/workflow-bundle.js'), changed);
  return root;
}
