import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { crashFaults } from '../support/crash-faults.ts';
import { recordOutcome } from '../support/crash-matrix.ts';
import { sample } from '../support/exhaustive.ts';
import { apiEntry } from '../support/hosts.ts';
import { startService, type TestService } from '../support/service.ts';

/*
 * A backup of the service that is hit while it is packed: it ends with one whole archive, or, where it was
 * cancelled, without one; nothing half-done is left.
 */
let simulator: ProxmoxSimulator;
let service: TestService;
const by = { kind: 'cli', name: 'test' } as const;
const activities = { Pack: 'packService' } as const;

beforeAll(async () => {
  simulator = await createProxmoxSimulator();
  service = await startService({ hosts: { pve1: apiEntry(simulator) } });
  await service.startWorker();
}, 600_000);
afterAll(async () => {
  await service?.stop();
  await simulator?.close();
}, 120_000);

const inFolder = () => {
  const folder = join(service.config.dataDir, 'backups');
  return existsSync(folder) ? readdirSync(folder) : [];
};

async function untilBegun(id: string, activity: string): Promise<void> {
  for (;;) {
    const { events } = await service.client.workflow.getHandle(id).fetchHistory();
    const types = (events ?? []).map((event) => event.activityTaskScheduledEventAttributes?.activityType?.name);
    if (types.includes(activity)) return;
    await sleep(10);
  }
}

// Cancelled without a worker it ends undone, but as one whose worker was lost, and not as cancelled.
const faults = crashFaults.filter(({ ssh, name }) => ssh === undefined && !name.endsWith('while there was no worker'));
const cases = (Object.keys(activities) as (keyof typeof activities)[]).flatMap((step) =>
  faults.map((fault) => ({ step, fault, name: `${step}: ${fault.name}` })),
);
it.each(sample(cases, 1))(
  '$name',
  async ({ step, fault: { name, hit, cancels } }) => {
    const before = inFolder();
    const { id } = await service.runs.start('back-up-service', {}, by);
    await untilBegun(id, activities[step]);
    await hit({ service, ids: [id] });
    const run = await service.runs.wait(id, { timeoutMs: 240_000 });
    const made = inFolder().filter((one) => !before.includes(one));
    const outcome = cancels ? 'undone' : 'done';
    expect(run, run.failure?.message).toMatchObject({ state: cancels ? 'cancelled' : 'done' });
    expect(made).toHaveLength(cancels ? 0 : 1);
    expect(inFolder().filter((one) => one.startsWith('.'))).toEqual([]);
    const effects = cancels ? 'no archive, and nothing half-done' : 'one archive, which was read back';
    recordOutcome({ operation: 'back-up-service', step, fault: name, outcome, effects });
  },
  300_000,
);
