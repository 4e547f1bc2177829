import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Fault } from '../../lab/proxmox/faults.ts';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { createState } from '../../lab/proxmox/state.ts';
import { createApiChangeActivities } from '../../src/activities/api-change/api-change.ts';
import { failureInterceptor } from '../../src/activities/failures.ts';
import { createGuestActivities } from '../../src/activities/guests/guests.ts';
import { createLockActivities } from '../../src/activities/lock/lock.ts';
import type { RunResult } from '../../src/operations/run.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../src/proxmox/connect.ts';
import { decideUpdate, followQueueOf, hostQueue, lockId, serviceQueue } from '../../src/workflows/lib/messages.ts';
import { hostOf } from '../proxmox/support.ts';
import { bundle, useTemporal } from '../support/temporal.ts';

// What all declared operations have in common, shown by a snapshot: a real Temporal server, and a simulated API with faults.
const temporal = useTemporal();
let simulator: ProxmoxSimulator;
let apis: ProxmoxApis;
const lifts: (() => void)[] = [];

beforeAll(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1, unreachableDelayMs: 1 });
  simulator.state.pace.secondMs = 20;
  apis = createProxmoxApis({ hosts: [hostOf('pve1', simulator)] }, pino({ level: 'silent' }));
  const dependencies = { proxmox: apis };
  const activities = { ...createGuestActivities(dependencies), ...createApiChangeActivities(dependencies) };
  const interceptors = { activity: [failureInterceptor((text) => text, { error: () => {} })] };
  await temporal.work({
    workflowBundle: await bundle(join(import.meta.dirname, '../../src/workflows/index.generated.ts')),
    activities: createLockActivities({ client: temporal.client }),
    interceptors,
  });
  for (const taskQueue of [hostQueue('pve1'), followQueueOf('pve1')])
    await temporal.work({ taskQueue, activities, interceptors });
}, 600_000);
afterAll(async () => {
  await apis?.close();
  await simulator?.close();
});

beforeEach(() => {
  simulator.state.guests.clear();
  simulator.state.tasks.clear();
  for (const guest of createState().guests.values()) simulator.state.guests.set(guest.vmid, guest);
});
afterEach(() => {
  for (const lift of lifts.splice(0)) lift();
});

const inject = (...fault: Parameters<ProxmoxSimulator['inject']>) => lifts.push(simulator.inject(...fault));
const tasks = () => [...simulator.state.tasks.values()].map(({ type, id }) => `${type} ${id}`);

async function snapshots(vmid = 100): Promise<string[]> {
  const client = apis.get('pve1');
  const listed = (await client.api().nodes.$('pve1').qemu.$(vmid).snapshot.$get()) as { name?: string }[];
  return listed.map(({ name }) => String(name)).filter((name) => name !== 'current');
}

let count = 0;
function start(input: Readonly<Record<string, unknown>>) {
  count += 1;
  return temporal.client.workflow.start<(request: unknown) => Promise<RunResult<Record<string, unknown>>>>(
    'snapshotGuest',
    {
      workflowId: `snapshot-guest/${count}`,
      taskQueue: serviceQueue,
      args: [
        {
          input: { host: 'pve1', vmid: 100, snapshot: 'before', ...input },
          requestedBy: { kind: 'cli', name: 'test' },
        },
      ],
    },
  );
}

async function failureOf(handle: Awaited<ReturnType<typeof start>>): Promise<{ why: string; outcome: unknown }> {
  let error: unknown = await handle.result().then(
    () => new Error('it did not fail'),
    (reason: unknown) => reason,
  );
  while (error instanceof Error && error.cause instanceof Error) error = error.cause;
  const { searchAttributes } = await handle.describe();
  return { why: String(error), outcome: searchAttributes.OpsOutcome };
}

async function lockIsFree(): Promise<void> {
  for (const lock of ['guest/homelab/100', 'host/pve1']) {
    await expect
      .poll(async () => (await temporal.client.workflow.getHandle(lockId(lock)).describe()).status.name)
      .toBe('COMPLETED');
  }
}

it('plans what it then does, and proves it', async () => {
  const planned = await (await start({ dryRun: true })).result();
  expect(planned.outcome).toBe('planned');
  expect(tasks()).toEqual([]);
  const done = await (await start({})).result();
  expect(done.plan?.digest).toBe(planned.plan?.digest);
  expect(done).toMatchObject({ outcome: 'done', output: { vmid: 100, node: 'pve1', snapshot: 'before', before: [] } });
  expect(done.report.summary).toContain('has the snapshot before');
  expect(tasks()).toEqual(['qmsnapshot 100']);
  expect(await snapshots()).toEqual(['before']);
  await lockIsFree();
}, 60_000);

it('starts one task though nobody heard that it did', async () => {
  inject({ kind: 'lose-answer' }, { method: 'POST', times: 1 });
  expect((await (await start({})).result()).outcome).toBe('done');
  expect(tasks()).toEqual(['qmsnapshot 100']);
  await lockIsFree();
}, 60_000);

it('refuses before anything is done, and then says failed and not undone', async () => {
  expect((await (await start({})).result()).outcome).toBe('done');
  const again = await failureOf(await start({}));
  expect(again).toMatchObject({ outcome: ['failed'], why: expect.stringContaining('has a snapshot "before" already') });
  expect(tasks()).toEqual(['qmsnapshot 100']);
  await lockIsFree();
}, 60_000);

describe('what is not as Proxmox says is found, and nothing is left of it', () => {
  it.each<readonly [string, Fault, RegExp]>([
    ['a task that is OK and did nothing', { kind: 'silent' }, /has no snapshot before/],
    ['a snapshot without its RAM', { kind: 'without', part: 'ram' }, /has no RAM/],
    [
      'a task that failed after its work',
      { kind: 'task-fails', exitstatus: 'got a strange error', after: 'work' },
      /got a strange error/,
    ],
    ['a task that failed before it', { kind: 'task-fails', exitstatus: 'no space left on device' }, /no space left/],
  ])(
    '%s',
    async (_, fault, why) => {
      inject(fault, { task: 'qmsnapshot' });
      const failed = await failureOf(await start({ withRam: true }));
      expect(failed.why).toMatch(why);
      expect(failed.outcome).toEqual(['undone']);
      expect(await snapshots()).toEqual([]);
      await lockIsFree();
    },
    60_000,
  );
});

it('ends its task and undoes when it is cancelled', async () => {
  inject({ kind: 'task-slow', delayMs: 60_000 }, { task: 'qmsnapshot' });
  const handle = await start({});
  await expect.poll(tasks, { timeout: 30_000 }).toEqual(['qmsnapshot 100']);
  await handle.cancel();
  const { outcome } = await failureOf(handle);
  expect(outcome).toEqual(['cancelled']);
  expect([...simulator.state.tasks.values()].every(({ endtime }) => endtime !== undefined)).toBe(true);
  expect(await snapshots()).toEqual([]);
  await lockIsFree();
}, 60_000);

it('waits for a node that is away for a while, and starts one task', async () => {
  inject({ kind: 'unavailable' }, { method: 'POST', times: 2 });
  expect((await (await start({})).result()).outcome).toBe('done');
  expect(tasks()).toEqual(['qmsnapshot 100']);
  await lockIsFree();
}, 60_000);

describe('a snapshot first, where the policy wants one', () => {
  const why = 'policy.yaml:3 wants a snapshot first: a way back';
  beforeEach(() => {
    temporal.ledger.judge = () => ({ verdict: 'allowed', snapshotFirst: why });
  });
  afterEach(() => {
    temporal.ledger.judge = () => ({ verdict: 'allowed' });
  });

  function configure() {
    count += 1;
    const input = { host: 'pve1', vmid: 120, set: { memory: 1024 } };
    return temporal.client.workflow.start<(request: unknown) => Promise<RunResult<Record<string, unknown>>>>(
      'configureGuest',
      {
        workflowId: `configure-guest/${count}`,
        taskQueue: serviceQueue,
        args: [{ input, requestedBy: { kind: 'cli', name: 'test' } }],
      },
    );
  }
  const memory = () => simulator.state.guests.get(120)?.config?.memory;

  it('is taken, shown in the plan, and removed when all went well', async () => {
    const { outcome, plan, report } = await (await configure()).result();
    expect(outcome).toBe('done');
    expect(tasks()).toEqual(['qmsnapshot 120', 'qmdelsnapshot 120']);
    expect(memory()).toBe('1024');
    expect(await snapshots(120)).toEqual([]);
    expect(plan?.steps.map(({ title }) => title)).toEqual([
      'Snapshot first',
      'Look',
      'Configure',
      'Remove the snapshot',
    ]);
    expect(plan?.undo.at(-1)).toContain(why);
    expect(report.sections.map(({ title }) => title)).toContain('Snapshot');
  }, 60_000);

  it('is removed when the change was undone', async () => {
    const before = memory();
    inject({ kind: 'silent' }, { method: 'PUT', times: 1 });
    const { outcome } = await failureOf(await configure());
    expect(outcome).toEqual(['undone']);
    expect(memory()).toBe(before);
    expect(tasks()).toEqual(['qmsnapshot 120', 'qmdelsnapshot 120']);
  }, 60_000);

  it('stays where something could not be undone', async () => {
    // The change is made and its answer is wrong; nothing can be put back afterwards.
    let writes = 0;
    const later = { test: (url: string) => url.includes('/config') && ++writes > 1 };
    inject({ kind: 'answer', status: 400, reason: 'Parameter verification failed.' }, { method: 'PUT', path: later });
    const reads = { test: (url: string) => url.includes('/120/config') && writes === 1 };
    inject(
      { kind: 'answer', status: 403, reason: 'Permission check failed (/vms/120, VM.Audit)' },
      { method: 'GET', path: reads, times: 1 },
    );
    const handle = await configure();
    await expect
      .poll(async () => (await handle.describe()).searchAttributes.OpsPhase, { timeout: 30_000 })
      .toEqual(['paused']);
    await handle.executeUpdate(decideUpdate, { args: [{ choice: 'leave' }] });
    expect((await failureOf(handle)).outcome).toEqual(['failed']);
    expect(await snapshots(120)).toEqual([expect.stringMatching(/^pmx-[0-9a-f]{8}$/)]);
  }, 60_000);

  it('that can not be removed is only said', async () => {
    inject({ kind: 'task-fails', exitstatus: 'no space left on device' }, { task: 'qmdelsnapshot' });
    const { outcome, report } = await (await configure()).result();
    expect(outcome).toBe('done');
    expect(memory()).toBe('1024');
    expect(report.sections.at(-1)).toMatchObject({
      findings: [{ verdict: 'warning', summary: expect.stringContaining('is still there') }],
    });
  }, 60_000);
});
