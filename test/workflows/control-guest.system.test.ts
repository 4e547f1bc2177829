import { join } from 'node:path';
import { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { createState, type SimulatedGuest } from '../../lab/proxmox/state.ts';
import { createControlGuestActivities } from '../../src/activities/control-guest/control-guest.ts';
import { failureInterceptor } from '../../src/activities/failures.ts';
import { createGuestActivities } from '../../src/activities/guests/guests.ts';
import { createLockActivities } from '../../src/activities/lock/lock.ts';
import { findingsOf } from '../../src/operations/report.ts';
import type { RunResult } from '../../src/operations/run.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../src/proxmox/connect.ts';
import { followQueueOf, hostQueue, lockId, lockStateQuery, serviceQueue } from '../../src/workflows/lib/messages.ts';
import { hostOf } from '../proxmox/support.ts';
import { bundle, useTemporal } from '../support/temporal.ts';

// The whole operation: a real Temporal server, the workflow, its activities, and a simulated cluster of two hosts that
// have nothing but an API.
const temporal = useTemporal();
let simulator: ProxmoxSimulator;
let second: ProxmoxSimulator;
let apis: ProxmoxApis;

beforeAll(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1, unreachableDelayMs: 1 });
  simulator.state.pace.secondMs = 20;
  second = await createProxmoxSimulator({ memberOf: { simulator, node: 'pve2' } });
  const hosts = [hostOf('attic', simulator), hostOf('cellar', second)];
  apis = createProxmoxApis({ hosts }, pino({ level: 'silent' }));
  const dependencies = { proxmox: apis };
  const activities = { ...createGuestActivities(dependencies), ...createControlGuestActivities(dependencies) };
  const interceptors = { activity: [failureInterceptor((text) => text, { error: () => {} })] };
  await temporal.work({
    workflowBundle: await bundle(join(import.meta.dirname, '../../src/workflows/index.generated.ts')),
    activities: createLockActivities({ client: temporal.client }),
    interceptors,
  });
  for (const taskQueue of [hostQueue('attic'), hostQueue('cellar'), followQueueOf('attic'), followQueueOf('cellar')]) {
    await temporal.work({ taskQueue, activities, interceptors });
  }
}, 600_000);
afterAll(async () => {
  await apis.close();
  await second.close();
  await simulator.close();
});

/** The guests as they are at first, and no tasks. */
beforeEach(() => {
  simulator.state.guests.clear();
  simulator.state.tasks.clear();
  for (const guest of createState().guests.values()) simulator.state.guests.set(guest.vmid, guest);
});

function guest(vmid: number): SimulatedGuest {
  const found = simulator.state.guests.get(vmid);
  if (!found) throw new Error(`no guest ${vmid}`);
  return found;
}

const tasks = () => [...simulator.state.tasks.values()].map(({ type, id }) => `${type} ${id}`);

let count = 0;
function start(input: Readonly<Record<string, unknown>>) {
  count += 1;
  return temporal.client.workflow.start<(request: unknown) => Promise<RunResult<Record<string, unknown>>>>(
    'controlGuest',
    {
      workflowId: `control-guest/${count}`,
      taskQueue: serviceQueue,
      args: [{ input: { host: 'attic', ...input }, requestedBy: { kind: 'cli', name: 'test' } }],
    },
  );
}
const control = async (input: Readonly<Record<string, unknown>>) => (await start(input)).result();

/** What the run ended with instead, and how lists show that. */
async function failureOf(handle: Awaited<ReturnType<typeof start>>) {
  const error: unknown = await handle.result().catch((reason: unknown) => reason);
  const { searchAttributes } = await handle.describe();
  const cause = error instanceof WorkflowFailedError ? error.cause : undefined;
  return { cause, outcome: searchAttributes.OpsOutcome };
}

it('starts a guest and proves it, wherever in the cluster it is', async () => {
  guest(120).node = 'pve2';
  const { outcome, output, report } = await control({ vmid: 120, action: 'start' });
  expect(outcome).toBe('done');
  expect(output).toMatchObject({
    vmid: 120,
    type: 'qemu',
    name: 'workstation',
    node: 'pve2',
    from: 'stopped',
    to: 'running',
  });
  expect(output.task).toMatch(/^UPID:pve2:.*:qmstart:120:mcp@pve!full:$/);
  expect(report).toMatchObject({
    verdict: 'ok',
    target: 'attic/120',
    summary: 'The VM 120 (workstation) on pve2 is running.',
  });
  expect(tasks()).toEqual(['qmstart 120']);
});

it('shuts down, reboots and stops', async () => {
  await control({ vmid: 100, action: 'reboot' });
  expect(guest(100).status).toBe('running');
  await control({ vmid: 101, action: 'shutdown' });
  await control({ vmid: 100, action: 'stop' });
  expect([guest(100).status, guest(101).status]).toEqual(['stopped', 'stopped']);
  expect(tasks()).toEqual(['qmreboot 100', 'qmstart 100', 'vzshutdown 101', 'qmstop 100']);
});

it('does nothing where it is so already, and says so', async () => {
  const { outcome, output, report } = await control({ vmid: 100, action: 'start' });
  expect(outcome).toBe('done');
  expect(output.task).toBeUndefined();
  expect(report.summary).toContain('is running already; nothing was done');
  expect(tasks()).toEqual([]);
});

it('plans without changing anything', async () => {
  guest(101).ha = { state: 'started' };
  guest(101).lock = 'backup';
  const { outcome, report, plan } = await control({ vmid: 101, action: 'reboot', dryRun: true });
  expect(outcome).toBe('planned');
  expect(report.summary).toMatch(/^Would reboot the .*101.* on .*; nothing was changed\.$/);
  expect(findingsOf(report.sections).map(({ check, verdict }) => `${check}: ${verdict}`)).toEqual([
    'Can go wrong: warning',
    'Can go wrong: warning',
    'Can go wrong: warning',
    'Affected: ok',
    'Undo: ok',
    'Takes: ok',
  ]);
  expect(plan?.steps[1]?.does).toEqual(['POST /nodes/pve2/lxc/101/status/reboot timeout=180']);
  expect(plan?.state).toContainEqual({ name: 'Lock', value: 'backup' });
  expect(tasks()).toEqual([]);
});

it('shows the warnings of a task', async () => {
  guest(120).behaviour = { startWarnings: ['iothread is ignored'] };
  const { report } = await control({ vmid: 120, action: 'start' });
  expect(report.verdict).toBe('warning');
  expect(findingsOf(report.sections).find(({ check }) => check === 'Task')?.evidence).toContain('iothread is ignored');
});

it('says what refused it, and has nothing to take back', async () => {
  guest(120).lock = 'snapshot';
  const { cause, outcome } = await failureOf(await start({ vmid: 120, action: 'start' }));
  expect(cause).toBeInstanceOf(ApplicationFailure);
  expect(cause).toMatchObject({ type: 'proxmox-locked' });
  expect(cause?.message).not.toContain('undone');
  expect(outcome).toEqual(['failed']);
  expect(tasks()).toEqual([]);
});

it('leaves a guest on that did not hear its shutdown', async () => {
  guest(100).behaviour = { ignoresShutdown: true };
  const { cause } = await failureOf(await start({ vmid: 100, action: 'shutdown', timeoutSeconds: 2 }));
  expect(cause).toMatchObject({ type: 'command-failed' });
  expect(cause?.message).toContain('VM quit/powerdown failed - got timeout');
  expect(guest(100).status).toBe('running');
  expect(tasks()).toEqual(['qmshutdown 100']);
});

it('takes back a start whose guest does not stay on', async () => {
  guest(120).behaviour = { diesAfterMs: 2_000 };
  const { cause, outcome } = await failureOf(await start({ vmid: 120, action: 'start' }));
  expect(cause).toMatchObject({ type: 'verification-failed' });
  expect(outcome).toEqual(['undone']);
  expect(guest(120).status).toBe('stopped');
});

it('cancelled in a shutdown, it ends the task and starts the guest again that had heard it', async () => {
  guest(100).behaviour = { stopMs: 4_000 };
  // Long enough to be cancelled in.
  simulator.state.pace.secondMs = 1_000;
  const handle = await start({ vmid: 100, action: 'shutdown' });
  await vi.waitFor(() => expect(tasks()).toEqual(['qmshutdown 100']), 20_000);
  await handle.cancel();
  const { cause } = await failureOf(handle);
  simulator.state.pace.secondMs = 20;
  expect(cause).toBeInstanceOf(CancelledFailure);
  const [shutdown] = simulator.state.tasks.values();
  expect(shutdown?.exitstatus).toBe('interrupted by signal');
  expect(tasks()).toEqual(['qmshutdown 100', 'qmstart 100']);
  expect(guest(100).status).toBe('running');
});

it('reboots once when the answer is lost and the API can’t be asked for a while', async () => {
  simulator.inject({ kind: 'lose-answer' }, { method: 'POST', times: 1 });
  simulator.inject({ kind: 'answer', status: 595, reason: 'Connection refused' }, { path: /tasks/, times: 8 });
  await control({ vmid: 101, action: 'reboot' });
  expect(tasks()).toEqual(['vzreboot 101']);
});

it('holds its guest alone and shares its host', async () => {
  guest(120).behaviour = { startMs: 3_000 };
  guest(102).behaviour = { startMs: 3_000 };
  const runs = [await start({ vmid: 120, action: 'start' }), await start({ vmid: 102, action: 'start' })];
  await vi.waitFor(() => expect(tasks().sort()).toEqual(['qmstart 120', 'vzstart 102']), 20_000);
  const again = await start({ vmid: 120, action: 'start' });
  const lock = temporal.client.workflow.getHandle(lockId('guest/homelab/120'));
  await vi.waitFor(async () => {
    const state = await lock.query(lockStateQuery);
    expect(state.queue.map(({ owner }) => owner)).toEqual([again.workflowId]);
  }, 20_000);
  for (const handle of [...runs, again]) expect((await handle.result()).outcome).toBe('done');
  expect(tasks()).toHaveLength(2);
});
