import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/common';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import {
  moveRun,
  promote,
  promoteFirst,
  readWorkerVersions,
  strandedIn,
  takeOverUnversioned,
  type WorkerVersions,
} from '../../src/runs/worker-versions.ts';
import { ofVersionedWorker, optionsOf } from '../../src/worker/versioning.ts';
import { ledgerQueue, serviceQueue } from '../../src/workflows/lib/messages.ts';
import { exhaustive } from '../support/exhaustive.ts';
import { bundle, useTemporal } from '../support/temporal.ts';
import { goOnSignal } from './fixtures/versioned-workflows.ts';

// What Temporal's server does with runs, their activities and workers of several builds: what docs/upgrading-workers.md says.
const temporal = useTemporal({ withLedger: false });
let code: string;

beforeAll(async () => {
  ({ code } = await bundle(join(import.meta.dirname, 'fixtures/versioned-workflows.ts')));
  await temporal.work({ taskQueue: ledgerQueue, activities: { where: async () => 'ledger' } });
}, 120_000);

/** A worker of a build ('': without versioning), with its host's queue. */
async function work(build: string, { fails }: { readonly fails?: string } = {}) {
  const where = async (step: string) => {
    if (step === fails) throw ApplicationFailure.retryable('not here');
    return build;
  };
  const options = build === '' ? {} : optionsOf(build);
  const stops = [
    await temporal.work({
      workflowBundle: { code: build === '' ? code : ofVersionedWorker(code) },
      activities: { where },
      ...options,
    }),
    await temporal.work({ taskQueue: 'host-pve1', activities: { where }, ...options }),
  ];
  const stop = async () => {
    for (const one of stops.splice(0)) await one();
  };
  onTestFinished(stop);
  if (build !== '') await expect.poll(() => builds(), { timeout: 30_000 }).toContain(build);
  return { stop };
}

const builds = async () => (await readWorkerVersions(temporal.client))?.versions.map(({ build }) => build) ?? [];
const version = async (build: string) =>
  (await readWorkerVersions(temporal.client))?.versions.find((one) => one.build === build);

const none: WorkerVersions = { current: undefined, versions: [], unversioned: [] };

let number = 0;
function start(type: 'run' | 'long') {
  number += 1;
  return temporal.client.workflow.start(type, { workflowId: `${type}-${number}`, taskQueue: serviceQueue });
}

/** Until the first of its steps is done. */
async function begun(type: 'run' | 'long') {
  const handle = await start(type);
  await expect
    .poll(
      async () => (await handle.fetchHistory()).events?.some((event) => event.activityTaskCompletedEventAttributes),
      {
        timeout: 30_000,
      },
    )
    .toBe(true);
  return handle;
}

it('runs end on their build, what moves on goes to the new one, the ledger serves both', {
  timeout: 120_000,
}, async () => {
  await work('a');
  expect(await promoteFirst(temporal.client, 'a')).toBe(true);
  expect(await promoteFirst(temporal.client, 'a')).toBe(false);
  const [run, long] = [await begun('run'), await begun('long')];
  await work('b');
  const third = await begun('run');
  await third.signal(goOnSignal);
  expect(await third.result()).toEqual(['a', 'a', 'a', 'ledger']);
  await promote(temporal.client, 'b');
  expect(await version('a')).toMatchObject({ state: 'draining', pinned: 1 });
  for (const one of [run, long]) await one.signal(goOnSignal);
  expect(await run.result()).toEqual(['a', 'a', 'a', 'ledger']);
  expect(await long.result()).toEqual(['a', 'b', 'b', 'ledger']);
  await expect(promote(temporal.client, 'nobody')).rejects.toMatchObject({ code: 'not-found' });
});

it.runIf(exhaustive)(
  'a run of a build that is gone waits, is named, and goes on where it is moved to, with its pending step',
  {
    timeout: 120_000,
  },
  async () => {
    const old = await work('c', { fails: 'second' });
    await promote(temporal.client, 'c', { anyway: true });
    const run = await begun('run');
    await run.signal(goOnSignal);
    await expect.poll(async () => (await run.describe()).raw.pendingActivities?.length, { timeout: 30_000 }).toBe(1);
    await old.stop();
    await work('d');
    await promote(temporal.client, 'd');
    // Polls that have ended are remembered for a while.
    const nobody = { freshMs: 0 };
    await expect
      .poll(async () => strandedIn((await readWorkerVersions(temporal.client, nobody)) ?? none), {
        timeout: 30_000,
      })
      .toContainEqual({ build: 'c', runs: 1, isCurrent: false });
    await moveRun(temporal.client, { workflowId: run.workflowId, runId: run.firstExecutionRunId }, 'd');
    expect(await run.result()).toEqual(['c', 'd', 'd', 'ledger']);
  },
);

it.runIf(exhaustive)('versioning off and on again loses no run', { timeout: 180_000 }, async () => {
  const versioned = await work('e');
  await promote(temporal.client, 'e', { anyway: true });
  const pinned = await begun('run');
  const long = await begun('long');
  // A worker without versioning gets nothing as long as those with it are there.
  expect((await takeOverUnversioned(temporal.client)).processes).not.toEqual([]);
  await versioned.stop();
  const plain = await work('');
  await expect
    .poll(() => takeOverUnversioned(temporal.client, { freshMs: 0 }), { timeout: 30_000 })
    .toMatchObject({ processes: [], runs: 1 });
  for (const one of [pinned, long]) await one.signal(goOnSignal);
  expect(await pinned.result()).toEqual(['e', '', '', 'ledger']);
  expect(await long.result()).toEqual(['e', '', '', 'ledger']);
  const [off, offLong] = [await begun('run'), await begun('long')];
  await plain.stop();
  await work('f');
  expect(await promoteFirst(temporal.client, 'f')).toBe(true);
  for (const one of [off, offLong]) await one.signal(goOnSignal);
  expect(await off.result()).toEqual(['', 'f', 'f', 'ledger']);
  expect(await offLong.result()).toEqual(['', 'f', 'f', 'ledger']);
});
