import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sleep as activitySleep, heartbeat } from '@temporalio/activity';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { CancelledFailure } from '@temporalio/common';
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { failureInterceptor } from '../../src/activities/failures.ts';
import { createLockActivities } from '../../src/activities/lock/lock.ts';
import { ServiceError } from '../../src/errors.ts';
import { type Progress, type Requester, type RunResult, runMemo } from '../../src/operations/run.ts';
import { activitySummaries, pendingActivities } from '../../src/runs/pending-activities.ts';
import { startOptions } from '../../src/workflows/lib/attributes.ts';
import { decideUpdate, type LockState, lockId, serviceQueue } from '../../src/workflows/lib/messages.ts';
import { bundle, useTemporal } from '../support/temporal.ts';
import { askFixtureOperation, fixtureOperation, lookFixtureOperation } from './fixtures/fixture-operation.ts';
import type { FixtureActivities } from './fixtures/workflows.ts';

const temporal = useTemporal();
/** Of its own for each test, so that none waits for what another one left. */
let host = '';
let hosts = 0;
let did: string[] = [];
/** The newest fence that the host has seen, from whomever; it refuses older ones. */
let hostFence = 0;
let undoBroken = false;
let left = 'as it was';
/** How often a look finds nobody. */
let away = 0;
let looks = 0;
let mailDown = false;
let mails: string[] = [];

beforeAll(async () => {
  const activities: FixtureActivities = {
    async act({ step, fail, holdMs }) {
      did.push(step);
      for (let held = 0; held < holdMs; held += 50) {
        await activitySleep(50);
        heartbeat();
      }
      if (fail) throw new ServiceError({ code: 'disk-full', message: `No room for ${step}.`, remedy: 'Free some.' });
    },
    async undo({ step, fence }) {
      if (undoBroken)
        throw new ServiceError({ code: 'command-failed', message: 'Could not remove it.', remedy: 'Remove it.' });
      if (fence < hostFence)
        throw new ServiceError({
          code: 'fenced-out',
          message: 'The host refused it.',
          remedy: 'Look at the other run.',
        });
      hostFence = fence;
      did.push(`undo ${step}`);
    },
    async look() {
      looks += 1;
      if (away-- > 0)
        throw new ServiceError({ code: 'host-unreachable', message: 'Nobody there.', remedy: 'Start it.' });
      return left;
    },
  };
  await temporal.work({
    workflowBundle: await bundle(join(import.meta.dirname, 'fixtures/workflows.ts')),
    activities: {
      ...activities,
      ...createLockActivities({ client: temporal.client }),
      async mailReport({ subject }: { subject: string }) {
        if (mailDown) throw new ServiceError({ code: 'unavailable', message: 'No.', remedy: 'Wait.', retryable: true });
        mails.push(subject);
        return { mailed: true };
      },
    },
    interceptors: { activity: [failureInterceptor((text) => text, { error: () => {} })] },
  });
}, 600_000);

beforeEach(() => {
  host = `host${hosts++}`;
  did = [];
  hostFence = 0;
  undoBroken = false;
  left = 'as it was';
  away = 0;
  looks = 0;
  mailDown = false;
  mails = [];
});

const operations = { fixture: fixtureOperation, askFixture: askFixtureOperation, lookFixture: lookFixtureOperation };
let counter = 0;
function start(
  type: keyof typeof operations,
  input: Record<string, unknown> = {},
  by: Requester = { kind: 'cli', name: 'test' },
) {
  const request = { input: { host, ...input }, requestedBy: by };
  return temporal.client.workflow.start<(given: typeof request) => Promise<RunResult<Record<string, unknown>>>>(type, {
    workflowId: `${operations[type].name}/${host}/${counter++}`,
    taskQueue: serviceQueue,
    args: [request],
    ...startOptions(operations[type], request.input, by),
  });
}

const progressOf = (handle: WorkflowHandle) => handle.query<Progress>('progress');
const phaseOf = async (handle: WorkflowHandle) => (await progressOf(handle)).phase;
const paused = (handle: WorkflowHandle) =>
  vi.waitFor(async () => expect(await phaseOf(handle)).toBe('paused'), { timeout: 20_000, interval: 100 });
/** From the server alone, as when no worker answers. */
const memoOf = async (handle: WorkflowHandle) => runMemo.parse((await handle.describe()).memo);
const failureOf = (handle: WorkflowHandle) =>
  handle.result().then(
    () => expect.unreachable('it should have failed'),
    (error: unknown) => {
      if (!(error instanceof WorkflowFailedError)) throw error;
      return error.cause as Error;
    },
  );
async function holdersOf(lock: string): Promise<readonly string[]> {
  try {
    const handle = temporal.client.workflow.getHandle(lockId(lock));
    return (await handle.query<LockState>('lockState')).holders.map(({ owner }) => owner);
  } catch {
    return [];
  }
}

describe('what a run asks', () => {
  it('stands in the memo that lists and descriptions have, until it is answered', async () => {
    const handle = await start('askFixture');
    await paused(handle);
    const asked = {
      id: 'q1',
      text: 'Which one?',
      choices: [
        { name: 'this', meaning: 'the first' },
        { name: 'that', meaning: 'the other' },
      ],
      ifCancelled: 'ends',
    };
    expect((await memoOf(handle)).question).toMatchObject(asked);
    const listed = async () => {
      for await (const { workflowId, memo } of temporal.client.workflow.list({ query: "OpsPhase = 'paused'" })) {
        if (workflowId === handle.workflowId) return runMemo.parse(memo).question;
      }
      return undefined;
    };
    await expect.poll(listed, { timeout: 10_000 }).toMatchObject(asked);
    await handle.executeUpdate(decideUpdate, { args: [{ choice: 'this' }] });
    await handle.result();
    expect(await memoOf(handle)).toEqual({});
    const attributes = (await handle.describe()).searchAttributes;
    expect(attributes).toMatchObject({ OpsPhase: ['finished'], OpsVerdict: ['skipped'], OpsDryRun: ['no'] });
  });

  it('is answered while its mail is still tried, and the mail is given up', async () => {
    mailDown = true;
    const handle = await start('askFixture');
    await paused(handle);
    const waits = async () => {
      const summaries = activitySummaries(await handle.fetchHistory());
      return pendingActivities((await handle.describe()).raw.pendingActivities, { summaries }).map(({ text }) => text);
    };
    await expect
      .poll(waits, { timeout: 10_000, interval: 100 })
      .toEqual([expect.stringMatching(/^Tell the administrators: No, trying again in \d s \(attempt \d of 8\)$/)]);
    await handle.executeUpdate(decideUpdate, { args: [{ choice: 'that' }] });
    expect((await handle.result()).output).toMatchObject({ choice: 'that' });
    mailDown = false;
    await sleep(3_000);
    expect(mails).toEqual([]);
  });
});

describe('a paused run', () => {
  it('holds no lock, lets others go on, and has a new fence afterwards', async () => {
    const handle = await start('askFixture');
    await paused(handle);
    await expect.poll(() => holdersOf(`host/${host}`), { timeout: 10_000 }).toEqual([]);
    const other = await start('fixture');
    const { output } = await other.result();
    await handle.executeUpdate(decideUpdate, { args: [{ choice: 'this' }] });
    const [before, after] = (await handle.result()).output.fences as [number, number];
    expect(before).toBeLessThan(output.fence as number);
    expect(after).toBeGreaterThan(output.fence as number);
  });

  it('ends at once when it is cancelled and has changed nothing, and says where it was', async () => {
    const handle = await start('askFixture');
    await paused(handle);
    const holder = await start('fixture', { holdMs: 60_000 });
    await vi.waitFor(() => expect(did).toContain('Second'), 10_000);
    await handle.cancel();
    expect(await failureOf(handle)).toBeInstanceOf(CancelledFailure);
    expect(await memoOf(handle)).toEqual({ ending: { at: 'while it waited for an answer', undone: [], left: [] } });
    expect((await progressOf(handle)).message).toBe('Cancelled. It stopped while it waited for an answer.');
    await holder.terminate('test');
  });

  it('undoes what it did when it is cancelled, with a lock and a new fence of its own', async () => {
    const handle = await start('askFixture', { changesFirst: true });
    await paused(handle);
    const other = await start('fixture', { holdMs: 2_000 });
    await vi.waitFor(() => expect(did).toContain('Second'), 10_000);
    hostFence = Date.now();
    await handle.cancel();
    await other.result();
    expect(await failureOf(handle)).toBeInstanceOf(CancelledFailure);
    expect(did).toEqual(['Before', 'First', 'Second', 'Third', 'undo Before']);
    expect((await memoOf(handle)).ending).toEqual({
      at: 'while it waited for an answer',
      undone: ['Before'],
      left: [],
    });
  });

  it('asks before it undoes what somebody else changed while it waited for an answer', async () => {
    const handle = await start('askFixture', { changesFirst: true });
    await paused(handle);
    left = 'changed by hand';
    await handle.cancel();
    await vi.waitFor(async () => expect((await progressOf(handle)).question?.id).toBe('q2'), 10_000);
    expect((await progressOf(handle)).question?.text).toContain('Somebody changed it while the run waited');
    await handle.executeUpdate(decideUpdate, { args: [{ choice: 'retry' }] });
    expect(await failureOf(handle)).toBeInstanceOf(CancelledFailure);
    expect(did).toEqual(['Before', 'undo Before']);
  });

  it('that waits with its undo is ending already: a cancellation changes nothing, and the question says so', async () => {
    undoBroken = true;
    const handle = await start('fixture', { failAt: 'First' });
    await paused(handle);
    expect((await memoOf(handle)).question).toMatchObject({ ifCancelled: 'nothing' });
    await handle.cancel();
    await sleep(1_500);
    expect(await phaseOf(handle)).toBe('paused');
    await handle.executeUpdate(decideUpdate, { args: [{ choice: 'leave' }] });
    expect((await failureOf(handle)).message).toContain('Not undone: First: Could not remove it.');
    expect((await memoOf(handle)).ending).toMatchObject({ at: 'at step "First"', undone: [] });
  });

  it('that was answered can be cancelled while it waits for its lock again', async () => {
    const handle = await start('askFixture');
    await paused(handle);
    const holder = await start('fixture', { holdMs: 60_000 });
    await vi.waitFor(() => expect(did).toContain('Second'), 10_000);
    await handle.executeUpdate(decideUpdate, { args: [{ choice: 'this' }] });
    await vi.waitFor(async () => expect(await phaseOf(handle)).toBe('waiting-for-lock'), 10_000);
    await handle.cancel();
    expect(await failureOf(handle)).toBeInstanceOf(CancelledFailure);
    expect((await memoOf(handle)).ending?.at).toBe(`while it waited for the lock of ${host}`);
    await holder.terminate('test');
  });
});

describe('an undo that a newer fence keeps out', () => {
  it('takes its lock again and is done, without asking anybody', async () => {
    const handle = await start('fixture', { failAt: 'Second', holdMs: 2_000 });
    await vi.waitFor(() => expect(did).toContain('Second'), 10_000);
    // Another name of the machine: its lock is another one.
    hostFence = Date.now();
    expect((await failureOf(handle)).message).toBe(
      'No room for Second. Free some. It stopped at step "Second". Undone: Second, First.',
    );
    expect(did).toEqual(['First', 'Second', 'undo Second', 'undo First']);
    expect(mails).toEqual([]);
    expect(await holdersOf(`host/${host}`)).toEqual([]);
  });

  /** The lock is ended by hand, so that another run gets it and the host hears of its fence. */
  async function overtaken() {
    const handle = await start('fixture', { failAt: 'Second', holdMs: 3_000 });
    await vi.waitFor(() => expect(did).toContain('Second'), 10_000);
    await temporal.client.workflow.getHandle(lockId(`host/${host}`)).terminate('test');
    const other = await start('fixture', { holdMs: 6_000 });
    await vi.waitFor(async () => expect(await holdersOf(`host/${host}`)).toEqual([other.workflowId]), 10_000);
    hostFence = Date.now();
    return { handle, other };
  }

  it('waits for who has the lock now, and goes on when what it left is as it was', async () => {
    const { handle, other } = await overtaken();
    await vi.waitFor(async () => expect((await progressOf(handle)).message).toContain(other.workflowId), 10_000);
    await failureOf(handle);
    expect(did.slice(-3)).toEqual(['Third', 'undo Second', 'undo First']);
    expect(mails).toEqual([]);
  }, 60_000);

  it('asks when what it left was changed while it waited', async () => {
    const { handle, other } = await overtaken();
    await vi.waitFor(async () => expect((await progressOf(handle)).message).toContain(other.workflowId), 10_000);
    left = 'changed by the other run';
    await paused(handle);
    expect((await progressOf(handle)).question?.text).toContain('Could not undo "Second". The host refused it.');
    expect(did).not.toContain('undo Second');
    await handle.executeUpdate(decideUpdate, { args: [{ choice: 'retry' }] });
    await failureOf(handle);
    expect(did.slice(-2)).toEqual(['undo Second', 'undo First']);
  }, 60_000);
});

describe('a host that is away', () => {
  const bySchedule = { kind: 'schedule', name: 'fixture/daily/pve1' } as const;

  it('is waited for by a scheduled change, which says so, before its first step gives up', async () => {
    away = 1;
    const handle = await start('lookFixture', {}, bySchedule);
    const message = `${host} does not answer, trying again (waiting up to 15 min)`;
    await vi.waitFor(
      async () =>
        expect(await progressOf(handle)).toMatchObject({
          message,
          steps: [{ state: 'running', note: message }, { state: 'pending' }],
        }),
      { timeout: 10_000, interval: 200 },
    );
    expect((await handle.result()).outcome).toBe('done');
    expect(did).toEqual(['Act']);
    expect(looks).toBe(2);
  }, 60_000);

  it.each([
    ['asked for by a person', { kind: 'cli', name: 'test' } as const, {}],
    ['that changes nothing', bySchedule, { dryRun: true }],
  ])('ends a run %s at once', async (_, by, input) => {
    away = 1;
    expect((await failureOf(await start('lookFixture', input, by))).message).toBe(
      'Nobody there. Start it. It stopped at step "Look".',
    );
    expect(looks).toBe(1);
  });

  it('is waited for no longer when the run is cancelled', async () => {
    away = 100;
    const handle = await start('lookFixture', {}, bySchedule);
    await vi.waitFor(async () => expect((await progressOf(handle)).message).toContain('does not answer'), 10_000);
    await handle.cancel();
    expect(await failureOf(handle)).toBeInstanceOf(CancelledFailure);
    expect((await memoOf(handle)).ending).toEqual({ at: 'at step "Look"', undone: [], left: [] });
  });
});
