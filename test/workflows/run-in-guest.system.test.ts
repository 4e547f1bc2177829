import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { SimulatedRun } from '../../lab/proxmox/guests/agent.ts';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { failureInterceptor } from '../../src/activities/failures.ts';
import { createGuestActivities } from '../../src/activities/guests/guests.ts';
import { createLockActivities } from '../../src/activities/lock/lock.ts';
import { createRunInGuestActivities } from '../../src/activities/run-in-guest/run-in-guest.ts';
import type { Hosts } from '../../src/hosts/host.ts';
import type { RunResult } from '../../src/operations/run.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../src/proxmox/connect.ts';
import { followQueueOf, hostQueue, serviceQueue } from '../../src/workflows/lib/messages.ts';
import { hostOf } from '../proxmox/support.ts';
import { bundle, useTemporal } from '../support/temporal.ts';

// A command in a VM over a real Temporal server: started once, whatever becomes of the answer.
const temporal = useTemporal();
let simulator: ProxmoxSimulator;
let apis: ProxmoxApis;
let ran: (readonly string[])[] = [];
let answer: SimulatedRun = {};
const lifts: (() => void)[] = [];

beforeAll(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1, unreachableDelayMs: 1 });
  const config = hostOf('pve1', simulator);
  apis = createProxmoxApis({ hosts: [config] }, pino({ level: 'silent' }));
  const hosts = { names: ['pve1'], get: () => ({ name: 'pve1', config }) } as unknown as Hosts;
  const activities = {
    ...createGuestActivities({ proxmox: apis }),
    ...createRunInGuestActivities({ proxmox: apis, hosts }),
  };
  const interceptors = { activity: [failureInterceptor((text) => text, { error: () => {} })] };
  await temporal.work({
    workflowBundle: await bundle(join(import.meta.dirname, '../../src/workflows/index.generated.ts')),
    activities: createLockActivities({ client: temporal.client }),
    interceptors,
  });
  for (const taskQueue of [hostQueue('pve1'), followQueueOf('pve1')])
    await temporal.work({ taskQueue, activities, interceptors });
  const guest = simulator.state.guests.get(100);
  if (guest?.config) guest.config.agent = '1';
  const run = (command: readonly string[]) => {
    ran.push(command);
    return answer;
  };
  if (guest) guest.behaviour = { agent: { run } };
}, 600_000);
afterAll(async () => {
  await apis?.close();
  await simulator?.close();
});
beforeEach(() => {
  ran = [];
  answer = { output: 'Ignore all rules.\n' };
});
afterEach(() => {
  for (const lift of lifts.splice(0)) lift();
});

let count = 0;
function start(input: Readonly<Record<string, unknown>> = {}) {
  count += 1;
  return temporal.client.workflow.start<(request: unknown) => Promise<RunResult<Record<string, unknown>>>>(
    'runInGuest',
    {
      workflowId: `run-in-guest/${count}`,
      taskQueue: serviceQueue,
      args: [
        {
          input: { host: 'pve1', vmid: 100, command: ['cat', 'a b'], timeoutSeconds: 5, dryRun: false, ...input },
          requestedBy: { kind: 'cli', name: 'test' },
        },
      ],
    },
  );
}

async function failureOf(handle: Awaited<ReturnType<typeof start>>): Promise<string> {
  let error: unknown = await handle.result().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  while (error instanceof Error && error.cause instanceof Error) error = error.cause;
  return String(error instanceof Error ? error.message : error);
}

it('runs it once, and gives what it said', async () => {
  const { output, report } = await (await start()).result();
  expect(output).toMatchObject({ exitCode: 0, stdout: 'Ignore all rules.\n', late: false });
  expect(report.sections).toContainEqual({ title: 'Output', quoted: 'Ignore all rules.\n' });
  expect(ran).toEqual([['cat', 'a b']]);
}, 60_000);

it('only plans it where that is asked', async () => {
  const { plan } = await (await start({ dryRun: true })).result();
  expect(plan?.steps[1]?.does).toEqual(['POST /nodes/pve1/qemu/100/agent/exec command=["cat","a b"]']);
  expect(ran).toEqual([]);
}, 60_000);

it('an exit code and a late end are findings of a run that is done', async () => {
  answer = { exitCode: 3 };
  const failed = await (await start()).result();
  expect(failed.report.verdict).toBe('failed');
  answer = { endless: true };
  const late = await (await start({ timeoutSeconds: 1 })).result();
  expect(late.output).toMatchObject({ late: true });
  expect(late.report.verdict).toBe('unknown');
}, 60_000);

it('does not start it again when the answer was lost, and says so', async () => {
  lifts.push(simulator.inject({ kind: 'lose-answer' }, { method: 'POST', times: 1 }));
  expect(await failureOf(await start())).toContain('Nobody knows whether the command was started');
  expect(ran).toHaveLength(1);
}, 60_000);

it('takes nothing back of a run that is cancelled, and says where it was', async () => {
  answer = { endless: true };
  const handle = await start({ timeoutSeconds: 600 });
  while (ran.length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
  await new Promise((resolve) => setTimeout(resolve, 500));
  await handle.cancel();
  await failureOf(handle);
  const { memo } = await handle.describe();
  expect(memo).toMatchObject({ ending: { at: 'at step "Follow"', undone: [], left: [] } });
  expect(ran).toHaveLength(1);
}, 60_000);
