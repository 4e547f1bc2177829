import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowFailedError } from '@temporalio/client';
import { ActivityFailure } from '@temporalio/common';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { z } from 'zod';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { createChangeApiActivities } from '../../src/activities/change-api/change-api.ts';
import { failureInterceptor } from '../../src/activities/failures.ts';
import { createGuestActivities } from '../../src/activities/guests/guests.ts';
import { createLockActivities } from '../../src/activities/lock/lock.ts';
import { changeApi } from '../../src/operations/change-api.ts';
import { findingsOf } from '../../src/operations/report.ts';
import type { RunResult } from '../../src/operations/run.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../src/proxmox/connect.ts';
import {
  decideUpdate,
  followQueueOf,
  hostQueue,
  progressQuery,
  serviceQueue,
} from '../../src/workflows/lib/messages.ts';
import { hostOf } from '../proxmox/support.ts';
import { bundle, useTemporal } from '../support/temporal.ts';

// The whole operation: a real Temporal server, the workflow, its activities, and a simulated cluster with the schema that
// it serves itself.
const temporal = useTemporal();
let simulator: ProxmoxSimulator;
let second: ProxmoxSimulator;
let apis: ProxmoxApis;
const mend: (() => void)[] = [];
/** Starts the worker of the workflows alone; the hosts' activities have theirs. */
let decide: () => Promise<() => Promise<void>>;
let stopDeciding: () => Promise<void>;

beforeAll(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1, unreachableDelayMs: 1 });
  simulator.state.pace.secondMs = 20;
  second = await createProxmoxSimulator({ memberOf: { simulator, node: 'pve2' } });
  apis = createProxmoxApis(
    { hosts: [hostOf('attic', simulator), hostOf('cellar', second)] },
    pino({ level: 'silent' }),
  );
  const dependencies = { proxmox: apis };
  const activities = { ...createGuestActivities(dependencies), ...createChangeApiActivities(dependencies) };
  const interceptors = { activity: [failureInterceptor((text) => text, { error: () => {} })] };
  const workflowBundle = await bundle(join(import.meta.dirname, '../../src/workflows/index.generated.ts'));
  decide = () =>
    temporal.work({
      workflowBundle,
      activities: { ...createLockActivities({ client: temporal.client }), mailReport: async () => undefined },
      interceptors,
    });
  stopDeciding = await decide();
  for (const taskQueue of [hostQueue('attic'), hostQueue('cellar'), followQueueOf('attic'), followQueueOf('cellar')]) {
    await temporal.work({ taskQueue, activities, interceptors });
  }
}, 600_000);
afterAll(async () => {
  await apis.close();
  await second.close();
  await simulator.close();
});
afterEach(() => {
  for (const undo of mend.splice(0)) undo();
});
const inject: ProxmoxSimulator['inject'] = (fault, scope) => {
  const undo = simulator.inject(fault, scope);
  mend.push(undo);
  return undo;
};

let count = 0;
async function start(input: Readonly<Record<string, unknown>>) {
  count += 1;
  const seen = simulator.requests.length;
  const handle = await temporal.client.workflow.start<
    (request: unknown) => Promise<RunResult<z.output<(typeof changeApi)['output']>>>
  >('changeApi', {
    workflowId: `change-api/${count}`,
    taskQueue: serviceQueue,
    args: [{ input: { host: 'attic', ...input }, requestedBy: { kind: 'cli', name: 'test' } }],
  });
  const writes = () =>
    simulator.requests
      .slice(seen)
      .filter(({ method }) => method !== 'GET')
      .map(({ method, url }) => `${method} ${url.replace('/api2/json', '')}`);
  return { handle, writes };
}
async function change(input: Readonly<Record<string, unknown>>) {
  const { handle, writes } = await start(input);
  const result = await handle.result();
  return { ...result, writes: writes(), findings: findingsOf(result.report.sections) };
}
async function failing(input: Readonly<Record<string, unknown>>) {
  const { handle, writes } = await start(input);
  return { ...(await failureOf(handle)), writes: writes() };
}
async function failureOf(handle: Awaited<ReturnType<typeof start>>['handle']) {
  const error: unknown = await handle.result().catch((reason: unknown) => reason);
  const { searchAttributes } = await handle.describe();
  let cause = error instanceof WorkflowFailedError ? error.cause : undefined;
  // Of an activity's failure it is in the next.
  if (cause instanceof ActivityFailure) cause = cause.cause;
  return { message: cause?.message ?? String(error), outcome: String(searchAttributes.OpsOutcome) };
}
async function asked(handle: Awaited<ReturnType<typeof start>>['handle']) {
  const question = async () => (await handle.query(progressQuery)).question;
  await expect.poll(question, { timeout: 60_000, interval: 100 }).toBeDefined();
  const found = await question();
  if (found === undefined) throw new Error('it asks nothing');
  return found;
}

const options = { method: 'PUT', path: '/cluster/options' };

it('plans the exact call, what it rests on and what Proxmox asks for', async () => {
  const { outcome, plan, writes } = await change({ ...options, parameters: { keyboard: 'de' }, dryRun: true });
  expect(outcome).toBe('planned');
  expect(plan?.steps[1]).toEqual({ title: 'Call', does: ['PUT /cluster/options keyboard=de'] });
  expect(plan?.state).toContainEqual({ name: 'keyboard', value: expect.any(String) });
  expect(plan?.state.find(({ name }) => name === 'GET /cluster/options')?.value).toMatch(/^[0-9a-f]{16}$/);
  expect(plan?.risks.join('\n')).toContain('Proxmox asks for Sys.Modify on /');
  expect(writes).toEqual([]);
});

it('changes settings, shows the difference, and says how they are put back', async () => {
  const { outcome, output, writes } = await change({ ...options, parameters: { keyboard: 'fr' } });
  expect(outcome).toBe('done');
  expect(writes).toEqual(['PUT /cluster/options']);
  expect(output.settings).toEqual([{ name: 'keyboard', before: null, after: 'fr' }]);
  expect(output.differences).toEqual([expect.stringMatching(/^keyboard: new → fr$/)]);
  const way = changeApi.undo?.reverse(
    changeApi.input.parse({ host: 'attic', ...options, parameters: { keyboard: 'fr' } }),
    changeApi.output.parse(output),
  );
  if (way === undefined || 'why' in way) return expect.unreachable();
  expect(way.expects).toEqual([{ name: 'keyboard', value: 'fr' }]);
  const back = await change(way.input);
  expect(back.output.settings).toEqual([{ name: 'keyboard', before: 'fr', after: null }]);
});

it('changes a guest under the guest’s own lock, and unsets what was not set', async () => {
  const path = '/nodes/pve1/qemu/100/config';
  const { output, report } = await change({ vmid: 100, method: 'PUT', path, parameters: { description: 'a b' } });
  expect(report.target).toBe('attic/100');
  expect(output.call).toBe('PUT /nodes/pve1/qemu/100/config description="a b"');
  const [setting] = output.settings;
  if (setting === undefined) return expect.unreachable();
  expect(output.back).toEqual(setting.before === null ? { delete: 'description' } : { description: setting.before });
  const back = await change({ vmid: 100, method: 'PUT', path, parameters: output.back });
  expect(back.output.settings).toEqual([{ name: 'description', before: setting.after, after: setting.before }]);
});

it('follows the task that a call starts', async () => {
  const path = '/nodes/pve1/qemu/100/snapshot';
  const { output, findings, writes } = await change({
    vmid: 100,
    method: 'POST',
    path,
    parameters: { snapname: 'one' },
  });
  expect(output.task).toMatch(/^UPID:pve1:.*:qmsnapshot:100:/);
  expect(output.differences.join('\n')).toContain('one');
  expect(findings.find(({ check }) => check === 'Task')).toMatchObject({ verdict: 'ok' });
  expect(writes).toEqual([`POST ${path}`]);
  const gone = await change({ vmid: 100, method: 'DELETE', path: `${path}/one` });
  expect(gone.output.noBack).toContain('Nothing is known');
  expect(gone.writes).toEqual([`DELETE ${path}/one`]);
});

it('makes and removes what is only in a list', async () => {
  const made = await change({ method: 'POST', path: '/pools', parameters: { poolid: 'lab', comment: 'x' } });
  expect(made.output.differences).toContain('lab.poolid: new → lab');
  const gone = await change({ method: 'DELETE', path: '/pools', parameters: { poolid: 'lab' } });
  expect(gone.output.differences).toContain('lab.poolid: lab → gone');
});

it.each([
  [{ ...options, parameters: { keyboad: 'de' } }, /did you mean keyboard/],
  [{ ...options, parameters: { keyboard: 'xx' } }, /parameters\.keyboard: expected one of/],
  [{ method: 'PUT', path: '/cluster/optoins', parameters: {} }, /Near it are \/cluster\/options/],
  [{ method: 'PUT', path: '/access/acl', parameters: {} }, /changes who may do what/],
  [{ ...options, parameters: { password: 'x' } }, /it holds a secret.*\n.*at parameters\.password/],
  [
    { method: 'PUT', path: '/nodes/pve1/qemu/100/config', parameters: { memory: 512 } },
    /expected 100, the guest in the path.*\n.*at vmid/,
  ],
  [
    { method: 'PUT', path: '/nodes/pve2/qemu/100/config', vmid: 100, parameters: { memory: 512 } },
    /is on pve1, and the path says otherwise/,
  ],
  [{ method: 'PUT', path: '/nodes/pve2/dns', parameters: { search: 'a' } }, /is the host cellar and not attic/],
  [{ method: 'DELETE', path: '/pools/nope' }, /nothing at \/pools\/nope|does not exist/],
  [{ method: 'PUT', path: '/nodes/pve1/qemu/999/cloudinit', vmid: 999 }, /no guest 999/],
  [{ method: 'DELETE', path: '/nodes/pve1/qemu/100', vmid: 100 }, /Use delete-guest/],
] as const)('refuses %j before anything is sent', async (input, why) => {
  const { message, outcome, writes } = await failing(input);
  expect(message).toMatch(why);
  expect(writes).toEqual([]);
  expect(outcome).not.toBe('done');
});

it('says what Proxmox refused, and has nothing to take back', async () => {
  const { message, outcome } = await failing({ method: 'POST', path: '/pools', parameters: { poolid: 'a/b' } });
  expect(message).toMatch(/does not exist/);
  expect(outcome).toBe('failed');
});

it('follows the task of a call whose answer was lost, and starts no second one', async () => {
  inject({ kind: 'lose-answer' }, { method: 'POST', times: 1 });
  const path = '/nodes/pve1/qemu/100/snapshot';
  const { output, report, writes } = await change({ vmid: 100, method: 'POST', path, parameters: { snapname: 'two' } });
  expect(output.task).toMatch(/qmsnapshot:100/);
  expect(report.verdict).toBe('warning');
  expect(writes).toHaveLength(1);
  await change({ vmid: 100, method: 'DELETE', path: `${path}/two` });
});

it('finds that a call without a task was done although its answer was lost', async () => {
  inject({ kind: 'lose-answer' }, { method: 'POST', times: 1 });
  const { output, writes } = await change({ method: 'POST', path: '/pools', parameters: { poolid: 'lost' } });
  expect(output.differences).toContain('lost.poolid: new → lost');
  expect(writes).toHaveLength(1);
});

it('makes a call again that only says how settings are to be, where it has changed nothing', async () => {
  inject({ kind: 'disconnect' }, { method: 'PUT', times: 1 });
  const { output } = await change({ ...options, parameters: { keyboard: 'it' } });
  expect(output.settings[0]?.after).toBe('it');
});

it('asks a person whether any other call is made again, and does what they say', async () => {
  inject({ kind: 'disconnect' }, { method: 'POST', times: 1 });
  const { handle, writes } = await start({ method: 'POST', path: '/pools', parameters: { poolid: 'again' } });
  const question = await asked(handle);
  expect(question.text).toMatch(/Nobody knows whether POST \/pools poolid=again was done.*reads as before/);
  await handle.executeUpdate(decideUpdate, { args: [{ question: question.id, choice: 'again' }] });
  expect((await handle.result()).output.differences).toContain('again.poolid: new → again');
  expect(writes().length).toBeLessThanOrEqual(2);

  inject({ kind: 'disconnect' }, { method: 'POST', times: 1 });
  const other = await start({ method: 'POST', path: '/pools', parameters: { poolid: 'never' } });
  const { id } = await asked(other.handle);
  await other.handle.executeUpdate(decideUpdate, { args: [{ question: id, choice: 'leave' }] });
  expect(await failureOf(other.handle)).toMatchObject({
    outcome: 'failed',
    message: expect.stringContaining('left as it is'),
  });
  expect(simulator.state.pools.has('never')).toBe(false);
}, 120_000);

it('finds a change that was only said to be made', async () => {
  inject({ kind: 'silent' }, { method: 'PUT' });
  const { message, outcome } = await failing({
    vmid: 100,
    method: 'PUT',
    path: '/nodes/pve1/qemu/100/config',
    parameters: { description: 'never' },
  });
  expect(message).toMatch(/said that PUT .* was done, but description reads as before/);
  expect(outcome).toBe('undone');
}, 60_000);

it('puts settings back when it is cancelled after they were made', async () => {
  const before = (await change({ ...options, parameters: { keyboard: 'es' } })).output.settings[0]?.after ?? '';
  let letGo: () => void = () => undefined;
  const until = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  inject({ kind: 'held', until }, { method: 'PUT', times: 1 });
  const { handle, writes } = await start({ ...options, parameters: { keyboard: 'pt' } });
  await expect.poll(() => writes().length, { timeout: 30_000 }).toBe(1);
  await handle.cancel();
  await sleep(300);
  letGo();
  expect(await failureOf(handle)).toMatchObject({ outcome: 'cancelled' });
  const { output, plan } = await change({ ...options, parameters: { keyboard: before }, dryRun: true });
  expect(output.call).toContain(before);
  expect(plan?.state).toContainEqual({ name: 'keyboard', value: before });
}, 60_000);

it('puts settings back when it is cancelled in the same moment as its last look ends', async () => {
  let letGo: () => void = () => undefined;
  const until = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const { handle, writes } = await start({ ...options, parameters: { keyboard: 'it' } });
  inject({ kind: 'held', until }, { path: { test: () => writes().length > 0 }, method: 'GET' });
  await expect.poll(async () => (await verifying()).began, { timeout: 30_000, interval: 50 }).toBe(true);
  // Nobody decides anything until there is both.
  await stopDeciding();
  await handle.cancel();
  letGo();
  await expect.poll(async () => (await verifying()).ended, { timeout: 30_000, interval: 50 }).toBe(true);
  stopDeciding = await decide();
  expect(await failureOf(handle)).toMatchObject({ outcome: 'cancelled' });
  expect(writes()).toHaveLength(2);

  async function verifying() {
    const events = (await handle.fetchHistory()).events ?? [];
    const isIt = (one: (typeof events)[number]) =>
      one.activityTaskScheduledEventAttributes?.activityType?.name === 'verifyCall';
    const id = String(events.find(isIt)?.eventId);
    const done = ({ activityTaskCompletedEventAttributes: of }: (typeof events)[number]) =>
      String(of?.scheduledEventId) === id;
    return { began: events.some(isIt), ended: events.some(done) };
  }
}, 60_000);

it('ends the task of a run that is cancelled, and calls a person where something stays', async () => {
  inject({ kind: 'task-slow', delayMs: 30_000 }, { task: 'qmsnapshot' });
  const path = '/nodes/pve1/qemu/100/snapshot';
  const { handle } = await start({ vmid: 100, method: 'POST', path, parameters: { snapname: 'slow' } });
  const runs = () =>
    [...simulator.state.tasks.values()].some(({ type, endtime }) => type === 'qmsnapshot' && endtime === undefined);
  await expect.poll(runs, { timeout: 30_000 }).toBe(true);
  await handle.cancel();
  let hasEnded = false;
  const ends = failureOf(handle).finally(() => {
    hasEnded = true;
  });
  const question = async () => (await handle.query(progressQuery)).question;
  await expect
    .poll(async () => hasEnded || (await question()) !== undefined, { timeout: 60_000, interval: 100 })
    .toBe(true);
  const id = (await question())?.id;
  if (id !== undefined) await handle.executeUpdate(decideUpdate, { args: [{ question: id, choice: 'leave' }] });
  await ends;
  expect(runs()).toBe(false);
}, 90_000);
