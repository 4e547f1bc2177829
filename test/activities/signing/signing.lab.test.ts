import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import { defaultLayout as layout } from '../../../src/hosts/helper/default-layout.ts';
import { generateHelper } from '../../../src/hosts/helper/generate-helper.ts';
import type { Answer } from '../../../src/operations/run.ts';
import { createPeople, peopleFile } from '../../../src/people/store.ts';
import type { RunDetails } from '../../../src/runs/runs.ts';
import { type Key, listLine, newKey, sign } from '../../hosts/helper/signing.ts';
import { sshEntry } from '../../support/hosts.ts';
import { startService, type TestService } from '../../support/service.ts';

/*
 * An approval that is signed, the whole way: the policy wants it, an administrator signs what the run published, and the
 * host, whose root wants that command signed, executes it. The service's own word isn't enough there.
 */
let lab: LabHost;
let service: TestService;
let anna: Key;
let eve: Key;
const by = { kind: 'cli', name: 'test' } as const;

beforeAll(async () => {
  lab = await startLabHost({});
  await lab.writeFile(layout.helper, generateHelper(layout), { mode: 0o755 });
  await lab.writeFile(layout.sudoersFile, `claude-user ALL=(root) NOPASSWD: ${layout.helper}\n`, { mode: 0o440 });
  await lab.writeFile('/etc/systemd/system/pmx-signed.service', '[Service]\nExecStart=/bin/sleep infinity\n');
  await sh(`systemctl daemon-reload; mkdir -p -m 700 ${layout.state}; echo pmx-signed >${layout.state}/units`);
  [anna, eve] = [newKey(lab.folder, 'anna'), newKey(lab.folder, 'eve')];
  await lab.writeFile(`${layout.state}/administrators`, listLine('anna', anna), { mode: 0o600 });
  await lab.writeFile(`${layout.state}/signed-commands`, 'change-unit\n', { mode: 0o600 });
  service = await startService({ hosts: { pve1: sshEntry(lab) } });
  const people = createPeople(peopleFile(service.config.dataDir), {
    cost: { memoryCost: 64, timeCost: 1, parallelism: 1 },
  });
  await people.add({ name: 'anna', role: 'administrator', password: 'violet tractor umbrella', first: true });
  await service.startWorker();
}, startTimeoutMs);
afterAll(async () => {
  await service?.stop();
  await lab?.stop();
}, 120_000);
beforeEach(async () => {
  wants('approvals:\n  - { operations: control-service, signed: true }\n');
  await sh('systemctl stop pmx-signed');
});

const sh = (script: string) => lab.must(['sh', '-euc', script]);
const isActive = async () => (await sh('systemctl is-active pmx-signed || :')).trim() === 'active';
const wants = (policy: string) => writeFileSync(join(service.folder, 'policy.yaml'), policy, { mode: 0o600 });
const end = (id: string) => service.runs.wait(id, { timeoutMs: 60_000 });

async function start(): Promise<string> {
  const input = { host: 'pve1', unit: 'pmx-signed', action: 'start' };
  return (await service.runs.start('control-service', input, by)).id;
}

async function asked(id: string, before?: RunDetails): Promise<RunDetails> {
  return vi.waitFor(async () => {
    const run = await service.runs.get(id);
    if (run.closedAt !== undefined) throw new Error(run.failure?.message);
    expect(run.progress?.question?.approval?.toSign).toHaveLength(1);
    expect(run.progress?.question?.id).not.toBe(before?.progress?.question?.id);
    return run;
  }, 20_000);
}

function textOf(run: RunDetails): string {
  return run.progress?.question?.approval?.toSign?.[0]?.text ?? '';
}

function approve(run: RunDetails, more: Partial<Answer> = {}) {
  const { question } = run.progress ?? {};
  const answer = { question: question?.id ?? '', digest: question?.approval?.digest ?? '', choice: 'approve', ...more };
  return service.runs.decide(run.id, answer, { kind: 'person', name: 'anna' });
}

it('what an administrator signed is executed, and nothing without a signature', async () => {
  const run = await asked(await start());
  expect(textOf(run)).toMatch(/^proxmox-mcp plan 1\nhost: /);
  expect(textOf(run)).toContain(`\nrun: ${run.id}\ndigest: ${run.progress?.plan?.digest}\n`);
  expect(textOf(run)).toMatch(/\ncall: change-unit start pmx-signed\n$/);
  await expect(approve(run)).rejects.toThrow(/has to be signed/);
  await approve(run, { signatures: [{ host: 'pve1', signature: sign(anna, textOf(run)) }] });
  const done = await end(run.id);
  expect(done, done.failure?.message).toMatchObject({ state: 'done' });
  expect(await isActive()).toBe(true);
});

it.each([
  ['of a key that the host does not know', (run: RunDetails) => sign(eve, textOf(run))],
  ['of another text', () => sign(anna, 'proxmox-mcp plan 1\n')],
  ['for something else', (run: RunDetails) => sign(anna, textOf(run), 'file')],
])('a signature %s is refused by the host, nothing is done, and it is asked again', async (_, made) => {
  const run = await asked(await start());
  await approve(run, { signatures: [{ host: 'pve1', signature: made(run) }] });
  const again = await asked(run.id, run);
  expect(again.progress?.question?.text).toMatch(/approved, but pve1 does not take its signature/);
  expect(await isActive()).toBe(false);
  await service.runs.cancel(run.id, 'test', by);
  await end(run.id);
});

it('a service that asks for no signature gets nothing done that root wants signed', async () => {
  wants('{}\n');
  const { failure } = await end(await start());
  expect(failure).toMatchObject({ code: 'not-signed' });
  expect(await isActive()).toBe(false);
});
