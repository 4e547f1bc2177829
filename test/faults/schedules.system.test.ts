import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSchedules } from '../../src/runs/create-schedules.ts';
import { quietTimeZone } from '../support/quiet-time-zone.ts';
import { startService, type TestService } from '../support/service.ts';
import { localMachine, type Machine, makePlace, type Place } from './places.ts';

const by = { kind: 'cli', name: 'test' } as const;

// Two of them, so that a change shows.
const timeZone = quietTimeZone();
const otherZone = quietTimeZone(new Date(Date.now() + 3_600_000));

let machine: Machine;
let service: TestService;
const places = new Map<string, Place>();
const place = (name: string) => places.get(name) as Place;
const hosts = (...names: readonly string[]) => Object.fromEntries(names.map((name) => [name, place(name).entry]));

beforeAll(async () => {
  machine = localMachine();
  for (const name of ['first', 'second', 'third']) places.set(name, await makePlace({ name, machine }));
  service = await startService({ hosts: hosts('first', 'second') });
  // Somebody else's, on the same server.
  await service.client.schedule.create({
    scheduleId: 'back-up/daily/foreign',
    spec: { cronExpressions: ['0 0 1 1 *'] },
    action: { type: 'startWorkflow', workflowType: 'nobody', taskQueue: 'nobody', args: [] },
  });
  await service.startWorker();
}, 600_000);

afterAll(async () => {
  await service?.stop();
  await machine?.stop();
});

const all = async () => {
  const schedules = await service.schedules.list();
  return new Map(schedules.map((schedule) => [schedule.id, schedule]));
};

/** Those of the catalogue, where these are the hosts. */
const ofHosts = (...names: readonly string[]) => [
  'back-up-service/daily/service',
  ...names.flatMap((name) =>
    ['back-up/daily', 'back-up/full', 'back-up/monthly', 'check-health/daily', 'verify-backups/weekly'].map(
      (one) => `${one}/${name}`,
    ),
  ),
];

/** Lists of Temporal lag behind by a moment. */
async function expectSchedules(ids: readonly string[]): Promise<void> {
  await expect.poll(async () => [...(await all()).keys()], { timeout: 20_000 }).toEqual([...ids].sort());
}

describe('schedules', () => {
  it('are made when the worker starts, at the times of the catalogue', async () => {
    await expectSchedules(ofHosts('first', 'second'));
    expect((await all()).get('back-up/daily/first')).toMatchObject({
      cron: '0 2 * * *',
      timeZone,
      paused: false,
    });
  });

  it('keep a pause and a time of a person, follow the configuration, and leave those of others alone', async () => {
    await service.schedules.pause('back-up/daily/first', 'holiday', 'test');
    await service.schedules.change('check-health/daily/first', { cron: '30 6 * * 1' }, 'test');
    await service.killWorker('SIGTERM');
    service.writeHosts({ first: { ...place('first').entry, TIME_ZONE: otherZone }, ...hosts('third') });
    await service.startWorker();

    await expectSchedules(ofHosts('first', 'third'));
    const now = await all();
    expect(now.get('back-up/daily/first')).toMatchObject({
      paused: true,
      cron: '0 2 * * *',
      timeZone: otherZone,
    });
    expect(now.get('back-up/daily/first')?.note).toContain('holiday');
    expect(now.get('check-health/daily/first')).toMatchObject({ paused: false, cron: '30 6 * * 1' });
    const foreign = await service.client.schedule.getHandle('back-up/daily/foreign').describe();
    expect(foreign.spec.calendars ?? []).toHaveLength(1);

    await service.schedules.resume('back-up/daily/first', 'back', 'test');
    await service.schedules.change('check-health/daily/first', { cron: null }, 'test');
    expect((await all()).get('check-health/daily/first')).toMatchObject({ cron: '0 8 * * *' });
  }, 120_000);

  it('have no time that there is not, and a server that is away is not called that', async () => {
    const before = await all();
    for (const change of [{ cron: '61 2 * * *' }, { cron: 'tomorrow' }, { timeZone: 'Europe/Atlantis' }]) {
      const error = await service.schedules.change('back-up/daily/first', change, 'test').catch((reason) => reason);
      expect(error).toMatchObject({ code: 'invalid-input', remedy: expect.stringContaining('five fields') });
      expect(error.message).toMatch(/that time: .*(minute|cron|zone)/i);
    }
    expect(await all()).toEqual(before);

    const away = Object.assign(new Error('14 UNAVAILABLE'), { code: 14, details: 'away', metadata: {} });
    const handle = service.client.schedule.getHandle('back-up/daily/first');
    const cut = { describe: () => handle.describe(), update: () => Promise.reject(away) };
    const client = Object.create(service.client, { schedule: { value: { getHandle: () => cut } } });
    const schedules = createSchedules({ client, config: service.config });
    await expect(schedules.change('back-up/daily/first', { cron: '0 3 * * *' }, 'test')).rejects.toBe(away);
  });

  it('fire: pulled to the next minute, a backup is made, and it says who asked', async () => {
    await service.schedules.change('back-up/daily/first', { cron: '* * * * *', timeZone: 'UTC' }, 'test');
    const fired = async () => (await all()).get('back-up/daily/first')?.lastRuns[0]?.runId;
    await expect.poll(fired, { timeout: 90_000, interval: 500 }).toBeDefined();
    await service.schedules.change('back-up/daily/first', { cron: null }, 'test');
    const run = await service.runs.wait((await fired()) as string, { timeoutMs: 60_000 });
    expect(run).toMatchObject({ state: 'done', requestedBy: 'schedule:back-up/daily/first' });
    expect((await place('first').backups()).length).toBeGreaterThanOrEqual(2);
  }, 180_000);

  it('and requests change one target one after the other; who waits says for whom', async () => {
    await place('first').reset('Collect');
    const asked = await service.runs.start('back-up', { host: 'first' }, by);
    await place('first').held();
    const before = (await runsOf('first')).length;
    const triggered = await service.schedules.trigger('back-up/daily/first', 'test');
    expect(triggered.id).toBe('back-up/daily/first');
    const id = await scheduledRun(before);
    const message = async () => (await service.runs.get(id)).progress?.message;
    await expect.poll(message, { timeout: 60_000 }).toBe(`Waiting for Back up first (${asked.id})`);
    // The same schedule again, while its run waits: refused, as the catalogue says skip.
    const again = service.schedules.trigger('back-up/daily/first', 'test');
    await expect(again).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining(id) });
    expect(await place('first').calls()).toEqual({ Collect: 1 });

    await place('first').open();
    const ends = await Promise.all([asked.id, id].map((run) => service.runs.wait(run, { timeoutMs: 120_000 })));
    expect(ends, JSON.stringify(ends)).toMatchObject([{ state: 'done' }, { state: 'done' }]);
    expect(await place('first').calls()).toMatchObject({ Collect: 2, Publish: 2 });
    expect(await runsOf('first')).toHaveLength(before + 1);
    // Nothing of the second began before the first had ended.
    const [first, second] = await Promise.all(ends.map(async (run) => service.runs.log(run.id)));
    const began = second?.find(({ text }) => text.includes('Look'))?.at ?? '';
    expect(began > (first?.findLast(({ text }) => text.includes('Publish'))?.at ?? 'never')).toBe(true);
  }, 240_000);

  it('a run that was ended without a word frees the target, and what it left is removed by the next', async () => {
    await place('first').reset('Pack');
    const ended = await service.runs.start('back-up', { host: 'first' }, by);
    await place('first').held();
    const next = await service.runs.start('back-up', { host: 'first' }, by);
    await service.client.workflow.getHandle(ended.id).terminate('test');
    expect(await service.runs.wait(next.id, { timeoutMs: 180_000 })).toMatchObject({ state: 'done' });
    const archives = (await place('first').backups()).filter((name) => name.endsWith('.tar.gz'));
    expect(archives).toHaveLength(1);
    await expect.poll(() => place('first').processes(), { timeout: 10_000 }).toEqual([]);
  }, 240_000);
});

const runsOf = async (host: string) => (await all()).get(`back-up/daily/${host}`)?.lastRuns ?? [];

/** The newest run of the first host's schedule, once there are more than before. */
async function scheduledRun(before: number): Promise<string> {
  await expect.poll(async () => (await runsOf('first')).length, { timeout: 30_000 }).toBe(before + 1);
  return (await runsOf('first')).at(-1)?.runId as string;
}
