import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { createState } from '../../lab/proxmox/state.ts';
import { createApiChangeActivities } from '../../src/activities/api-change/api-change.ts';
import { failureInterceptor } from '../../src/activities/failures.ts';
import { createGuestActivities } from '../../src/activities/guests/guests.ts';
import { createLockActivities } from '../../src/activities/lock/lock.ts';
import { catalogue, type OperationName } from '../../src/operations/catalogue.generated.ts';
import { workflowType } from '../../src/operations/definition.ts';
import type { RunResult } from '../../src/operations/run.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../src/proxmox/connect.ts';
import { followQueueOf, hostQueue, serviceQueue } from '../../src/workflows/lib/messages.ts';
import { hostOf } from '../proxmox/support.ts';
import { furnish } from '../support/cluster-state.ts';
import { bundle, useTemporal } from '../support/temporal.ts';

// Operations of several calls over a real Temporal server: what they make, what is left of it when they fail, and what the
// report says where something stayed away.
const temporal = useTemporal();
let simulator: ProxmoxSimulator;
let apis: ProxmoxApis;
const lifts: (() => void)[] = [];

beforeAll(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1, unreachableDelayMs: 1 });
  simulator.state.pace.secondMs = 20;
  apis = createProxmoxApis({ hosts: [hostOf('pve1', simulator)] }, pino({ level: 'silent' }));
  const dependencies = { proxmox: apis, secondMs: 100 };
  const activities = { ...createGuestActivities(dependencies), ...createApiChangeActivities(dependencies) };
  const interceptors = { activity: [failureInterceptor((text) => text, { error: () => {} })] };
  await temporal.work({
    workflowBundle: await bundle(join(import.meta.dirname, '../../src/workflows/index.generated.ts')),
    activities: createLockActivities({ client: temporal.client }),
    interceptors,
  });
  for (const taskQueue of [hostQueue('pve1'), followQueueOf('pve1')]) {
    await temporal.work({ taskQueue, activities, interceptors });
  }
}, 600_000);
afterAll(async () => {
  await apis?.close();
  await simulator?.close();
});

beforeEach(() => {
  const { state } = simulator;
  state.guests.clear();
  state.tasks.clear();
  state.volumes.splice(0);
  for (const guest of createState().guests.values()) state.guests.set(guest.vmid, guest);
  furnish({ simulator });
});
afterEach(() => {
  for (const lift of lifts.splice(0)) lift();
});

let count = 0;
function start(operation: OperationName, input: Readonly<Record<string, unknown>>) {
  count += 1;
  return temporal.client.workflow.start<(request: unknown) => Promise<RunResult<Record<string, unknown>>>>(
    workflowType(operation),
    {
      workflowId: `${operation}/pve1/${count}`,
      taskQueue: serviceQueue,
      args: [{ input: { host: 'pve1', ...input }, requestedBy: { kind: 'cli', name: 'test' } }],
    },
  );
}
const vmids = () => [...simulator.state.guests.keys()].toSorted();
const tasks = () => [...simulator.state.tasks.values()].map(({ type, id }) => `${type} ${id}`);

it('makes a running VM with an address in one call, and takes it back by its mark', async () => {
  const run = await start('create-vm', { name: 'web-1', waitSeconds: 60 });
  const done = await run.result();
  expect(done).toMatchObject({ outcome: 'done', output: { vmid: 103, status: 'running', madeBy: run.workflowId } });
  expect(done.output.address).toMatch(/^[\d.]+$/);
  expect(tasks()).toEqual(['qmcreate 103', 'resize 103', 'qmstart 103']);
  const way = catalogue['create-vm'].undo?.reverse({ host: 'pve1' } as never, done.output as never);
  if (way === undefined || !('input' in way)) return expect.unreachable();
  const back = await (await start('delete-guest', way.input)).result();
  expect(back.outcome).toBe('done');
  expect(vmids()).toEqual([100, 101, 102, 120]);
}, 120_000);

it('warns of an address that stayed away, and leaves the guest', async () => {
  // It has no agent.
  const done = await (await start('clone-guest', { vmid: 120, name: 'mute', start: true, waitSeconds: 3 })).result();
  expect(done.outcome).toBe('done');
  const findings = done.report.sections.flatMap((section) => ('findings' in section ? section.findings : []));
  expect(findings.find(({ check }) => check === 'Wait for an address')).toMatchObject({
    verdict: 'warning',
    summary: expect.stringContaining('no address'),
  });
  expect(done.output).not.toHaveProperty('missed');
  expect(done.output).not.toHaveProperty('address');
  expect(simulator.state.guests.get(103)).toMatchObject({ status: 'running' });
}, 120_000);

it('leaves nothing of a guest that could not be started', async () => {
  lifts.push(simulator.inject({ kind: 'task-fails', exitstatus: 'start failed: no such bridge' }, { task: 'vzstart' }));
  const run = await start('create-container', { name: 'dns-2' });
  let error: unknown = await run.result().catch((reason: unknown) => reason);
  while (error instanceof Error && error.cause instanceof Error) error = error.cause;
  expect(String(error)).toContain('no such bridge');
  expect((await run.describe()).searchAttributes.OpsOutcome).toEqual(['undone']);
  expect(vmids()).toEqual([100, 101, 102, 120]);
  expect(simulator.state.volumes.filter(({ vmid }) => vmid === 103)).toEqual([]);
  expect(tasks()).toEqual(['vzcreate 103', 'vzstart 103', 'vzdestroy 103']);
}, 120_000);

it('starts a guest again that was stopped to be deleted, and could not be', async () => {
  lifts.push(simulator.inject({ kind: 'task-fails', exitstatus: 'dataset is busy' }, { task: 'qmdestroy' }));
  const run = await start('delete-guest', { vmid: 100, stopFirst: true });
  await expect(run.result()).rejects.toThrow();
  expect((await run.describe()).searchAttributes.OpsOutcome).toEqual(['undone']);
  expect(simulator.state.guests.get(100)).toMatchObject({ status: 'running' });
  expect(tasks()).toEqual(['qmstop 100', 'qmdestroy 100', 'qmstart 100']);
}, 120_000);
