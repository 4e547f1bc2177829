import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import type { Requester } from '../../src/operations/run.ts';
import { createPeople, type People, peopleFile } from '../../src/people/store.ts';
import { createLedgerClient } from '../../src/runs/ledger.ts';
import type { RunDetails } from '../../src/runs/runs.ts';
import { createChangeSwitch } from '../../src/runs/switch.ts';
import { apiEntry } from '../support/hosts.ts';
import { startService, type TestService } from '../support/service.ts';

/*
 * Policy, people, ledger and kill switch together, as the service runs them: the worker is the real one, the guest is a
 * simulated Proxmox VE's, and pulling its plug is dangerous.
 */
let simulator: ProxmoxSimulator;
let service: TestService;
let people: People;
const agent: Requester = { kind: 'mcp', name: 'claude', for: 'anna' };
const person = (name: string): Requester => ({ kind: 'person', name });

beforeAll(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1, unreachableDelayMs: 1 });
  simulator.state.pace.secondMs = 20;
  service = await startService({ hosts: { pve1: apiEntry(simulator) } });
  await service.startWorker();
  people = createPeople(peopleFile(service.config.dataDir), { cost: { memoryCost: 64, timeCost: 1, parallelism: 1 } });
}, 600_000);
afterAll(async () => {
  await service?.stop();
  await simulator?.close();
}, 60_000);

beforeEach(() => {
  rmSync(join(service.folder, 'policy.yaml'), { force: true });
  const guest = simulator.state.guests.get(100);
  if (guest) guest.status = 'running';
});

const stopGuest = (by = agent) => start('control-guest', { host: 'pve1', vmid: 100, action: 'stop' }, by);
const policy = (text: string) => writeFileSync(join(service.folder, 'policy.yaml'), text, { mode: 0o600 });
const isRunning = () => simulator.state.guests.get(100)?.status === 'running';
const end = (id: string) => service.runs.wait(id, { timeoutMs: 60_000 });

async function start(operation: string, input: Record<string, unknown>, by = agent): Promise<string> {
  return (await service.runs.start(operation, input, by)).id;
}

async function asked(id: string): Promise<RunDetails> {
  return vi.waitFor(async () => {
    const run = await service.runs.get(id);
    if (run.closedAt !== undefined) throw new Error(`it has ended: ${run.failure?.message}`);
    expect(run.progress?.question?.approval).toBeDefined();
    return run;
  }, 20_000);
}

function answer(run: RunDetails, by: Requester, choice = 'approve') {
  const { question } = run.progress ?? {};
  const digest = question?.approval?.digest;
  return service.runs.decide(
    run.id,
    { choice, ...(question && { question: question.id }), ...(digest && { digest }) },
    by,
  );
}

describe('who decides', () => {
  it('is nobody where there is nobody: it is refused at once, and says how to add somebody', async () => {
    const { failure } = await end(await stopGuest({ kind: 'mcp', name: 'claude' }));
    expect(failure).toMatchObject({ code: 'forbidden' });
    expect(failure?.message).toContain('npx proxmox-mcp people add NAME --role administrator');
    expect(isRunning()).toBe(true);
    await people.add({ name: 'anna', role: 'administrator', password: 'violet tractor umbrella', first: true });
  });

  it('is the one administrator, of what their own agent asked, and never the agent', async () => {
    const run = await asked(await stopGuest());
    expect(run.progress?.question?.approval).toMatchObject({ approvers: ['anna'], count: 1 });
    for (const by of [agent, { kind: 'cli', name: 'root' } as const]) {
      await expect(answer(run, by)).rejects.toMatchObject({ code: 'forbidden' });
    }
    expect(isRunning()).toBe(true);
    await answer(run, person('anna'));
    expect(await end(run.id)).toMatchObject({ state: 'done' });
    expect(isRunning()).toBe(false);
    const ledger = createLedgerClient(service.client);
    const { records } = await ledger.search({ run: run.id, limit: 50 }, 'UTC');
    const kinds = records.map(({ kind }) => kind).reverse();
    expect(kinds.filter((kind) => kind !== 'step')).toEqual(['request', 'plan', 'decision', 'spend', 'outcome']);
    expect(await ledger.verify([])).toMatchObject({ verdict: 'intact' });
  });

  it('is never who asked: a person alone gets no approval of their own request', async () => {
    const { failure } = await end(await stopGuest(person('anna')));
    expect(failure?.message).toMatch(/needs the approval of an administrator, and there is nobody who may; who asked/);
    await people.add({ name: 'bert', role: 'administrator', password: 'violet tractor umbrella', first: false });
    const run = await asked(await stopGuest(person('anna')));
    await expect(answer(run, person('anna'))).rejects.toThrow(/anna is none of those who may answer this: bert/);
    await answer(run, person('bert'), 'refuse');
    expect(await end(run.id)).toMatchObject({ state: 'failed', failure: { code: 'not-approved' } });
    expect(isRunning()).toBe(true);
  });

  it('counts no more once they are gone, though they said yes', async () => {
    await people.add({ name: 'carl', role: 'administrator', password: 'violet tractor umbrella', first: false });
    policy('approvals:\n  - count: 2\n');
    const run = await asked(await stopGuest());
    // Two are needed, so the owner of the agent counts as who asked.
    expect(run.progress?.question?.approval?.approvers).toEqual(['bert', 'carl']);
    await answer(run, person('carl'));
    await people.remove('carl');
    await people.add({ name: 'dora', role: 'administrator', password: 'violet tractor umbrella', first: false });
    await answer(run, person('bert'));
    const again = await vi.waitFor(async () => {
      const now = await asked(run.id);
      expect(now.progress?.question?.id).not.toBe(run.progress?.question?.id);
      return now;
    }, 20_000);
    expect(again.progress?.question?.text).toContain('approved by somebody who may not do that any more');
    expect(isRunning()).toBe(true);
    await service.runs.cancel(run.id, 'test', person('bert'));
    await end(run.id);
    await people.remove('dora');
  });
});

const loose = 'rules:\n  - who: everybody\n    may: yes\n    risks: [change, dangerous]\n';

describe('the policy', () => {
  it('that is loosened by hand has no effect until it is approved, and then it has', async () => {
    policy(loose);
    const before = await asked(await stopGuest());
    await service.runs.cancel(before.id, 'test', agent);
    await end(before.id);
    const run = await asked(await start('change-policy', {}));
    expect(run.progress?.plan?.risks.join(' ')).toContain('Looser:');
    await expect(answer(run, agent)).rejects.toMatchObject({ code: 'forbidden' });
    await answer(run, person('bert'));
    expect(await end(run.id)).toMatchObject({ state: 'done' });
    expect(await end(await stopGuest())).toMatchObject({ state: 'done' });
    expect(isRunning()).toBe(false);
  });

  it('that was changed after it was approved is asked about again', async () => {
    policy(loose.replace('everybody', 'agents'));
    const run = await asked(await start('change-policy', {}));
    policy(`${loose}    why: because I can\n`);
    await answer(run, person('bert'));
    const again = await vi.waitFor(async () => {
      const now = await asked(run.id);
      expect(now.progress?.question?.id).not.toBe(run.progress?.question?.id);
      return now;
    }, 20_000);
    expect(again.progress?.question?.text).toContain('policy.yaml: was');
    await answer(again, person('bert'), 'refuse');
    await end(run.id);
  });

  it.each([
    ['protected: { guests: 100 }\n', /VM 100|pve1\/100.* is protected/],
    ['rules:\n  - { who: agents, may: no, risks: dangerous }\n', /may not do control-guest/],
    [
      'windows:\n  - { days: mon, from: "03:00", to: "03:01", operations: control-guest }\n',
      /change windows, and none is open/,
    ],
    ['rules: nonsense\n', /policy.yaml has a problem/],
  ])('that is tightened by hand counts at once: %s', async (text, why) => {
    policy(text);
    const { failure } = await end(await stopGuest());
    expect(failure).toMatchObject({ code: 'forbidden', message: expect.stringMatching(why) });
    expect(isRunning()).toBe(true);
  });
});

it('the kill switch stops everything, also for a worker that starts with it, until an administrator lifts it', async () => {
  const changes = createChangeSwitch(service.client);
  const waiting = await asked(await start('change-policy', {}));
  await changes.stop({ by: { kind: 'cli', name: 'test' }, why: 'something is wrong' });
  expect((await end(await stopGuest())).failure?.message).toMatch(
    /Nothing is changed now: test has stopped all changes/,
  );
  await service.killWorker();
  await service.startWorker();
  await answer(waiting, person('bert'));
  expect((await end(waiting.id)).failure?.message).toContain('has stopped all changes');
  const by = person('anna');
  const { number } = await changes.get();
  await expect(changes.allow({ number, by: agent, role: 'administrator', why: 'it is well' })).rejects.toMatchObject({
    code: 'forbidden',
  });
  await changes.allow({ number, by, role: 'administrator', why: 'it is well' });
  policy(loose);
  const run = await start('control-guest', { host: 'pve1', vmid: 100, action: 'stop' });
  expect(await end(run)).toMatchObject({ state: 'done' });
});
