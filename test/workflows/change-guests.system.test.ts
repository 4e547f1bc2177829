import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import type { SimulatedGuest } from '../../lab/proxmox/state.ts';
import { createApiChangeActivities } from '../../src/activities/api-change/api-change.ts';
import { createChangeGuestsActivities } from '../../src/activities/change-guests/change-guests.ts';
import { createControlGuestActivities } from '../../src/activities/control-guest/control-guest.ts';
import { failureInterceptor } from '../../src/activities/failures.ts';
import { createGuestActivities } from '../../src/activities/guests/guests.ts';
import { createLockActivities } from '../../src/activities/lock/lock.ts';
import { findingsOf } from '../../src/operations/report.ts';
import type { RunResult } from '../../src/operations/run.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../src/proxmox/connect.ts';
import { followQueueOf, hostQueue, lockId, serviceQueue } from '../../src/workflows/lib/messages.ts';
import { hostOf } from '../proxmox/support.ts';
import { bundle, useTemporal } from '../support/temporal.ts';

// A real Temporal server, and a simulated cluster with guests that are changed together.
const temporal = useTemporal();
let simulator: ProxmoxSimulator;
let apis: ProxmoxApis;

beforeAll(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1, unreachableDelayMs: 1 });
  simulator.state.pace.secondMs = 20;
  apis = createProxmoxApis({ hosts: [hostOf('pve1', simulator)] }, pino({ level: 'silent' }));
  const dependencies = { proxmox: apis };
  const activities = {
    ...createGuestActivities(dependencies),
    ...createControlGuestActivities(dependencies),
    ...createApiChangeActivities(dependencies),
    ...createChangeGuestsActivities(dependencies),
  };
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

const first = 300;
/** So many guests that are off and have the tag web, and none else. */
function haveGuests(count: number): void {
  simulator.state.guests.clear();
  simulator.state.tasks.clear();
  for (let vmid = first; vmid < first + count; vmid += 1) {
    simulator.state.guests.set(vmid, {
      vmid,
      type: vmid % 2 === 0 ? 'qemu' : 'lxc',
      name: `web-${vmid}`,
      node: 'pve1',
      status: 'stopped',
      cpus: 1,
      memory: 2 ** 30,
      disk: 2 ** 33,
      template: false,
      tags: 'web',
    } as SimulatedGuest);
  }
}

beforeEach(() => {
  haveGuests(12);
  temporal.ledger.judged.length = 0;
});

const guest = (vmid: number) => simulator.state.guests.get(vmid) as SimulatedGuest;
const tasks = () => [...simulator.state.tasks.values()].map(({ type, id }) => `${type} ${id}`);

/** How far the batch of a run says it is. */
async function batchOf(run: string): Promise<string | undefined> {
  const metadata = await temporal.client.workflow
    .getHandle(`${run}/batch`)
    .query<{ currentDetails?: string }, []>('__temporal_workflow_metadata')
    .catch(() => undefined);
  return metadata?.currentDetails;
}

let count = 0;
function start(input: Readonly<Record<string, unknown>>) {
  count += 1;
  return temporal.client.workflow.start<(request: unknown) => Promise<RunResult<Record<string, unknown>>>>(
    'changeGuests',
    {
      workflowId: `change-guests/${count}`,
      taskQueue: serviceQueue,
      args: [{ input: { host: 'pve1', ...input }, requestedBy: { kind: 'cli', name: 'test' } }],
    },
  );
}
const change = async (input: Readonly<Record<string, unknown>>) => (await start(input)).result();

async function locksAreFree(): Promise<void> {
  for (const name of ['host/pve1', ...[...simulator.state.guests.keys()].map((vmid) => `guest/homelab/${vmid}`)]) {
    const described = await temporal.client.workflow
      .getHandle(lockId(name))
      .describe()
      .catch(() => undefined);
    expect(described?.status.name ?? 'COMPLETED', name).toBe('COMPLETED');
  }
}

it('does the same to all that are meant, once each, and says what was so already', async () => {
  guest(303).status = 'running';
  const { outcome, output, plan, report } = await change({ change: 'start', tag: 'web' });
  expect(outcome).toBe('done');
  expect(output).toMatchObject({ guests: 12, already: [303], failed: [], left: [], notBegun: [] });
  expect((output.done as number[]).toSorted()).toEqual([300, 301, 302, 304, 305, 306, 307, 308, 309, 310, 311]);
  expect(tasks().toSorted()).toEqual(
    (output.done as number[]).map((vmid) => `${vmid % 2 === 0 ? 'qmstart' : 'vzstart'} ${vmid}`).toSorted(),
  );
  expect(plan?.steps[1]?.does).toEqual([
    'POST /nodes/*/qemu/*/status/start (6: 300, 302, 304, 306, 308, 310)',
    'POST /nodes/*/lxc/*/status/start (5: 301, 305, 307, 309, 311)',
  ]);
  expect(report.summary).toBe('start: 11 of 12 done (300–302, 304–311), 1 were so already.');
  await locksAreFree();
}, 120_000);

it('judges each guest as its own operation would be', async () => {
  await change({ change: 'start', name: 'web-30*', dryRun: true });
  expect(temporal.ledger.judged).toEqual([]);
  await change({ change: 'start', vmids: [300, 301] });
  expect(temporal.ledger.judged.at(-1)).toMatchObject({
    operation: 'change-guests',
    each: { operation: 'control-guest', input: { action: 'start' }, guests: [{ vmid: 300 }, { vmid: 301 }] },
  });
}, 120_000);

it('reports what fails of one guest, undoes it there, and goes on with the others', async () => {
  guest(302).behaviour = { startError: 'no space left on device' };
  guest(304).lock = 'backup';
  const { output, report } = await change({ change: 'start', tag: 'web' });
  expect((output.done as number[]).length).toBe(10);
  expect(output.failed).toEqual(
    expect.arrayContaining([
      { vmid: 302, name: 'VM 302 (web-302)', why: expect.stringContaining('no space left on device') },
      { vmid: 304, name: 'VM 304 (web-304)', why: expect.stringContaining('is locked (backup)') },
    ]),
  );
  expect(guest(302).status).toBe('stopped');
  expect(findingsOf(report.sections).filter(({ verdict }) => verdict === 'warning')).toHaveLength(2);
  await locksAreFree();
}, 120_000);

it('backs up one guest of a node after the other, nodes beside each other, and says what an archive lacks', async () => {
  haveGuests(6);
  for (const vmid of [304, 305]) guest(vmid).node = 'pve2';
  guest(300).behaviour = { backupError: 'the guest does not answer' };
  Object.assign(guest(302).config ?? {}, { scsi1: 'local:302/vm-302-disk-1.qcow2,backup=0,size=1G' });
  for (const vmid of [301, 302, 303, 304, 305]) guest(vmid).behaviour = { taskMs: { vzdump: 2_500 } };
  const handle = await start({ change: 'back-up', with: { storage: 'local' }, tag: 'web' });
  const running = (node: string) =>
    [...simulator.state.tasks.values()].filter((task) => task.node === node && task.endtime === undefined).length;
  let most = 0;
  let isOver = false;
  let areBeside = false;
  const watched = (async () => {
    while (!isOver) {
      most = Math.max(most, running('pve1'), running('pve2'));
      areBeside ||= running('pve1') === 1 && running('pve2') === 1;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  })();
  const { output, plan, report } = await handle.result();
  isOver = true;
  await watched;
  expect(most).toBe(1);
  expect(areBeside).toBe(true);
  expect((output.done as number[]).toSorted()).toEqual([301, 302, 303, 304, 305]);
  expect(output.failed).toEqual([
    { vmid: 300, name: 'VM 300 (web-300)', why: expect.stringContaining('the guest does not answer') },
  ]);
  expect(plan?.steps[1]?.does).toEqual([
    expect.stringMatching(/^POST \/nodes\/\*\/vzdump vmid=\* storage=local .* \(6: 300–305\)$/),
  ]);
  expect(plan?.risks).toContain('302: Not in the archive: scsi1 is kept out of backups (backup=0)');
  expect(output.noted).toEqual([
    { vmid: 302, name: 'VM 302 (web-302)', why: expect.stringContaining('scsi1 is kept out of backups') },
  ]);
  expect(findingsOf(report.sections).filter(({ verdict }) => verdict === 'warning')).toHaveLength(2);
  await locksAreFree();
}, 120_000);

it('begins no further one after too many failures', async () => {
  haveGuests(40);
  for (let vmid = first; vmid < first + 40; vmid += 1) if (vmid > 303) guest(vmid).behaviour = { startError: 'broken' };
  const { output } = await change({ change: 'start', tag: 'web', atOnce: 2, mostFailures: 3 });
  expect((output.failed as unknown[]).length).toBeLessThan(8);
  expect((output.notBegun as number[]).length).toBeGreaterThan(25);
  await locksAreFree();
}, 120_000);

it('backs up the others, however many failed before', async () => {
  haveGuests(9);
  for (let vmid = first; vmid < first + 7; vmid += 1) guest(vmid).behaviour = { backupError: 'it is broken' };
  const { output } = await change({ change: 'back-up', tag: 'web', with: { storage: 'local' } });
  expect(output.failed).toHaveLength(7);
  expect(output.notBegun).toEqual([]);
  expect(output.done).toEqual([first + 7, first + 8]);
  await locksAreFree();
}, 120_000);

it('ends what is under way when it is cancelled, undoes it, and leaves the others', async () => {
  for (const one of simulator.state.guests.values()) one.behaviour = { startMs: one.vmid < 304 ? 20 : 60_000 };
  const handle = await start({ change: 'start', tag: 'web', atOnce: 4 });
  const long = () => tasks().filter((task) => Number(task.split(' ')[1]) > 303);
  await expect.poll(() => long().length, { timeout: 60_000 }).toBe(4);
  // Some of the first have been seen to stay on by then.
  await expect.poll(() => batchOf(handle.workflowId), { timeout: 30_000 }).toMatch(/[1-4] of 12 done/);
  await handle.cancel();
  await expect(handle.result()).rejects.toThrow();
  const { searchAttributes } = await handle.describe();
  expect(searchAttributes.OpsOutcome).toEqual(['cancelled']);
  expect([...simulator.state.tasks.values()].every(({ endtime }) => endtime !== undefined)).toBe(true);
  expect(long()).toHaveLength(4);
  const on = [...simulator.state.guests.values()].filter(({ status }) => status === 'running');
  expect(on.length).toBeGreaterThan(0);
  expect(on.every(({ vmid }) => vmid < 304)).toBe(true);
  await locksAreFree();
}, 120_000);

/** The innermost message of what a run failed with. */
async function whyNot(input: Readonly<Record<string, unknown>>): Promise<string> {
  let error: unknown = await change(input).catch((reason: unknown) => reason);
  while (error instanceof Error && error.cause instanceof Error) error = error.cause;
  return String(error);
}

it('refuses what the operation of each does not take, and a selection that means nobody', async () => {
  expect(await whyNot({ change: 'start', tag: 'web', with: { snapshot: 'x' } })).toContain('snapshot');
  expect(await whyNot({ change: 'start', tag: 'db' })).toContain('has tag db');
  expect(await whyNot({ change: 'start' })).toContain('expected at least one of tag, pool, name, node and vmids');
  expect(tasks()).toEqual([]);
}, 120_000);

it('does not pass by a policy that wants a snapshot first', async () => {
  temporal.ledger.judge = () => ({ verdict: 'allowed', snapshotFirst: 'policy.yaml:3 wants a snapshot first' });
  try {
    const configure = { change: 'configure', with: { set: { memory: 512 } }, tag: 'web' };
    expect(await whyNot(configure)).toContain('policy.yaml:3 wants a snapshot first, and change-guests takes none');
    expect(tasks()).toEqual([]);
  } finally {
    temporal.ledger.judge = () => ({ verdict: 'allowed' });
  }
}, 120_000);
