import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type BackupServerSimulator, createBackupServerSimulator } from '../../lab/backup-server/simulator.ts';
import { crashFaults } from '../support/crash-faults.ts';
import { recordOutcome } from '../support/crash-matrix.ts';
import { exhaustive, sample } from '../support/exhaustive.ts';
import { backupServerEntry } from '../support/hosts.ts';
import { allowDangerous } from '../support/lenient-policy.ts';
import { startService, type TestService } from '../support/service.ts';

// The service in processes of its own, and a simulated Proxmox Backup Server whose task is under way when a fault hits.
const operation = 'maintain-backup-server';
const by = { kind: 'cli', name: 'test' } as const;
/** One with a hyphen, which its tasks' ids have escaped. */
const datastore = 'disk-1';
/** How long its task goes on. One that a cancellation finds at work outlasts the start of another worker. */
const taskMs = { done: 8_000, undone: 240_000 };

let server: BackupServerSimulator;
let service: TestService;

beforeAll(async () => {
  server = await createBackupServerSimulator();
  service = await startService({
    hosts: { pbs1: backupServerEntry(server) },
    env: { ENABLE_DANGEROUS_COMMANDS: 'true' },
  });
  await allowDangerous(service);
  await service.startWorker();
}, 600_000);
afterAll(async () => {
  await service?.stop();
  await server?.close();
}, 120_000);

beforeEach(() => {
  server.state.tasks.splice(0);
  server.state.stores.set(datastore, { total: 2 ** 40, used: 2 ** 39, garbage: {} });
  server.state.snapshots.set(datastore, [{ type: 'vm', id: '100', time: 1_780_000_000 }]);
});

describe('a verification that is under way ends as docs/crash-matrix.md says when', () => {
  const faults = crashFaults.filter(({ ssh }) => ssh === undefined);
  it.each(sample(faults, 1).map((fault) => [fault.name, fault] as const))(
    '%s',
    async (name, { cancels = false, hit }) => {
      server.state.taskMs = cancels ? taskMs.undone : taskMs.done;
      const { id } = await service.runs.start(operation, { host: 'pbs1', action: 'verify', datastore }, by);
      await expect.poll(() => server.state.tasks.length, { timeout: 60_000, interval: 50 }).toBe(1);
      await hit({ service, ids: [id] });
      const run = await service.runs.wait(id, { timeoutMs: 200_000 });
      expect(run, run.failure?.message).toMatchObject({ state: cancels ? 'cancelled' : 'done' });
      expect(server.state.tasks).toMatchObject([{ status: cancels ? expect.stringContaining('abort') : 'OK' }]);
      const outcome = cancels ? 'undone' : 'done';
      const effects = cancels ? 'its task has ended; all is as before' : 'each call once; its effect is there';
      recordOutcome({ operation, step: 'Maintain', fault: name, outcome, effects });
    },
    300_000,
  );
});

describe('a prune', () => {
  const prune = { host: 'pbs1', action: 'prune', datastore, keepLast: 2 };
  const newest = 1_780_000_000;
  const times = () =>
    server.state.snapshots
      .get(datastore)
      ?.map(({ time }) => newest - time)
      .toSorted((a, b) => a - b);
  /** Four, of which it takes the two older ones. */
  const four = () =>
    [0, 1, 2, 3].map((age) => ({ type: 'vm', id: '100', time: newest - age, verification: 'ok' }) as const);

  beforeEach(() => {
    server.state.snapshots.set(datastore, four());
  });

  const faults = crashFaults.filter(({ ssh }) => ssh === undefined);
  // Of these what is done of a verification says most.
  it.runIf(exhaustive).each(faults.map((fault) => [fault.name, fault] as const))(
    'is done once or not at all, and takes what its plan has named, though %s',
    async (_, { cancels = false, hit }) => {
      server.state.taskMs = cancels ? taskMs.undone : taskMs.done;
      const { id } = await service.runs.start(operation, prune, by);
      await expect.poll(() => server.state.tasks.length, { timeout: 60_000, interval: 50 }).toBe(1);
      await hit({ service, ids: [id] });
      const run = await service.runs.wait(id, { timeoutMs: 200_000 });
      expect(run, run.failure?.message).toMatchObject({ state: cancels ? 'cancelled' : 'done' });
      expect(server.state.tasks).toHaveLength(1);
      expect(times()).toEqual(cancels ? [0, 1, 2, 3] : [0, 1]);
    },
    300_000,
  );

  it('is not done again, though it ended without a worker and a newer backup has come since', async () => {
    server.state.taskMs = 3_000;
    const { id } = await service.runs.start(operation, prune, by);
    await expect.poll(() => server.state.tasks.length, { timeout: 60_000, interval: 50 }).toBe(1);
    await service.killWorker('SIGKILL');
    await expect.poll(() => server.state.tasks[0]?.status, { timeout: 30_000 }).toBe('OK');
    // Another prune would take one more.
    server.state.snapshots.get(datastore)?.push({ type: 'vm', id: '100', time: newest + 10 });
    await service.startWorker();
    const run = await service.runs.wait(id, { timeoutMs: 200_000 });
    expect(run, run.failure?.message).toMatchObject({ state: 'done', result: { output: { removedCount: 2 } } });
    expect(server.state.tasks).toHaveLength(1);
    expect(times()).toEqual([-10, 0, 1]);
  }, 300_000);

  it('is not begun again, though nobody heard that it was begun', async () => {
    server.state.taskMs = 1_000;
    server.state.lostAnswers.set(`/admin/datastore/${datastore}/prune-datastore`, 1);
    const { id } = await service.runs.start(operation, prune, by);
    const run = await service.runs.wait(id, { timeoutMs: 200_000 });
    expect(run, run.failure?.message).toMatchObject({ state: 'done' });
    expect(server.state.tasks).toHaveLength(1);
    expect(times()).toEqual([0, 1]);
  }, 300_000);

  it('is not begun where nothing would go', async () => {
    server.state.snapshots.set(datastore, four().slice(0, 2));
    const { id } = await service.runs.start(operation, prune, by);
    const run = await service.runs.wait(id, { timeoutMs: 60_000 });
    expect(run, run.failure?.message).toMatchObject({ state: 'done' });
    expect(server.state.tasks).toEqual([]);
    expect(times()).toEqual([0, 1]);
  }, 120_000);
});
