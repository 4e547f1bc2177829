import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { createPeople, peopleFile } from '../../src/people/store.ts';
import { createLedgerClient } from '../../src/runs/ledger.ts';
import { crashFaults } from '../support/crash-faults.ts';
import { recordOutcome } from '../support/crash-matrix.ts';
import { sample } from '../support/exhaustive.ts';
import { apiEntry } from '../support/hosts.ts';
import { startService, type TestService } from '../support/service.ts';

/*
 * A policy that is approved, hit as it is written down: a write takes a few milliseconds, so that a fault may also come just
 * after it. Whenever it comes, the policy is written down once and counts.
 */
let simulator: ProxmoxSimulator;
let service: TestService;
const by = { kind: 'cli', name: 'test' } as const;

beforeAll(async () => {
  simulator = await createProxmoxSimulator();
  service = await startService({ hosts: { pve1: apiEntry(simulator) } });
  const people = createPeople(peopleFile(service.config.dataDir), {
    cost: { memoryCost: 64, timeCost: 1, parallelism: 1 },
  });
  await people.add({ name: 'anna', role: 'administrator', password: 'violet tractor umbrella', first: true });
  await service.startWorker();
}, 600_000);
afterAll(async () => {
  await service?.stop();
  await simulator?.close();
}, 120_000);

/** Until Temporal has given the write to a worker, or is about to. */
async function untilWritten(id: string): Promise<void> {
  for (;;) {
    const { events } = await service.client.workflow.getHandle(id).fetchHistory();
    const types = (events ?? []).map((event) => event.activityTaskScheduledEventAttributes?.activityType?.name);
    if (types.includes('approvePolicy')) return;
    await sleep(10);
  }
}

let count = 100;
const faults = crashFaults.filter(({ ssh, cancels }) => ssh === undefined && cancels === undefined);
it.each(sample(faults, 1).map((fault) => [fault.name, fault] as const))(
  'a policy is written down once when %s',
  async (name, { hit }) => {
    count += 1;
    writeFileSync(join(service.folder, 'policy.yaml'), `protected: { guests: ${count} }\n`, { mode: 0o600 });
    const { id } = await service.runs.start('change-policy', {}, by);
    const asking = () => service.runs.get(id).then(({ progress }) => progress?.question);
    await expect.poll(asking, { timeout: 30_000 }).toBeDefined();
    const question = await asking();
    const answer = { choice: 'approve', question: question?.id ?? '', digest: question?.approval?.digest ?? '' };
    await service.runs.decide(id, answer, { kind: 'person', name: 'anna' });
    await untilWritten(id);
    await hit({ service, ids: [id] });
    const run = await service.runs.wait(id, { timeoutMs: 240_000 });
    expect(run, run.failure?.message).toMatchObject({ state: 'done' });
    const { records } = await createLedgerClient(service.client).search({ run: id, kind: 'policy', limit: 10 }, 'UTC');
    expect(records).toHaveLength(1);
    expect(records[0]?.data).toMatchObject({ document: { protected: { guests: count } } });
    const effects = 'the policy counts; it was written down once';
    recordOutcome({ operation: 'change-policy', step: 'Write down', fault: name, outcome: 'done', effects });
  },
  300_000,
);
