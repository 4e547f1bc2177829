import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { createChangeSwitch } from '../../src/runs/switch.ts';
import { stopChangesSignal, switchId, switchQuery } from '../../src/workflows/lib/messages.ts';
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

beforeEach(async () => {
  stopWorker = await temporal.work({ workflowBundle, activities: {} });
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
  stopWorker = await temporal.work({ workflowBundle, activities: {} });
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
  stopWorker = await temporal.work({ workflowBundle, activities: {} });
  expect(await changes().get()).toMatchObject({ on: true, number });
});

it('goes on in a new history when its own gets long, as it was', async () => {
  const before = await changes().stop({ by: agent, why: 'long' });
  await handle().terminate('begin anew with a short one');
  await temporal.client.workflow.start('changeSwitch', {
    workflowId: switchId,
    taskQueue: 'proxmox-mcp',
    args: [await changes().get(), { mostEvents: 12 }],
  });
  for (let count = 0; count < 8; count += 1) {
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
