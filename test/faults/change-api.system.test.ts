import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { createPeople, peopleFile } from '../../src/people/store.ts';
import type { RunDetails } from '../../src/runs/runs.ts';
import { crashFaults } from '../support/crash-faults.ts';
import { recordOutcome } from '../support/crash-matrix.ts';
import { sample } from '../support/exhaustive.ts';
import { apiEntry } from '../support/hosts.ts';
import { startService, type TestService } from '../support/service.ts';

// The service in processes of its own, and a node of a simulated API whose guests are changed by calls that have no
// operation of their own: what is held in Look and in Verify only sets something, what is held in Call has a task.
const by = { kind: 'cli', name: 'test' } as const;
type Step = 'Look' | 'Call' | 'Verify';
/**
 * How long the task of the run that is hit while it is followed goes on. One that a cancellation is to find at work outlasts what
 * comes before it: up to a minute, until it is noticed that a worker is gone, and another one's start. It is ended then.
 */
const taskMs = { done: 25_000, undone: 240_000 };
/** Changed by the run that is hit in this step. */
const guests: Readonly<Record<Step, number>> = { Look: 201, Call: 202, Verify: 203 };

let simulator: ProxmoxSimulator;
let service: TestService;
/** Lets go on what is held. */
let letGo: () => void = () => undefined;
const lifts: (() => void)[] = [];

beforeAll(async () => {
  simulator = await createProxmoxSimulator();
  service = await startService({ hosts: { pve1: apiEntry(simulator) }, env: { ENABLE_DANGEROUS_COMMANDS: 'true' } });
  await service.startWorker();
  await letItAct();
}, 600_000);
afterAll(async () => {
  await service?.stop();
  await simulator?.close();
}, 120_000);

/** What is dangerous waits for no approval here: a person has approved a policy that says so. */
async function letItAct(): Promise<void> {
  const people = createPeople(peopleFile(service.config.dataDir), {
    cost: { memoryCost: 64, timeCost: 1, parallelism: 1 },
  });
  await people.add({ name: 'anna', role: 'administrator', password: 'violet tractor umbrella', first: true });
  const policy = 'rules:\n  - who: everybody\n    may: yes\n    risks: [change, dangerous]\n';
  writeFileSync(join(service.folder, 'policy.yaml'), policy, { mode: 0o600 });
  const { id } = await service.runs.start('change-policy', {}, by);
  const asked = await vi.waitFor(async () => {
    const { progress } = await service.runs.get(id);
    expect(progress?.question?.approval).toBeDefined();
    return progress?.question;
  }, 60_000);
  const digest = asked?.approval?.digest ?? '';
  const answer = { choice: 'approve', question: asked?.id ?? '', digest };
  await service.runs.decide(id, answer, { kind: 'person', name: 'anna' });
  expect(await service.runs.wait(id, { timeoutMs: 60_000 })).toMatchObject({ state: 'done' });
}

/** New guests without a description or a snapshot, and no task of theirs. */
beforeEach(() => {
  letGo();
  for (const lift of lifts.splice(0)) lift();
  simulator.state.tasks.clear();
  const like = simulator.state.guests.get(100);
  if (like === undefined) throw new Error('there is no guest to copy');
  for (const [step, vmid] of Object.entries(guests)) {
    simulator.state.guests.set(vmid, structuredClone({ ...like, vmid, name: step.toLowerCase(), node: 'pve1' }));
  }
});

const requestsOf = (step: Step, method: string) =>
  simulator.requests.filter((one) => one.method === method && one.url.includes(`/qemu/${guests[step]}/`)).length;
const tasksOf = (step: Step) =>
  [...simulator.state.tasks.values()].filter(({ id }) => id === String(guests[step])).map(({ type }) => type);

const guestOf = (step: Step) => simulator.state.guests.get(guests[step]);
const isSet = (step: Step) => JSON.stringify(guestOf(step)?.config ?? {}).includes('held in');
const hasSnapshot = () => (guestOf('Call')?.snapshots ?? []).some(({ name }) => name === 'held');

type Held = readonly { readonly step: Step; readonly id: string }[];

/** Starts a run for each step, and waits until each is in its own, where it stays until {@link letGo} or for its task. */
async function startHeld(ms = taskMs.done): Promise<Held> {
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const puts = requestsOf('Verify', 'PUT');
  const isHeld = {
    test: (url: string) =>
      url.includes(`/qemu/${guests.Look}/config`) ||
      // The look before the call goes through, and the one after it not.
      (url.includes(`/qemu/${guests.Verify}/config`) && requestsOf('Verify', 'PUT') > puts),
  };
  lifts.push(simulator.inject({ kind: 'held', until: gate }, { path: isHeld, method: 'GET' }));
  lifts.push(simulator.inject({ kind: 'task-slow', delayMs: ms }, { task: 'qmsnapshot', vmid: guests.Call }));
  const start = async (step: Step) => {
    const path = `/nodes/pve1/qemu/${guests[step]}`;
    const call =
      step === 'Call'
        ? { method: 'POST', path: `${path}/snapshot`, parameters: { snapname: 'held' } }
        : { method: 'PUT', path: `${path}/config`, parameters: { description: `held in ${step}` } };
    return { step, id: (await service.runs.start('change-api', { host: 'pve1', vmid: guests[step], ...call }, by)).id };
  };
  const isIn = ({ step, id }: Held[number]) =>
    expect
      .poll(async () => (await service.runs.get(id)).progress?.steps.find(({ title }) => title === step)?.state, {
        timeout: 60_000,
        interval: 50,
        message: `${step} of ${id}`,
      })
      .toBe('running');
  const [look, verify] = await Promise.all([start('Look'), start('Verify')]);
  await Promise.all([look, verify].map(isIn));
  // The last, as its task ends by itself.
  const call = await start('Call');
  await expect.poll(() => tasksOf('Call'), { timeout: 60_000, interval: 20, message: 'Call' }).not.toEqual([]);
  return [look, call, verify];
}

/** Where each is when it doesn't go on by itself any more: one that asks a person has not ended. */
const ends = (held: Held): Promise<RunDetails[]> =>
  Promise.all(
    held.map(async ({ id }) => {
      const state = async () => (await service.runs.get(id)).state;
      await expect.poll(state, { timeout: 240_000, interval: 500, message: id }).not.toBe('running');
      return await service.runs.get(id);
    }),
  );

/** Each run is done, by one call. */
async function expectDone(fault: string, held: Held): Promise<void> {
  for (const [index, run] of (await ends(held)).entries()) {
    const { step } = held[index] as Held[number];
    expect(run, `${step}: ${run.failure?.message ?? run.progress?.message}`).toMatchObject({ state: 'done' });
    if (step === 'Call') {
      expect(tasksOf(step)).toEqual(['qmsnapshot']);
      expect(hasSnapshot()).toBe(true);
    } else expect(isSet(step), step).toBe(true);
    const effects = step === 'Call' ? 'one task; the snapshot is there' : 'one call; it is set';
    recordOutcome({ operation: 'change-api', step, fault, outcome: 'done', effects });
  }
}

/** Each run was cancelled, and all is as before. */
async function expectUndone(fault: string, held: Held): Promise<void> {
  for (const [index, run] of (await ends(held)).entries()) {
    const { step } = held[index] as Held[number];
    expect(run, `${step}: ${run.failure?.message ?? run.progress?.message}`).toMatchObject({ state: 'cancelled' });
    expect([...simulator.state.tasks.values()].filter(({ endtime }) => endtime === undefined)).toEqual([]);
    if (step === 'Call') expect(hasSnapshot()).toBe(false);
    else expect(isSet(step), step).toBe(false);
    const effects = {
      Look: 'nothing was sent',
      Call: 'its task has ended; there is no snapshot',
      Verify: 'the former setting was put back',
    }[step];
    recordOutcome({ operation: 'change-api', step, fault, outcome: 'undone', effects });
  }
}

const faults: readonly { readonly name: string; hit(fault: string): Promise<void> }[] = [
  ...crashFaults
    .filter(({ ssh }) => ssh === undefined)
    .map(({ name, cancels, hit }) => ({
      name,
      async hit(fault: string) {
        const held = await startHeld(cancels ? taskMs.undone : taskMs.done);
        await hit({ service, ids: held.map(({ id }) => id) });
        letGo();
        await (cancels ? expectUndone : expectDone)(fault, held);
      },
    })),
  {
    name: 'the Proxmox API was away for some seconds',
    async hit(fault) {
      const held = await startHeld();
      await simulator.stopListening();
      await sleep(4_000);
      await simulator.startListening();
      letGo();
      await expectDone(fault, held);
    },
  },
  {
    // The worker is gone with the connection, before Proxmox has done anything: a run can't tell.
    name: 'the worker was killed before Proxmox had done the call',
    async hit(fault) {
      async function startAndKill(vmid: number, call: { method: string; path: string; parameters: object }) {
        const { method } = call;
        const seen = simulator.requests.length;
        const sent = () => simulator.requests.slice(seen).filter((one) => one.method === method).length;
        lifts.push(simulator.inject({ kind: 'hang' }, { method, times: 1 }));
        const path = `/nodes/pve1/qemu/${vmid}/${call.path}`;
        const { id } = await service.runs.start('change-api', { host: 'pve1', vmid, ...call, path }, by);
        await expect.poll(sent, { timeout: 60_000, interval: 20 }).toBe(1);
        await service.killWorker('SIGKILL');
        await service.startWorker();
        return id;
      }
      // It only says how something is to be, so that it is said again.
      const set = { method: 'PUT', path: 'config', parameters: { description: 'held in Call' } };
      const setting = await service.runs.wait(await startAndKill(guests.Verify, set), { timeoutMs: 240_000 });
      expect(setting, setting.failure?.message).toMatchObject({ state: 'done' });
      expect(isSet('Verify')).toBe(true);

      const snapshot = { method: 'POST', path: 'snapshot', parameters: { snapname: 'held' } };
      const id = await startAndKill(guests.Call, snapshot);
      const asks = async () => (await service.runs.get(id)).progress?.question;
      const state = async () => (await service.runs.get(id)).state;
      await expect.poll(state, { timeout: 240_000, interval: 500 }).not.toBe('running');
      expect(await asks()).toBeDefined();
      expect(tasksOf('Call')).toEqual([]);
      const effects = 'nothing was done; a person is asked whether the call is made again';
      recordOutcome({ operation: 'change-api', step: 'Call', fault, outcome: 'paused', effects });
      await service.runs.decide(id, { choice: 'again', question: (await asks())?.id ?? '' }, by);
      expect(await service.runs.wait(id, { timeoutMs: 120_000 })).toMatchObject({ state: 'done' });
      expect(tasksOf('Call')).toEqual(['qmsnapshot']);
    },
  },
];

describe('a call in the middle of each of its steps ends as docs/crash-matrix.md says when', () => {
  // By name first: vitest shortens what it takes from an object.
  const cases = sample(faults, 3).map(({ name, hit }) => [name, hit] as const);
  it.each(cases)('%s', (name, hit) => hit(name), 500_000);
});
