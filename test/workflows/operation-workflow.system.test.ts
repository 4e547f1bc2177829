import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sleep as activitySleep, heartbeat } from '@temporalio/activity';
import { WorkflowFailedError } from '@temporalio/client';
import { CancelledFailure } from '@temporalio/common';
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { failureInterceptor } from '../../src/activities/failures.ts';
import { createLockActivities } from '../../src/activities/lock/lock.ts';
import { ServiceError } from '../../src/errors.ts';
import type { Progress, RunResult } from '../../src/operations/run.ts';
import { decideSignal, decideUpdate, type LockState, lockId, serviceQueue } from '../../src/workflows/lib/messages.ts';
import { bundle, useTemporal } from '../support/temporal.ts';
import type { FixtureActivities } from './fixtures/workflows.ts';

const temporal = useTemporal();
/** What the activities did, in order. */
let did: string[] = [];
let undoBroken = false;
/** How often a host says that its fence is of a time that has not come. */
let fencesAhead = 0;
/** Nobody can be asked whether a run still goes. */
let lookBroken = false;
let inside = 0;
let mostInside = 0;
let mails: string[] = [];
/** What a look at what is left finds. */
let left = 'as it was';

beforeAll(async () => {
  const activities: FixtureActivities = {
    async act({ step, fail, holdMs }) {
      inside++;
      mostInside = Math.max(mostInside, inside);
      try {
        did.push(step);
        for (let held = 0; held < holdMs; held += 50) {
          await activitySleep(50);
          heartbeat();
        }
        if (fail) {
          throw new ServiceError({ code: 'disk-full', message: `No room for ${step}.`, remedy: 'Free some.' });
        }
      } finally {
        inside--;
      }
    },
    async undo({ step }) {
      if (fencesAhead-- > 0)
        throw new ServiceError({ code: 'clocks-differ', message: 'It was shown a fence.', remedy: 'Wait.' });
      if (undoBroken)
        throw new ServiceError({ code: 'command-failed', message: 'Could not remove it.', remedy: 'Remove it.' });
      did.push(`undo ${step}`);
    },
    async look() {
      return left;
    },
  };
  const lock = createLockActivities({ client: temporal.client });
  await temporal.work({
    workflowBundle: await bundle(join(import.meta.dirname, 'fixtures/workflows.ts')),
    activities: {
      ...activities,
      ...lock,
      async isRunning(id: string) {
        if (lookBroken) throw new ServiceError({ code: 'unavailable', message: 'No answer.', remedy: 'Wait.' });
        return lock.isRunning(id);
      },
      mailReport: async ({ subject }: { subject: string }) => {
        mails.push(subject);
        return { mailed: true };
      },
    },
    interceptors: { activity: [failureInterceptor((text) => text, { error: () => {} })] },
  });
}, 600_000);

beforeEach(() => {
  did = [];
  mails = [];
  undoBroken = false;
  fencesAhead = 0;
  lookBroken = false;
  left = 'as it was';
  mostInside = 0;
});

let counter = 0;
function start(input: Record<string, unknown>) {
  return temporal.client.workflow.start('fixture', {
    workflowId: `fixture/${counter++}`,
    taskQueue: serviceQueue,
    args: [{ input: { host: 'pve1', ...input }, requestedBy: { kind: 'cli', name: 'test' } }],
  });
}
type Handle = Awaited<ReturnType<typeof start>>;
const progressOf = (handle: Handle) => handle.query<Progress>('progress');
const failureOf = (handle: Handle) =>
  handle.result().then(
    () => expect.unreachable('it should have failed'),
    (error: unknown) => {
      if (!(error instanceof WorkflowFailedError)) throw error;
      return error.cause as Error & { type?: string };
    },
  );
const states = (progress: Progress) => progress.steps.map((step) => step.state);

describe('a run', () => {
  it('does its steps in order and shows them', async () => {
    const handle = await start({});
    const result = (await handle.result()) as RunResult<{ fence: number }>;
    expect(did).toEqual(['First', 'Second', 'Third']);
    expect(result.outcome).toBe('done');
    expect(result.output.fence).toBeGreaterThan(1_700_000_000_000);
    expect(states(await progressOf(handle))).toEqual(['done', 'done', 'done']);
  });

  it('undoes what it did, last first, the half-done step included, and says why', async () => {
    const handle = await start({ failAt: 'Second' });
    const failure = await failureOf(handle);
    expect(failure.message).toBe('No room for Second. Free some. It stopped at step "Second". Undone: Second, First.');
    expect(failure.type).toBe('disk-full');
    expect(did).toEqual(['First', 'Second', 'undo Second', 'undo First']);
    expect(states(await progressOf(handle))).toEqual(['undone', 'undone', 'pending']);
  });

  it('undoes when it is cancelled', async () => {
    const handle = await start({ holdMs: 20_000 });
    await vi.waitFor(() => expect(did).toContain('Second'), 10_000);
    await handle.cancel();
    expect(await failureOf(handle)).toBeInstanceOf(CancelledFailure);
    expect(did).toEqual(['First', 'Second', 'undo Second', 'undo First']);
  });

  it('pauses and calls a person when it can not undo, and goes on when told', async () => {
    undoBroken = true;
    const handle = await start({ failAt: 'Second' });
    await vi.waitFor(async () => expect((await progressOf(handle)).phase).toBe('paused'), 10_000);
    await vi.waitFor(
      () =>
        expect(mails).toEqual([
          expect.stringMatching(/^\[pve1\] Fixture pve1 is paused and needs you: Could not undo "Second"\./),
        ]),
      5_000,
    );
    undoBroken = false;
    // A slip of a person's finger decides nothing.
    await handle.signal(decideSignal, 'rety');
    await sleep(1_000);
    expect((await progressOf(handle)).phase).toBe('paused');
    await handle.signal(decideSignal, 'retry');
    await failureOf(handle);
    expect(did).toEqual(['First', 'Second', 'undo Second', 'undo First']);
  });

  it('holds no lock while it waits for a person, and takes it again with a new fence before it goes on', async () => {
    undoBroken = true;
    const stuck = await start({ failAt: 'Second' });
    await vi.waitFor(async () => expect((await progressOf(stuck)).phase).toBe('paused'), 10_000);
    const other = await start({ holdMs: 2_000 });
    undoBroken = false;
    await vi.waitFor(() => expect(did.filter((step) => step === 'Second')).toHaveLength(2), 10_000);
    await stuck.executeUpdate(decideUpdate, { args: [{ choice: 'retry' }] });
    await vi.waitFor(async () => expect((await progressOf(stuck)).phase).toBe('waiting-for-lock'), 5_000);
    await other.result();
    await failureOf(stuck);
    expect(did).toEqual(['First', 'Second', 'First', 'Second', 'Third', 'undo Second', 'undo First']);
  });

  it('asks once more when what it had left was changed while it was asked about', async () => {
    undoBroken = true;
    const handle = await start({ failAt: 'First' });
    await vi.waitFor(async () => expect((await progressOf(handle)).question?.id).toBe('q1'), 10_000);
    undoBroken = false;
    left = 'changed by hand';
    await handle.executeUpdate(decideUpdate, { args: [{ question: 'q1', choice: 'retry' }] });
    await vi.waitFor(async () => expect((await progressOf(handle)).question?.id).toBe('q2'), 10_000);
    expect((await progressOf(handle)).question?.text).toContain('Somebody changed it since this was asked');
    expect(did).toEqual(['First']);
    await handle.executeUpdate(decideUpdate, { args: [{ question: 'q2', choice: 'leave' }] });
    expect((await failureOf(handle)).message).toContain('Not undone: First');
    expect(did).toEqual(['First']);
  });

  it('waits out a fence of a time that has not come, with newer ones, and asks nobody', async () => {
    fencesAhead = 1;
    const handle = await start({ failAt: 'First' });
    const lock = temporal.client.workflow.getHandle(lockId('host/pve1'));
    const holder = async () => (await lock.query<LockState>('lockState')).holders[0];
    await vi.waitFor(async () => expect(await holder()).toMatchObject({ owner: handle.workflowId }), 10_000);
    const before = (await holder())?.fence ?? 0;
    const waiting = await start({ holdMs: 0 });
    await failureOf(handle);
    expect(did.slice(0, 2)).toEqual(['First', 'undo First']);
    expect(mails).toEqual([]);
    // Nobody came between, and who came next has a fence after the newer one.
    const { output } = (await waiting.result()) as RunResult<{ fence: number }>;
    expect(output.fence - before).toBeGreaterThan(14_000);
    const { events } = await handle.fetchHistory();
    const grants = events?.filter(
      ({ workflowExecutionSignaledEventAttributes: signal }) => signal?.signalName === 'lockGranted',
    );
    expect(grants).toHaveLength(2);
  }, 60_000);

  it('refuses an answer at once that is none', async () => {
    const refused = (answer: { choice: string; question?: string }) =>
      handle.executeUpdate(decideUpdate, { args: [answer] }).then(
        () => expect.unreachable('it should have been refused'),
        (error: Error) => String((error.cause as Error).message),
      );
    undoBroken = true;
    const handle = await start({ failAt: 'First', holdMs: 0 });
    await vi.waitFor(async () => expect((await progressOf(handle)).phase).toBe('paused'), 10_000);
    expect(await refused({ choice: 'delete everything' })).toBe('It is none of the choices: retry, leave.');
    expect(await refused({ choice: 'leave', question: 'q7' })).toContain('asked something else');
    await handle.executeUpdate(decideUpdate, { args: [{ choice: 'leave' }] });
    await failureOf(handle);
  });

  it('refuses bad input with the field and what was expected, and does nothing', async () => {
    const failure = await failureOf(await start({ holdMs: -1 }));
    expect(failure.type).toBe('invalid-input');
    expect(failure.message).toContain('holdMs');
    expect(did).toEqual([]);
  });
});

describe('the lock of a target', () => {
  it('lets one change at a time, in order, and shows who is waited for', async () => {
    const first = await start({ holdMs: 1_500 });
    await vi.waitFor(() => expect(did).toContain('Second'), 10_000);
    const second = await start({});
    await vi.waitFor(
      async () => expect((await progressOf(second)).message).toBe(`Waiting for Fixture pve1 (${first.workflowId})`),
      5_000,
    );
    const results = (await Promise.all([first.result(), second.result()])) as RunResult<{ fence: number }>[];
    expect(mostInside).toBe(1);
    expect(results[1]?.output.fence).toBeGreaterThan(results[0]?.output.fence ?? 0);
  });

  it('does not hold up another target, or a dry run', async () => {
    const first = await start({ holdMs: 3_000 });
    await vi.waitFor(() => expect(did).toContain('Second'), 10_000);
    const other = await start({ host: 'pve2' });
    const planned = await start({ dryRun: true });
    await other.result();
    expect(((await planned.result()) as RunResult<unknown>).outcome).toBe('planned');
    expect((await first.describe()).status.name).toBe('RUNNING');
    await first.result();
  });

  it('is freed when its holder is ended without a word', async () => {
    const holder = await start({ holdMs: 60_000 });
    await vi.waitFor(() => expect(did).toContain('Second'), 10_000);
    const waiting = await start({});
    await vi.waitFor(async () => expect((await progressOf(waiting)).phase).toBe('waiting-for-lock'), 5_000);
    await holder.terminate('test');
    await waiting.result();
  });

  it('stays with its holder, and those who wait wait, while nobody knows whether the holder still runs', async () => {
    lookBroken = true;
    // Longer than what the holders are checked after.
    const holder = await start({ holdMs: 25_000 });
    await vi.waitFor(() => expect(did).toContain('Second'), 10_000);
    const waiting = await start({});
    await Promise.all([holder.result(), waiting.result()]);
    expect(mostInside).toBe(1);
  }, 120_000);

  it('is asked for again by those who wait, when a person ended the lock itself', async () => {
    const holder = await start({ holdMs: 60_000 });
    await vi.waitFor(() => expect(did).toContain('Second'), 10_000);
    const waiting = await start({});
    await vi.waitFor(async () => expect((await progressOf(waiting)).message).toContain(holder.workflowId), 10_000);
    await temporal.client.workflow.getHandle(lockId('host/pve1')).terminate('test');
    await holder.terminate('test');
    await waiting.result();
  }, 120_000);

  it('forgets a waiting run that was cancelled, and ends when nobody wants it', async () => {
    const holder = await start({ holdMs: 2_000 });
    await vi.waitFor(() => expect(did).toContain('Second'), 10_000);
    const waiting = await start({});
    const lock = temporal.client.workflow.getHandle(lockId('host/pve1'));
    await vi.waitFor(async () => expect((await lock.query<LockState>('lockState')).queue).toHaveLength(1), 5_000);
    await waiting.cancel();
    await failureOf(waiting);
    await vi.waitFor(async () => expect((await lock.query<LockState>('lockState')).queue).toHaveLength(0), 5_000);
    await holder.result();
    await sleep(300);
    expect((await lock.describe()).status.name).toBe('COMPLETED');
  });

  it('gives no fence again after the clock was set back, unless the clock was so far ahead that no host takes it', async () => {
    const begin = async (name: string, lastFence: number) => {
      await temporal.client.workflow.start('targetLock', {
        workflowId: lockId(`host/${name}`),
        taskQueue: serviceQueue,
        args: [`host/${name}`, { holders: [], queue: [], lastFence }],
        workflowTaskTimeout: '10s',
      });
      await temporal.client.workflow.getHandle(lockId(`host/${name}`)).result();
      const { output } = (await (await start({ host: name })).result()) as RunResult<{ fence: number }>;
      return output.fence;
    };
    const ahead = Date.now() + 120_000;
    expect(await begin('back', ahead)).toBe(ahead + 1);
    expect(((await (await start({ host: 'back' })).result()) as RunResult<{ fence: number }>).output.fence).toBe(
      ahead + 2,
    );
    expect(Math.abs((await begin('far', Date.now() + 86_400_000)) - Date.now())).toBeLessThan(60_000);
  });
});
