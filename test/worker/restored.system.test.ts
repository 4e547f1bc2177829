import { cpSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { createPeople, peopleFile } from '../../src/people/store.ts';
import { readRestoredMark, restoredMarkPath } from '../../src/restored-mark.ts';
import { goOnAfterRestore, readOpenThen } from '../../src/runs/go-on.ts';
import { createLedgerClient } from '../../src/runs/ledger.ts';
import { createChangeSwitch } from '../../src/runs/switch.ts';
import { apiEntry } from '../support/hosts.ts';
import { startService, type TestService } from '../support/service.ts';

/*
 * A service whose Temporal database, or whose ledger, is put back to what it was: by somebody who wrote the file that says so,
 * and by somebody who didn't. In both a run waited for an approval, which was given and used after the backup.
 */
let simulator: ProxmoxSimulator;
let service: TestService;
const by = { kind: 'cli', name: 'test' } as const;
const anna = { kind: 'person', name: 'anna' } as const;
const dataDir = () => service.config.dataDir;
const at = (name: string) => join(dataDir(), name);

beforeAll(async () => {
  simulator = await createProxmoxSimulator();
  service = await startService({ hosts: { pve1: apiEntry(simulator) } });
  const people = createPeople(peopleFile(dataDir()), { cost: { memoryCost: 64, timeCost: 1, parallelism: 1 } });
  await people.add({ name: 'anna', role: 'administrator', password: 'violet tractor umbrella', first: true });
  await service.startWorker();
}, 600_000);
afterAll(async () => {
  await service?.stop();
  await simulator?.close();
}, 120_000);

let count = 100;
/** A run that waits for anna. */
async function asking(): Promise<string> {
  count += 1;
  writeFileSync(join(service.folder, 'policy.yaml'), `protected: { guests: ${count} }\n`, { mode: 0o600 });
  const { id } = await service.runs.start('change-policy', {}, by);
  await expect
    .poll(() => service.runs.get(id).then(({ progress }) => progress?.question), { timeout: 30_000 })
    .toBeDefined();
  return id;
}

async function approve(id: string): Promise<void> {
  // A worker that has just begun reads the run's history first.
  const asked = () => service.runs.get(id).then(({ progress }) => progress?.question);
  await expect.poll(() => asked().then((one) => one?.approval?.digest), { timeout: 30_000 }).toBeDefined();
  const { id: question = '', approval } = (await asked()) ?? {};
  await service.runs.decide(id, { choice: 'approve', question, digest: approval?.digest ?? '' }, anna);
  expect(await service.runs.wait(id, { timeoutMs: 60_000 })).toMatchObject({ state: 'done' });
}

const goOn = (goOnWithinMs = 30_000) =>
  goOnAfterRestore({ client: service.client, config: service.config, by: 'person:anna', say: () => {}, goOnWithinMs });
const switched = () => createChangeSwitch(service.client).get();
const ledgerOf = (kind: 'restore' | 'switch' | 'spend') =>
  createLedgerClient(service.client)
    .search({ kind, limit: 20 }, 'UTC')
    .then(({ records }) => records);
/** What the newest worker has said last; Temporal itself knows of who has ended for a while. */
const works = () => {
  const log = service.log('worker');
  return (
    log.lastIndexOf('worker is ready') >
    Math.max(log.lastIndexOf('Nothing is executed'), log.lastIndexOf('written down'))
  );
};

/** What of Temporal's files there is, under another name. */
const copyTemporal = (from: string, to: string) => {
  for (const end of ['', '-wal', '-shm']) {
    rmSync(at(`${to}${end}`), { force: true });
    if (existsSync(at(`${from}${end}`))) cpSync(at(`${from}${end}`), at(`${to}${end}`));
  }
};

async function allow(): Promise<void> {
  const { number } = await switched();
  const again = { number, by: anna, role: 'administrator', why: 'looked at it' } as const;
  await expect
    .poll(
      () =>
        createChangeSwitch(service.client)
          .allow(again)
          .then(({ on }) => on),
      { timeout: 30_000 },
    )
    .toBe(false);
}

it('a Temporal database that goes back by itself is found: nothing is executed until an administrator says so', async () => {
  const id = await asking();
  await service.killWorker('SIGTERM');
  await service.withoutTemporal(() => copyTemporal('temporal.sqlite', 'backup.sqlite'));
  await service.startWorker();
  await approve(id);
  const spent = (await ledgerOf('spend')).length;
  await service.killWorker();
  await service.withoutTemporal(() => copyTemporal('backup.sqlite', 'temporal.sqlite'));

  // The old run waits again for the approval that was used.
  expect(await service.runs.get(id)).toMatchObject({ state: 'paused' });
  await service.startWorker('worker', { says: /Temporal's database is older than the ledger knows it/ });
  expect(existsSync(restoredMarkPath(dataDir()))).toBe(false);
  const open = await readOpenThen(service.client, service.config);
  expect(open.runs).toMatchObject([{ id, operation: 'change-policy', question: { choices: expect.anything() } }]);
  expect(open.schedules.map((one) => one.id)).toContain('check-health/daily/pve1');

  // And everybody who asks is told.
  await service.startMcp();
  const health = await fetch(`${service.mcpUrl}/health`);
  expect([health.status, await health.json()]).toMatchObject([
    503,
    { findings: [{ check: 'Restored', verdict: 'failed' }] },
  ]);
  const said = await service.cli('call', 'list_guests').catch((error: { stdout: string }) => error);
  expect(JSON.stringify(said)).toMatch(/restored --go-on/);
  const listed = await service.cli('restored');
  expect(listed.stdout).toContain(`${id}: change-policy on service`);
  expect(listed.stdout).toMatch(/Approvals and answers that are void: those of change-policy/);
  expect((await service.cli('status').catch((error: { stdout: string }) => error)).stdout).toMatch(
    /Temporal's database is older/,
  );
  // Only a person who signs in goes on, and here is no terminal.
  await expect(service.cli('restored', '--go-on', '--yes')).rejects.toMatchObject({
    stderr: expect.stringMatching(/an administrator has to sign in|there is no terminal here/),
  });

  expect(await goOn()).toEqual({ ended: expect.any(Number) });
  expect(existsSync(restoredMarkPath(dataDir()))).toBe(false);
  await expect.poll(works, { timeout: 60_000 }).toBe(true);
  expect(await service.runs.get(id)).toMatchObject({ state: 'terminated' });
  expect(await switched()).toMatchObject({ on: true, by: { kind: 'person', name: 'anna' } });
  const [record] = await ledgerOf('restore');
  expect(record).toMatchObject({ by: 'person:anna', data: { parts: ['temporal'] } });
  expect(record?.text).toMatch(/let the service go on: temporal's database is older/);
  // Nothing of the ledger is lost, and nothing was used again.
  expect(record?.data?.lost).toBeUndefined();
  expect(await ledgerOf('spend')).toHaveLength(spent);
  expect(await ledgerOf('switch')).toMatchObject([{ data: { on: true } }]);
  await expect
    .poll(() => fetch(`${service.mcpUrl}/health`).then(({ status }) => status), { timeout: 30_000 })
    .toBe(200);
}, 300_000);

it('a ledger that goes back is found, too, and has a new segment behind what it lost', async () => {
  await allow();
  const id = await asking();
  await service.killWorker('SIGTERM');
  cpSync(at('ledger'), at('ledger-backup'), { recursive: true });
  await service.startWorker();
  await approve(id);
  await service.killWorker('SIGTERM');
  await service.startWorker();
  await service.killWorker('SIGTERM');
  rmSync(at('ledger'), { recursive: true });
  cpSync(at('ledger-backup'), at('ledger'), { recursive: true });
  const other = await service.runs.start('change-policy', { dryRun: true }, by);

  await service.startWorker('worker', { says: /The ledger is older than Temporal knows it/ });
  expect(works()).toBe(false);
  await goOn();
  await expect.poll(works, { timeout: 60_000 }).toBe(true);
  expect(await service.runs.get(other.id)).toMatchObject({ state: 'terminated' });
  const [record] = await ledgerOf('restore');
  expect(record).toMatchObject({
    data: { parts: ['ledger'], newest: { from: 'Temporal' }, lost: { from: expect.any(Number) } },
  });
  expect(record?.text).toMatch(/Records \d+ to \d+ are lost/);
  expect(readdirSync(at('ledger')).filter((name) => name.endsWith('.sqlite'))).toHaveLength(2);
  const verified = await createLedgerClient(service.client).verify([]);
  expect(verified).toMatchObject({ verdict: 'intact', lost: [{ seq: record?.seq }] });
  // The switch has a number that the lost records can't have had twice in this ledger.
  expect((await ledgerOf('switch'))[0]).toMatchObject({ data: { on: true } });
}, 300_000);

it('the file stops a worker that works, may say nothing at all, and a decision that is cut off is carried out once', async () => {
  await allow();
  const id = await asking();
  writeFileSync(restoredMarkPath(dataDir()), '');
  await expect.poll(() => service.log('worker'), { timeout: 30_000 }).toMatch(/This worker ends\. An older state/);
  await service.killWorker('SIGTERM');
  // Nobody who could write it down: the mark stays, with the decision.
  await expect(goOn(500)).rejects.toMatchObject({ code: 'unavailable' });
  const { decision } = readRestoredMark(dataDir()) ?? {};
  expect(decision).toMatchObject({ by: 'person:anna' });
  expect(await service.runs.get(id)).toMatchObject({ state: 'terminated' });
  await service.startWorker('worker', { says: /What was restored is written down/ });
  await service.killWorker();
  await service.startWorker('worker', { says: /What was restored is written down/ });
  expect(works()).toBe(false);
  await goOn();
  await expect.poll(works, { timeout: 60_000 }).toBe(true);
  const records = await ledgerOf('restore');
  expect(records.filter(({ key }) => key === `restore/${decision?.id}`)).toHaveLength(1);
  expect((await createLedgerClient(service.client).verify([])).verdict).toBe('intact');
  await expect(goOn()).rejects.toMatchObject({ code: 'not-found' });
}, 300_000);
