import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { failureInterceptor } from '../../src/activities/failures.ts';
import { createLockActivities } from '../../src/activities/lock/lock.ts';
import { createRestoreActivities } from '../../src/activities/restore/restore.ts';
import { findingsOf } from '../../src/operations/report.ts';
import type { Progress, RunResult } from '../../src/operations/run.ts';
import { decideUpdate, followQueueOf, hostQueue, serviceQueue } from '../../src/workflows/lib/messages.ts';
import { treeOf } from '../activities/restore/calls.ts';
import { makeHost, type TestHost } from '../support/local-host.ts';
import { archiveId, sealArchive } from '../support/sealed-archive.ts';
import { type StandIns, standIns } from '../support/stand-ins.ts';
import { bundle, useTemporal } from '../support/temporal.ts';

/*
 * The workflow with a real helper on a folder of this machine: planned, approved, applied and undone. What hits it in the middle of its steps: test/faults.
 */
const temporal = useTemporal();
type Output = { readonly restore?: string; readonly replaced: number; readonly kept: readonly string[] };
type Restore = (request: unknown) => Promise<RunResult<Output>>;
let host: TestHost;
let programs: StandIns;
const stops: (() => Promise<void>)[] = [];
let before: string;
let whole: string;
let workflowBundle: Awaited<ReturnType<typeof bundle>>;

const interceptors = { activity: [failureInterceptor((text) => text, { error: () => {} })] };
beforeAll(async () => {
  workflowBundle = await bundle(join(import.meta.dirname, '../../src/workflows/index.generated.ts'));
  await temporal.work({
    workflowBundle,
    activities: {
      ...createLockActivities({ client: temporal.client }),
      mailReport: async () => ({ mailed: true }),
    },
    interceptors,
  });
}, 600_000);

async function startWorkers(): Promise<void> {
  for (const taskQueue of [hostQueue('pve1'), followQueueOf('pve1')])
    stops.push(await temporal.work({ taskQueue, activities: createRestoreActivities(host), interceptors }));
}
async function stopWorkers(): Promise<void> {
  for (const stop of stops.splice(0)) await stop();
}

beforeEach(async () => {
  host = makeHost();
  programs = standIns(host);
  sealArchive(host);
  whole = treeOf(host);
  host.sh(`cd "$installation"; rm -rf keys; echo spoiled >.env; cd "$root/etc"; echo spoiled >fstab; rm hostname`);
  before = treeOf(host);
  temporal.ledger.judge = () => ({
    verdict: 'ask',
    terms: {
      count: 1,
      approvers: ['anna'],
      answerWithinMs: 60_000,
      executeWithinMs: 60_000,
      remindEveryMs: 30_000,
      signed: false,
    },
    why: 'It is dangerous.',
  });
  await startWorkers();
});
afterEach(async () => {
  await stopWorkers();
  programs.remove();
  await host.close();
}, 60_000);
afterAll(() => {
  vi.restoreAllMocks();
});

let counter = 0;
async function start(input: Record<string, unknown>): Promise<WorkflowHandle<Restore>> {
  counter += 1;
  return await temporal.client.workflow.start<Restore>('restore', {
    workflowId: `restore/pve1/${counter}`,
    taskQueue: serviceQueue,
    args: [{ input: { host: 'pve1', ...input }, requestedBy: { kind: 'mcp', name: 'claude', for: 'anna' } }],
  });
}

async function approve(handle: WorkflowHandle<Restore>): Promise<void> {
  const question = await vi.waitFor(
    async () => {
      const { question: asked } = await handle.query<Progress>('progress');
      if (asked?.approval === undefined) throw new Error('it asks for no approval');
      return { ...asked, approval: asked.approval };
    },
    { timeout: 30_000 },
  );
  const answer = { choice: 'approve', question: question.id, digest: question.approval.digest };
  await handle.executeUpdate(decideUpdate, { args: [{ ...answer, by: { kind: 'person', name: 'anna' } }] });
}

const all = { backup: archiveId, what: 'complete' };
/** Waits in the middle of a step of the host's: its first program holds it until the file is there. */
function hold(program: string, when: string): () => void {
  const gate = join(host.folder, 'go');
  programs.put(
    program,
    `case "$*" in ${when}) : >'${host.folder}/held'; until [ -e '${gate}' ]; do sleep 0.05; done ;; esac; exec /usr/bin/${program} "$@"`,
  );
  return () => writeFileSync(gate, '');
}
const untilHeld = () => vi.waitFor(() => expect(existsSync(join(host.folder, 'held'))).toBe(true), { timeout: 60_000 });

it('is planned, approved, applied and verified; and undone by what it says', async () => {
  const handle = await start(all);
  await approve(handle);
  const result = await handle.result();
  expect(result.outcome).toBe('done');
  expect(treeOf(host)).toBe(whole);
  expect(result.output).toMatchObject({ replaced: 2, kept: [expect.stringContaining('/.proxmox-mcp-restore-')] });
  expect(findingsOf(result.report.sections).filter(({ verdict }) => verdict !== 'ok')).toMatchObject([
    { check: 'Version' },
  ]);
  expect(result.plan?.steps.flatMap(({ does }) => does)).toEqual([
    expect.stringMatching(/^stage-restore restore-\d{8}-\d{6} daily-backup-20261122-020000 [0-9a-f]{64} complete all$/),
    `apply-restore ${result.output.restore}`,
    expect.any(String),
  ]);
  if (process.env.RECORD_HISTORY !== undefined)
    writeFileSync(process.env.RECORD_HISTORY, JSON.stringify(await historyOf(handle)));

  const back = await start({ what: 'undo', restore: result.output.restore });
  await approve(back);
  expect((await back.result()).outcome).toBe('done');
  expect(treeOf(host)).toBe(before);
}, 120_000);

async function historyOf(handle: WorkflowHandle<Restore>): Promise<unknown> {
  const { historyToJSON } = await import('@temporalio/common/lib/proto-utils.js');
  return historyToJSON(await handle.fetchHistory());
}

it('is done once the host has kept it, whatever becomes of the look at it afterwards', async () => {
  programs.put(
    'openssl',
    `! grep -qs '^kept' '${host.layout.state}'/restores/*/state || exit 1; exec /usr/bin/openssl "$@"`,
  );
  const handle = await start(all);
  await approve(handle);
  const result = await handle.result();
  expect(result.outcome).toBe('done');
  expect(findingsOf(result.report.sections)).toContainEqual(
    expect.objectContaining({ check: 'Verify', verdict: 'warning' }),
  );
  expect(treeOf(host)).toBe(whole);
}, 120_000);

it('a dry run says what would be replaced, and changes nothing', async () => {
  const result = await (
    await start({ ...all, what: 'path', paths: ['/etc/fstab', '/etc/hostname'], dryRun: true })
  ).result();
  expect(result.output).toMatchObject({ replaced: 1, kept: [] });
  expect(result.plan?.affected).toEqual(
    expect.arrayContaining([expect.stringContaining('/etc/fstab'), expect.stringContaining('1 new')]),
  );
  expect(treeOf(host)).toBe(before);
  expect(host.sh('ls "$state/jobs" 2>/dev/null || :')).toBe('');
}, 60_000);

it('replaces nothing when the host changed while the archive was unpacked', async () => {
  const go = hold('tar', '--extract*');
  const handle = await start(all);
  await approve(handle);
  await untilHeld();
  host.sh('echo other >"$root/etc/fstab"');
  const changed = treeOf(host);
  go();
  await expect(handle.result()).rejects.toMatchObject({ cause: { message: expect.stringContaining('changed while') } });
  expect(treeOf(host)).toBe(changed);
}, 120_000);

it('ends undone where the host has gone back by itself', async () => {
  programs.put('mv', `case "$*" in */old/*) exit 1 ;; esac; exec /usr/bin/mv "$@"`);
  const handle = await start(all);
  await approve(handle);
  await expect(handle.result()).rejects.toMatchObject({
    cause: { message: expect.stringMatching(/did not stay well, so all is as it was before.*Undone: Stage/s) },
  });
  expect(treeOf(host)).toBe(before);
}, 120_000);
