import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { failureInterceptor } from '../../src/activities/failures.ts';
import { createLockActivities } from '../../src/activities/lock/lock.ts';
import type { ApprovalTerms } from '../../src/operations/judgement.ts';
import type { Requester } from '../../src/operations/run.ts';
import { createRuns } from '../../src/runs/create-runs.ts';
import { createSchedules } from '../../src/runs/create-schedules.ts';
import { reconcileSchedules } from '../../src/runs/reconcile-schedules.ts';
import type { Runs } from '../../src/runs/runs.ts';
import type { ScheduleRequest, Schedules } from '../../src/runs/schedules.ts';
import { hostQueue } from '../../src/workflows/lib/messages.ts';
import { loadedConfig } from '../support/config.ts';
import { bundle, useTemporal } from '../support/temporal.ts';
import type { ScheduledActivities } from './fixtures/scheduled-workflows.ts';

const temporal = useTemporal();
const config = {
  ...loadedConfig(),
  hosts: loadedConfig().hosts.map((host) => ({ ...host, timeZone: 'Europe/Berlin' })),
};
const claude: Requester = { kind: 'mcp', name: 'claude', for: 'anna', token: '2026-11-01T00:00:00.000Z' };
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

let did: { what: string; at: number }[] = [];
let health: 'ok' | 'warning' | 'failed' = 'ok';
let state = 'as it was';
let schedules: Schedules;
let runs: Runs;

beforeAll(async () => {
  const activities: ScheduledActivities = {
    act: async (what) => void did.push({ what, at: Date.now() }),
    health: async () => health,
    state: async () => state,
  };
  const workflowBundle = await bundle(join(import.meta.dirname, 'fixtures/scheduled-workflows.ts'));
  const interceptors = { activity: [failureInterceptor((text) => text, { error: () => {} })] };
  await temporal.work({
    workflowBundle,
    activities: {
      ...activities,
      ...createLockActivities({ client: temporal.client }),
      mailReport: async () => ({ mailed: true }),
    },
    interceptors,
  });
  const place = { kind: 'guest', cluster: 'pve1', vmid: 100, node: 'pve1', type: 'qemu', name: 'files', host: 'pve1' };
  await temporal.work({
    taskQueue: hostQueue('pve1'),
    activities: { locateGuest: async () => ({ ...place, tags: ['prod'] }) },
    interceptors,
  });
  schedules = createSchedules({ client: temporal.client, config });
  runs = createRuns({ client: temporal.client, config });
}, 600_000);

const terms: ApprovalTerms = {
  count: 1,
  approvers: ['anna', 'bert'],
  answerWithinMs: hourMs,
  executeWithinMs: hourMs,
  remindEveryMs: hourMs,
  signed: false,
};

function ask(more: Partial<ApprovalTerms> = {}): void {
  temporal.ledger.judge = () => ({ verdict: 'ask', terms: { ...terms, ...more }, why: 'It is dangerous.' });
}

beforeEach(() => {
  did = [];
  health = 'ok';
  state = 'as it was';
  temporal.ledger.judged.length = 0;
  temporal.ledger.judge = () => ({ verdict: 'allowed' });
});

const soon = (ms: number) => new Date(Math.ceil((Date.now() + ms) / 1_000) * 1_000).toISOString();
const stop = { operation: 'control-guest', input: { host: 'pve1', vmid: 100, action: 'stop' } } as const;
const backUp = { operation: 'back-up', input: { host: 'pve1' } } as const;
let count = 0;
const add = (request: ScheduleRequest) => schedules.add({ name: `test-${++count}`, ...request }, claude);

async function runOf(id: string): Promise<string> {
  const found = async () =>
    (await runs.list({ limit: 50 })).runs.find((run) => run.requestedBy === `schedule:${id}`)?.id;
  await expect.poll(found, { timeout: 40_000, interval: 200 }).toBeDefined();
  return (await found()) as string;
}

async function asked(run: string) {
  await expect.poll(async () => (await runs.get(run)).progress?.question?.kind, { timeout: 20_000 }).toBe('approval');
  const question = (await runs.get(run)).progress?.question;
  if (question?.approval === undefined) throw new Error('it asks for no approval');
  return { ...question, approval: question.approval };
}

async function approve(run: string, name = 'bert') {
  const { id: question, approval } = await asked(run);
  const by = { kind: 'person', name } as const;
  await runs.decide(run, { question, choice: 'approve', digest: approval.digest, by, via: 'cli' }, by);
}

async function matching(id: string, from: number, to: number): Promise<string[]> {
  const at = (time: number) => ({ seconds: Math.floor(time / 1_000) }) as never;
  const answer = await temporal.client.workflowService.listScheduleMatchingTimes({
    namespace: 'default',
    scheduleId: id,
    startTime: at(from),
    endTime: at(to),
  });
  return answer.startTime.map(({ seconds }) => new Date(Number(seconds) * 1_000).toISOString());
}

describe('what is scheduled once', () => {
  it('runs at its time, judged as its maker’s, and is done then', async () => {
    const at = soon(14_000);
    const made = await add({ ...backUp, at });
    expect(made).toMatchObject({
      id: `back-up/own-test-${count}/pve1`,
      existing: false,
      nextRuns: [at],
      timeZone: 'Europe/Berlin',
      own: { madeBy: 'mcp:claude', risk: 'change', at, input: { host: 'pve1' } },
    });
    expect(made.own?.isDone).toBeUndefined();
    const run = await runOf(made.id);
    expect(await runs.wait(run, { timeoutMs: 30_000 })).toMatchObject({ state: 'done' });
    expect(did).toMatchObject([{ what: 'back-up pve1' }]);
    expect(did[0]?.at).toBeGreaterThanOrEqual(Date.parse(at));
    expect(temporal.ledger.judged).toMatchObject([
      { requestedBy: { kind: 'schedule', name: made.id }, onBehalfOf: claude },
    ]);
    const after = (await schedules.list()).find(({ id }) => id === made.id);
    expect(after).toMatchObject({ nextRuns: [], own: { isDone: true }, lastRuns: [{ runId: run }] });
    // What is done makes room for another one of its name.
    const again = await add({ ...backUp, at: 'in 2h', name: `test-${count}` });
    expect(again).toMatchObject({ id: made.id, existing: false });
    expect(again.own?.isDone).toBeUndefined();
    await schedules.remove(made.id, claude);
  }, 90_000);

  it('asks ahead where it needs an approval, acts at its time, and only then', async () => {
    ask();
    const at = soon(15_000);
    const made = await add({ ...stop, at, condition: 'healthy' });
    expect(made.own).toMatchObject({
      risk: 'dangerous',
      condition: 'healthy',
      approval: { count: 1, approvers: ['anna', 'bert'] },
    });
    const until = Date.parse(made.own?.approval?.until ?? '');
    expect(until).toBeGreaterThan(Date.parse(at));
    expect(until).toBeLessThanOrEqual(Date.parse(at) + hourMs);
    const run = await runOf(made.id);
    const question = await asked(run);
    expect(question.text).toMatch(/It is done at 20\d\d-.* CES?T, only if pve1 is healthy then\. It is dangerous\./);
    expect(temporal.ledger.judged.at(-1)).toMatchObject({ at, guest: { vmid: 100, tags: ['prod'] } });
    await approve(run);
    await expect.poll(async () => (await runs.get(run)).progress?.message).toMatch(/^Waiting for its time: 20/);
    expect(did).toEqual([]);
    expect(await runs.wait(run, { timeoutMs: 40_000 })).toMatchObject({ state: 'done' });
    expect(did).toMatchObject([{ what: 'stop 100' }]);
    expect(did[0]?.at).toBeGreaterThanOrEqual(Date.parse(at));
  }, 90_000);

  it('asks once more at its time when what it rests on has changed', async () => {
    ask();
    const made = await add({ ...stop, at: soon(6_000) });
    const run = await runOf(made.id);
    await asked(run);
    state = 'something else';
    await approve(run);
    await expect.poll(async () => (await runs.get(run)).progress?.question?.id, { timeout: 30_000 }).toMatch(/^q2/);
    expect((await asked(run)).text).toContain('State: was as it was, is something else');
    expect(did).toEqual([]);
    await approve(run);
    expect(await runs.wait(run, { timeoutMs: 20_000 })).toMatchObject({ state: 'done' });
    expect(did).toHaveLength(1);
  }, 90_000);

  it('is a no when nobody has answered until the time after it is over', async () => {
    ask({ executeWithinMs: 3_000 });
    const at = soon(4_000);
    const made = await add({ ...stop, at });
    const end = await runs.wait(await runOf(made.id), { timeoutMs: 40_000 });
    expect(end).toMatchObject({ state: 'failed', failure: { code: 'not-approved' } });
    expect(Date.parse(end.closedAt ?? '')).toBeGreaterThanOrEqual(Date.parse(at) + 3_000);
    expect(did).toEqual([]);
  }, 90_000);

  it('does nothing where its condition is not met, and says what was found', async () => {
    health = 'warning';
    const [strict, loose] = [
      await add({ ...backUp, at: soon(12_000), condition: 'healthy' }),
      await add({ ...backUp, at: soon(12_000), condition: 'not-failing' }),
    ];
    const skipped = await runs.wait(await runOf(strict.id), { timeoutMs: 40_000 });
    expect(skipped).toMatchObject({
      state: 'cancelled',
      failure: {
        code: 'condition-not-met',
        message: expect.stringMatching(
          /^It was to be done only if pve1 is healthy, and its check says warning: pve1 is warning\. Nothing was changed\.$/,
        ),
      },
    });
    expect(await runs.wait(await runOf(loose.id), { timeoutMs: 40_000 })).toMatchObject({ state: 'done' });
    expect(did).toHaveLength(1);
    const cancelled = async () => (await runs.list({ state: 'cancelled', limit: 50 })).runs.map(({ id }) => id);
    await expect.poll(cancelled, { timeout: 20_000 }).toContain(skipped.id);
  }, 120_000);

  it('is judged again at its time: what is refused then is not done', async () => {
    const made = await add({ ...backUp, at: soon(12_000) });
    temporal.ledger.judge = () => ({ verdict: 'refused', why: 'The token claude was revoked.', remedy: 'Ask anna.' });
    const end = await runs.wait(await runOf(made.id), { timeoutMs: 40_000 });
    expect(end).toMatchObject({ state: 'failed', failure: { code: 'forbidden' } });
    expect(did).toEqual([]);
  }, 90_000);
});

describe('what repeats', () => {
  const noon = { ...stop, every: 'daily 02:30' } as const;

  it('begins to ask ahead of each time by as much as it may, also where clocks change', async () => {
    ask({ answerWithinMs: 10 * hourMs });
    const made = await add(noon);
    expect(made.cron).toBe('30 2 * * *');
    expect(made.nextRuns.length).toBeGreaterThanOrEqual(1);
    const year = new Date().getUTCFullYear() + 1;
    const night = (month: string) => {
      // The last Sunday, in the middle of its night.
      const last = new Date(`${year}-${month}-31T12:00:00Z`);
      return last.getTime() - last.getUTCDay() * 24 * hourMs - 11 * hourMs;
    };
    for (const month of ['03', '10']) {
      const change = night(month);
      const times = await matching(made.id, change - 22 * hourMs, change + 2 * hourMs);
      // One run, ten hours before the time that was skipped or came twice is over.
      const over = new Date(change - (change % hourMs) + (month === '03' ? 0 : hourMs));
      expect(times).toHaveLength(1);
      const due = Date.parse(times[0] ?? '') + 10 * hourMs;
      expect(new Date(due).getUTCDate(), month).toBe(over.getUTCDate());
      expect(new Intl.DateTimeFormat('en-GB', { timeZone: 'Europe/Berlin', timeStyle: 'short' }).format(due)).toBe(
        '03:00',
      );
    }
    await schedules.remove(made.id, claude);
  }, 60_000);

  it('asks at once for a first time that is near, and forgets that when it is removed', async () => {
    ask();
    const clock = new Intl.DateTimeFormat('en-GB', { timeZone: 'Europe/Berlin', timeStyle: 'short' });
    const made = await add({ ...stop, every: `daily ${clock.format(Date.now() + 20 * minuteMs)}` });
    expect(Date.parse(made.nextRuns[0] ?? '') - Date.now()).toBeLessThan(21 * minuteMs);
    const run = await runOf(made.id);
    await approve(run);
    await expect.poll(async () => (await runs.get(run)).progress?.message).toMatch(/^Waiting for its time/);
    const removed = await schedules.remove(made.id, claude);
    expect(removed.cancelled).toEqual([run]);
    expect(await runs.wait(run, { timeoutMs: 20_000 })).toMatchObject({
      state: 'cancelled',
      failure: { message: expect.stringContaining(`its schedule ${made.id} was removed`) },
    });
    expect(did).toEqual([]);
    expect((await schedules.list()).map(({ id }) => id)).not.toContain(made.id);
    expect(temporal.ledger.recordsOf(run).length).toBeGreaterThan(0);
  }, 90_000);

  it('waits for its time by the moment for which Temporal started it', async () => {
    const made = await add({ ...backUp, every: 'sun 02:30' });
    const handle = temporal.client.schedule.getHandle(made.id);
    const { action } = await handle.describe();
    const [request] = (action.args ?? []) as { notBefore: object }[];
    const ahead = { ...request, notBefore: { ...request?.notBefore, leadMs: 4_000 } };
    await handle.update((previous) => ({ ...previous, action: { ...previous.action, args: [ahead] } }) as never);
    const before = Date.now();
    await handle.trigger();
    const run = await runOf(made.id);
    expect(await runs.wait(run, { timeoutMs: 30_000 })).toMatchObject({ state: 'done' });
    // Temporal names the moment in full seconds.
    expect(did[0]?.at).toBeGreaterThanOrEqual(Math.floor(before / 1_000) * 1_000 + 4_000);
    await schedules.remove(made.id, claude);
  }, 60_000);

  it('can be run now, paused and resumed, and stays when the worker starts', async () => {
    ask();
    const made = await add({ ...stop, every: 'mon,thu 02:30' });
    await schedules.pause(made.id, 'holiday', 'anna');
    const log = pino({ level: 'silent' });
    const { removed, changed } = await reconcileSchedules({ client: temporal.client, config, log });
    expect([removed, changed]).toEqual([[], []]);
    const there = (await schedules.list()).find(({ id }) => id === made.id);
    expect(there).toMatchObject({ paused: true, own: { madeBy: 'mcp:claude' } });
    await schedules.resume(made.id, 'back', 'anna');
    await schedules.trigger(made.id, 'anna');
    const run = await runOf(made.id);
    await approve(run);
    expect(await runs.wait(run, { timeoutMs: 20_000 })).toMatchObject({ state: 'done' });
    await expect(schedules.change(made.id, { cron: '0 4 * * *' }, 'anna')).rejects.toMatchObject({ code: 'conflict' });
    await expect(schedules.remove('back-up/daily/pve1', claude)).rejects.toMatchObject({ code: 'conflict' });
    await schedules.remove(made.id, claude);
  }, 90_000);
});

describe('what is not scheduled, each with its reason', () => {
  it.each<[ScheduleRequest, object]>([
    [
      { ...backUp, at: '2020-01-01 10:00' },
      { code: 'invalid-input', message: expect.stringContaining('is over') },
    ],
    [{ ...backUp }, { message: expect.stringContaining('Neither at nor every') }],
    [{ ...backUp, at: 'in 3d', name: 'A b' }, { message: expect.stringContaining('name: "A b" can') }],
    [{ ...backUp, at: 'in 2h', every: 'daily 02:00' }, { message: expect.stringContaining('Both at and every') }],
    [{ ...backUp, every: '0 0 30 2 *' }, { message: expect.stringContaining('never comes') }],
    [{ operation: 'back-upp', input: {}, at: 'in 2h' }, { code: 'not-found' }],
    [
      { operation: 'back-up', input: { host: 'pve1', kinds: 'x' }, at: 'in 2h' },
      { code: 'invalid-input', message: expect.stringContaining('kinds') },
    ],
    [{ operation: 'back-up', input: { host: 'pve9' }, at: 'in 2h' }, { message: expect.stringContaining('pve9') }],
  ])('%j', async (request, error) => {
    await expect(schedules.add(request, claude)).rejects.toMatchObject(error);
  });

  it('what the policy refuses, which is written down', async () => {
    temporal.ledger.judge = () => ({ verdict: 'refused', why: 'pve1 is protected.', remedy: 'Lift that.' });
    await expect(add({ ...stop, at: 'in 2h' })).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('pve1 is protected'),
    });
    expect((await schedules.list()).map(({ id }) => id)).not.toContain(`control-guest/own-test-${count}/pve1/100`);
  });

  it('what would ask all the time', async () => {
    ask();
    await expect(add({ ...stop, every: '*/30 * * * *' })).rejects.toMatchObject({
      code: 'invalid-input',
      message: expect.stringContaining('needs an approval each time'),
    });
  });

  it('another one of the same name; the same one again is found', async () => {
    const first = await schedules.add({ ...backUp, every: 'sun 23:00' }, claude);
    expect(first.id).toBe('back-up/own-sun-2300/pve1');
    const again = await schedules.add({ ...backUp, every: 'sun 23:00' }, claude);
    expect(again).toMatchObject({ id: first.id, existing: true });
    const other = schedules.add({ ...backUp, every: 'sun 23:00', condition: 'healthy' }, claude);
    await expect(other).rejects.toMatchObject({ code: 'already-exists' });
    await sleep(1);
    await schedules.remove(first.id, claude);
  });
});
