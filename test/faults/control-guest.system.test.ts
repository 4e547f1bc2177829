import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import type { SimulatedGuest } from '../../lab/proxmox/state.ts';
import type { RunDetails } from '../../src/runs/runs.ts';
import { crashFaults } from '../support/crash-faults.ts';
import { recordOutcome } from '../support/crash-matrix.ts';
import { sample } from '../support/exhaustive.ts';
import { apiEntry } from '../support/hosts.ts';
import { startService, type TestService } from '../support/service.ts';

// The service in processes of its own, and a node of a simulated API that has guests to start.
const by = { kind: 'cli', name: 'test' } as const;
const steps = ['Look', 'Act', 'Verify'] as const;
type Step = (typeof steps)[number];
/** How long the task of the run that is hit while it acts goes on. */
const taskMs = 25_000;
/** Started by the run that is hit in this step. */
const guests: Readonly<Record<Step, number>> = { Look: 201, Act: 202, Verify: 203 };

let simulator: ProxmoxSimulator;
let service: TestService;
/** Lets the looks go on that are held. */
let letGo: () => void = () => undefined;
let lift: () => void = () => undefined;

beforeAll(async () => {
  simulator = await createProxmoxSimulator();
  service = await startService({ hosts: { pve1: apiEntry(simulator) } });
  await service.startWorker();
}, 600_000);
afterAll(async () => {
  await service?.stop();
  await simulator?.close();
}, 120_000);

/** New guests that are off, and no task of theirs. */
beforeEach(() => {
  letGo();
  lift();
  simulator.state.tasks.clear();
  for (const [step, vmid] of Object.entries(guests)) {
    simulator.state.guests.set(vmid, {
      vmid,
      type: step === 'Act' ? 'lxc' : 'qemu',
      name: step.toLowerCase(),
      node: 'pve1',
      status: 'stopped',
      cpus: 1,
      memory: 1,
      disk: 1,
      template: false,
      // So that the next look of the one that is hit there is that of Verify.
      ...(step === 'Look' ? {} : { behaviour: { startMs: step === 'Act' ? taskMs : 2_000 } }),
    });
  }
});

const guestOf = (step: Step) => simulator.state.guests.get(guests[step]) as SimulatedGuest;
const tasksOf = (step: Step) =>
  [...simulator.state.tasks.values()].filter(({ id }) => id === String(guests[step])).map(({ type }) => type);

type Held = readonly { readonly step: Step; readonly id: string }[];

/** Starts a run for each step, and waits until each is in its own, where it stays until {@link letGo} or for its task. */
async function startHeld(): Promise<Held> {
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const heldGuests = [guests.Look];
  const isHeld = { test: (url: string) => heldGuests.some((vmid) => url.includes(`/${vmid}/status/current`)) };
  lift = simulator.inject({ kind: 'held', until: gate }, { path: isHeld });
  const start = async (step: Step) => {
    const input = { host: 'pve1', vmid: guests[step], action: 'start' };
    return { step, id: (await service.runs.start('control-guest', input, by)).id };
  };
  const isIn = ({ step, id }: Held[number]) =>
    expect
      .poll(async () => (await service.runs.get(id)).progress?.steps.find(({ title }) => title === step)?.state, {
        timeout: 60_000,
        interval: 50,
        message: `${step} of ${id}`,
      })
      .toBe('running');
  const hasTask = (step: Step) =>
    expect.poll(() => tasksOf(step), { timeout: 60_000, interval: 20, message: step }).not.toEqual([]);
  const [look, verify] = await Promise.all([start('Look'), start('Verify')]);
  await hasTask('Verify');
  heldGuests.push(guests.Verify);
  await Promise.all([look, verify].map(isIn));
  // The last, as its task ends by itself.
  const act = await start('Act');
  await hasTask('Act');
  return [look, act, verify];
}

const ends = (held: Held): Promise<RunDetails[]> =>
  Promise.all(held.map(({ id }) => service.runs.wait(id, { timeoutMs: 240_000 })));

/** Each run is done, by one task, and its guest runs. */
async function expectDone(fault: string, held: Held): Promise<void> {
  for (const [index, run] of (await ends(held)).entries()) {
    const { step } = held[index] as Held[number];
    expect(run, step).toMatchObject({ state: 'done' });
    expect(tasksOf(step), step).toEqual([step === 'Act' ? 'vzstart' : 'qmstart']);
    expect(guestOf(step).status, step).toBe('running');
    const effects = 'one task; the guest runs';
    recordOutcome({ operation: 'control-guest', step, fault, outcome: 'done', effects });
  }
}

/** Each run was cancelled, nothing of it goes on, and its guest is off as before. */
async function expectUndone(fault: string, held: Held): Promise<void> {
  for (const [index, run] of (await ends(held)).entries()) {
    const { step } = held[index] as Held[number];
    expect(run, `${step}: ${run.failure?.message}`).toMatchObject({ state: 'cancelled' });
    expect(guestOf(step).status, step).toBe('stopped');
    expect([...simulator.state.tasks.values()].filter(({ endtime }) => endtime === undefined)).toEqual([]);
    expect(tasksOf(step).filter((type) => /start$/.test(type)).length, step).toBe(step === 'Look' ? 0 : 1);
    const effects = step === 'Look' ? 'nothing was started' : 'its task has ended; the guest is off as before';
    recordOutcome({ operation: 'control-guest', step, fault, outcome: 'undone', effects });
  }
}

const faults: readonly { readonly name: string; hit(fault: string): Promise<void> }[] = [
  ...crashFaults
    .filter(({ ssh }) => ssh === undefined)
    .map(({ name, cancels, hit }) => ({
      name,
      async hit(fault: string) {
        const held = await startHeld();
        await hit({ service, ids: held.map(({ id }) => id) });
        letGo();
        await (cancels ? expectUndone : expectDone)(fault, held);
      },
    })),
  {
    // Longer, and a look gives up: whoever asked waits for it, and nothing was done.
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
];

describe('a start of a guest in the middle of each of its steps ends as docs/crash-matrix.md says when', () => {
  // By name first: vitest shortens what it takes from an object.
  const cases = sample(faults, 3).map(({ name, hit }) => [name, hit] as const);
  it.each(cases)('%s', (name, hit) => hit(name), 600_000);
});
