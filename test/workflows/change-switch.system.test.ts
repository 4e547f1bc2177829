import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { failureInterceptor } from '../../src/activities/failures.ts';
import type { ListHostsActivities } from '../../src/activities/list-hosts/list-hosts.ts';
import type { StopChangesActivities } from '../../src/activities/stop-changes/stop-changes.ts';
import { ServiceError } from '../../src/errors.ts';
import { createChangeSwitch } from '../../src/runs/switch.ts';
import { hostQueue, stopChangesSignal, switchId, switchQuery } from '../../src/workflows/lib/messages.ts';
import { bundle, useTemporal } from '../support/temporal.ts';

const temporal = useTemporal();
let workflowBundle: { code: string };
let stopWorker: () => Promise<void>;

/** A loaded machine is only slow. */
const patiently = { timeout: 30_000 };

const agent = { kind: 'mcp', name: 'claude' } as const;
const anna = { by: { kind: 'person', name: 'anna' }, role: 'administrator', why: 'it was a false alarm' } as const;
const changes = (patienceMs = 10_000) => createChangeSwitch(temporal.client, { patienceMs });
const handle = () => temporal.client.workflow.getHandle(switchId);

beforeAll(async () => {
  workflowBundle = await bundle(join(import.meta.dirname, '../../src/workflows/change-switch.ts'));
}, 600_000);

/** The hosts that there are, and what each says when it is told; none by default. */
let configured: string[] = [];
let tell: (host: string) => Promise<string> = async () => new Date().toISOString();
let told: Parameters<StopChangesActivities['stopChangesOnHost']>[0][] = [];

const work = () =>
  temporal.work({
    workflowBundle,
    activities: { hostsByCommands: async () => configured } satisfies ListHostsActivities,
  });

beforeEach(async () => {
  configured = [];
  told = [];
  tell = async () => new Date().toISOString();
  stopWorker = await work();
});

afterEach(async () => {
  await allowAgain();
  await stopWorker();
});

async function allowAgain(): Promise<void> {
  const { on, number } = await changes().get();
  if (on) await changes().allow({ ...anna, number });
}

it('is off where nobody has ever switched it on', async () => {
  expect(await changes().get()).toEqual({ on: false, number: 0 });
  await expect(changes().allow({ ...anna, number: 0 })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('changes are allowed'),
  });
});

it('is switched on by anybody, once, and says who, when and why', async () => {
  const { number } = await changes().get();
  const stopped = await changes().stop({ by: agent, why: 'guest 100 behaves strangely\u001b[31m' });
  expect(stopped).toMatchObject({ on: true, number: number + 1, by: agent, isSeen: true });
  expect(stopped.why).not.toContain('\u001b');
  expect(Date.parse(stopped.since ?? '')).toBeGreaterThan(Date.now() - 60_000);
  await changes().stop({ by: { kind: 'cli', name: 'root' }, why: 'me too' });
  expect(await changes().get()).toMatchObject({ number: number + 1, by: agent });
  expect(await handle().query(switchQuery)).toEqual(await changes().get());
});

it('is switched on from the Temporal UI with any words, or none', async () => {
  for (const said of ['stop it', undefined, { by: 7, why: ['x'] }]) {
    await changes().stop({ by: agent, why: 'so that it is there' });
    await allowAgain();
    // What a person types there is of no form.
    await handle().signal(stopChangesSignal, said as never);
    await expect.poll(() => changes().get(), patiently).toMatchObject({ on: true });
    await allowAgain();
  }
});

it('is lifted by a person who is an administrator only, at once or not at all', async () => {
  const { number } = await changes().stop({ by: agent, why: 'x' });
  const refused = [
    { ...anna, by: agent },
    { ...anna, by: { kind: 'cli', name: 'root' } },
    { ...anna, by: { kind: 'schedule', name: 'back-up/daily/pve1' } },
    { ...anna, role: 'operator' },
    { ...anna, role: undefined },
    { by: undefined },
    undefined,
  ];
  for (const asked of refused) {
    await expect(changes().allow({ ...asked, number } as never)).rejects.toMatchObject({ code: 'forbidden' });
  }
  await expect(changes().allow({ ...anna, why: ' ', number })).rejects.toMatchObject({ code: 'invalid-input' });
  expect(await changes().get()).toMatchObject({ on: true, number });
  expect(await changes().allow({ ...anna, number })).toMatchObject({ on: false, number, by: anna.by, why: anna.why });
  expect(await changes().get()).toMatchObject({ on: false, number });
  // What was refused stands in no history.
  const { events } = await handle().fetchHistory();
  expect(events?.filter((one) => one.workflowExecutionUpdateAcceptedEventAttributes)).toHaveLength(number);
});

it('an old lift never lifts a later one', async () => {
  const first = await changes().stop({ by: agent, why: 'x' });
  await changes().allow({ ...anna, number: first.number });
  const second = await changes().stop({ by: agent, why: 'y' });
  await expect(changes().allow({ ...anna, number: first.number })).rejects.toMatchObject({ code: 'conflict' });
  expect(await changes().get()).toMatchObject({ on: true, number: second.number });
});

it('stays on while no worker runs, when it is cancelled, and when somebody ends it', async () => {
  await stopWorker();
  const { number } = await changes(500).stop({ by: agent, why: 'no worker' });
  // The server has it, though nobody has acted on it yet.
  expect(await changes(500).stop({ by: agent, why: 'again' })).toMatchObject({ on: true, isSeen: false });
  await expect(changes(2_000).allow({ ...anna, number })).rejects.toMatchObject({ code: 'unavailable' });
  stopWorker = await work();
  await expect.poll(() => changes().get(), patiently).toMatchObject({ on: true, why: 'no worker' });
  // Who was told that it failed has not lifted it, as soon as there is a worker.
  expect(await handle().query(switchQuery)).toMatchObject({ on: true, number });
  await handle().cancel();
  await changes().stop({ by: agent, why: 'still there' });
  expect(await changes().get()).toMatchObject({ on: true, why: 'no worker' });
  await handle().terminate('a test');
  expect(await changes().get()).toMatchObject({ on: true, why: 'no worker' });
  // And so it can be lifted: it begins with what it was.
  expect(await changes().allow({ ...anna, number: (await changes().get()).number })).toMatchObject({ on: false });
});

it('is never off for a moment, not even before a worker has seen its new beginning', async () => {
  const { number } = await changes().stop({ by: agent, why: 'kept' });
  await stopWorker();
  await handle().terminate('a test');
  expect(await changes(200).stop({ by: agent, why: 'another' })).toMatchObject({ on: true, number, why: 'kept' });
  expect(await changes().get()).toMatchObject({ on: true, number, why: 'kept' });
  stopWorker = await work();
  expect(await changes().get()).toMatchObject({ on: true, number });
});

it('goes on in a new history when its own gets long, as it was', async () => {
  const before = await changes().stop({ by: agent, why: 'long' });
  await handle().terminate('begin anew with a short one');
  await temporal.client.workflow.start('changeSwitch', {
    workflowId: switchId,
    taskQueue: 'proxmox-mcp',
    args: [await changes().get(), { mostEvents: 25 }],
  });
  for (let count = 0; count < 14; count += 1) {
    await handle().signal(stopChangesSignal, 'again');
    await handle().query(switchQuery);
  }
  const isFirst = async () => {
    const { runId, raw } = await handle().describe();
    return runId === raw.workflowExecutionInfo?.firstRunId;
  };
  await expect.poll(isFirst, patiently).toBe(false);
  expect(await changes().get()).toMatchObject({ on: true, number: before.number, why: 'long' });
});

describe('the hosts', () => {
  const serve = (host: string) =>
    temporal.work({
      taskQueue: hostQueue(host),
      workflowBundle,
      activities: {
        stopChangesOnHost: async (asked) => {
          told.push(asked);
          return await tell(asked.host);
        },
      } satisfies StopChangesActivities,
      interceptors: { activity: [failureInterceptor((text) => text, { error: () => {} })] },
    });
  const has = (host: string) => ({ host, at: expect.stringMatching(/^20/) });
  const away = (host: string) =>
    new ServiceError({
      code: 'host-unreachable',
      message: `${host} does not answer`,
      remedy: 'Look at it.',
      retryable: false,
    });
  const stops: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
  });

  it('are told at once, those that answer before those that don’t, and it says which have it', async () => {
    configured = ['pve1', 'pve2', 'pve3'];
    tell = async (host) => {
      if (host === 'pve2') throw away(host);
      return '2026-11-26T08:00:00.000Z';
    };
    // Nobody serves the queue of the third.
    stops.push(await serve('pve1'), await serve('pve2'));
    await changes().stop({ by: agent, why: 'guest 100 behaves strangely' });
    await expect
      .poll(() => changes().get(), patiently)
      .toMatchObject({
        on: true,
        hosts: [
          { host: 'pve1', at: '2026-11-26T08:00:00.000Z' },
          { host: 'pve2', why: expect.stringContaining('pve2 does not answer'), tries: 1 },
          { host: 'pve3' },
        ],
      });
    expect((await changes().get()).hosts?.[2]).toEqual({ host: 'pve3' });
    expect(told[0]).toEqual({ host: expect.any(String), by: agent, why: 'guest 100 behaves strangely' });
    // It goes on answering, and is lifted, though two of them hear nothing.
    expect(await handle().query(switchQuery)).toEqual(await changes().get());
    await allowAgain();
    const lifted = await changes().get();
    expect(lifted).toMatchObject({ on: false, hosts: [{ host: 'pve1' }] });
    expect(lifted.hosts).toHaveLength(1);
    const count = told.length;
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect(told).toHaveLength(count);
    // The next stop tells all of them anew.
    tell = async () => new Date().toISOString();
    stops.push(await serve('pve3'));
    await changes().stop({ by: agent, why: 'again' });
    expect(await changes().whenTold(30_000)).toMatchObject({ hosts: [has('pve1'), has('pve2'), has('pve3')] });
  });

  it('are told again and again until they have it; whoever stops them again has it tried at once', async () => {
    const { number } = await changes().stop({ by: agent, why: 'so that there is a switch' });
    await handle().terminate('begin anew with short pauses');
    configured = ['pve1', 'pve2'];
    let left = 2;
    tell = async (host) => {
      if (host === 'pve2' || left-- > 0) throw away(host);
      return new Date().toISOString();
    };
    stops.push(await serve('pve1'), await serve('pve2'));
    await temporal.client.workflow.start('changeSwitch', {
      workflowId: switchId,
      taskQueue: 'proxmox-mcp',
      args: [
        { on: true, number, by: agent, why: 'short pauses' },
        { firstPauseMs: 500, mostEvents: 40 },
      ],
    });
    await expect
      .poll(() => changes().get(), patiently)
      .toMatchObject({ on: true, number, hosts: [has('pve1'), { host: 'pve2', tries: expect.any(Number) }] });
    await expect.poll(async () => (await changes().get()).hosts?.[1]?.tries, patiently).toBeGreaterThan(3);
    const asked = told.filter(({ host }) => host === 'pve1').length;
    expect(asked).toBe(3);
    tell = async () => new Date().toISOString();
    await changes().stop({ by: agent, why: 'me too' });
    await expect.poll(() => changes().get(), patiently).toMatchObject({ number, hosts: [has('pve1'), has('pve2')] });
    // Who has it is not told again.
    expect(told.filter(({ host }) => host === 'pve1')).toHaveLength(asked);
  });

  it('a host that is configured only later is told when a worker starts, and a new history goes on telling', async () => {
    configured = ['pve1'];
    stops.push(await serve('pve1'));
    await changes().stop({ by: agent, why: 'x' });
    expect(await changes().whenTold(30_000)).toMatchObject({ hosts: [has('pve1')] });
    configured = ['pve1', 'pve2'];
    stops.push(await serve('pve2'));
    await changes().tellHosts();
    await expect.poll(() => changes().get(), patiently).toMatchObject({ hosts: [has('pve1'), has('pve2')] });
    expect(told.map(({ host }) => host)).toEqual(['pve1', 'pve2']);
    // Somebody ends it; who stops them again begins it anew, with what it knew.
    await handle().terminate('a test');
    await changes().stop({ by: agent, why: 'still' });
    await expect.poll(() => changes().get(), patiently).toMatchObject({ why: 'x', hosts: [has('pve1'), has('pve2')] });
    expect(told).toHaveLength(2);
  });

  it('a hundred of them are all told, however short its histories', async () => {
    configured = Array.from({ length: 100 }, (_, index) => `host-${index}`);
    stops.push(...(await Promise.all(configured.slice(0, 3).map(serve))));
    await changes().stop({ by: agent, why: 'x' });
    await expect
      .poll(async () => (await changes().get()).hosts?.filter(({ at }) => at !== undefined).length, patiently)
      .toBe(3);
    expect((await changes().get()).hosts).toHaveLength(100);
  });
});
