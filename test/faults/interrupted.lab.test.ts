import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../lab/hosts/lab-host.ts';
import type { RunDetails } from '../../src/runs/runs.ts';
import { filesOf } from '../activities/back-up/steps.ts';
import { type CrashFault, crashFaults } from '../support/crash-faults.ts';
import { recordOutcome } from '../support/crash-matrix.ts';
import { sample } from '../support/exhaustive.ts';
import { startService, type TestService } from '../support/service.ts';
import {
  allow,
  archiveOf,
  compareArchive,
  type HeldStep,
  labMachine,
  localMachine,
  type Machine,
  makePlace,
  type Place,
} from './places.ts';

const by = { kind: 'cli', name: 'test' } as const;
const steps: readonly HeldStep[] = ['Collect', 'Host', 'Volumes', 'Pack', 'Verify', 'Publish'];

let host: LabHost | undefined;
let local: Machine;
let service: TestService;
/** A host for every step that a backup can be interrupted at, by SSH and on this machine. */
const places: { readonly place: Place; readonly step: HeldStep }[] = [];

beforeAll(async () => {
  local = localMachine();
  for (const step of steps.filter((one) => one !== 'Volumes')) {
    places.push({ step, place: await makePlace({ name: `local-${step.toLowerCase()}`, machine: local }) });
  }
  if (whyNoLab() === undefined) {
    host = await startLabHost({ docker: true, installation: true });
    const machine = labMachine(host);
    // What is empty is copied by nothing, so that nothing could be held.
    await host.must([
      'sh',
      '-c',
      'docker run --rm -v mcp_logs:/a -v caddy_data:/b busybox sh -c "echo a >/a/kept; echo b >/b/kept"',
    ]);
    for (const step of steps) {
      const name = `lab-${step.toLowerCase()}`;
      places.push({ step, place: await makePlace({ name, machine, volumes: ['mcp_logs', 'caddy_data'] }) });
    }
    await allow(
      host,
      places.filter(({ place }) => place.machine === machine).map(({ place }) => place),
    );
  }
  const hosts = Object.fromEntries(places.map(({ place }) => [place.name, place.entry]));
  service = await startService({ hosts });
  await service.startWorker();
}, startTimeoutMs);

afterAll(async () => {
  await service?.stop();
  await local?.stop();
  await host?.stop();
}, 120_000);

const onLab = () => places.filter(({ place }) => place.machine.kind === 'ssh');
const lab = () => host as LabHost;

/** Starts a backup of each host and waits until each is held in the middle of its own step. */
async function startHeld(which: typeof places): Promise<{ place: Place; step: HeldStep; id: string }[]> {
  return Promise.all(
    which.map(async ({ place, step }) => {
      await place.reset(step);
      const { id } = await service.runs.start('back-up', { host: place.name }, by);
      await place.held().catch(async (error: unknown) => {
        throw new Error(`${String(error)}: ${JSON.stringify(await service.runs.get(id))}`);
      });
      return { place, step, id };
    }),
  );
}

type Held = Awaited<ReturnType<typeof startHeld>>;

async function ends(held: Held, timeoutMs = 240_000): Promise<RunDetails[]> {
  return Promise.all(held.map(({ id }) => service.runs.wait(id, { timeoutMs })));
}

/** How often the step that a run is at has been begun. */
async function retries(id: string): Promise<number> {
  const { raw } = await service.client.workflow.getHandle(id).describe();
  return Math.max(0, ...(raw.pendingActivities ?? []).map(({ attempt }) => attempt ?? 0));
}

/**
 * Each run is done, with one whole archive, each step's work was done once (the step's that it was held at: `again` times
 * more), and nothing else is there.
 */
async function expectDone(held: Held, again = 0): Promise<void> {
  await Promise.all(held.map(({ place }) => place.open()));
  const runs = await ends(held);
  for (const [index, run] of runs.entries()) {
    const { place, step } = held[index] as Held[number];
    const where = `${place.name}, held at ${step}`;
    expect(run, where).toMatchObject({ state: 'done' });
    const name = archiveOf(run);
    expect(await place.backups(), where).toEqual(filesOf(name.replace('.tar.gz', '')));
    await compareArchive(place, name);
    const volumes = place.layout.volumes.length;
    const once = { Collect: 1, Host: 1, ...(volumes > 0 && { Volumes: volumes }), Pack: 1, Verify: 1, Publish: 1 };
    expect(await place.calls(), where).toEqual({ ...once, [step]: (step === 'Volumes' ? volumes : 1) + again });
    await expectNothingAtWork(place);
  }
}

/** {@link expectDone}, after this fault. */
async function expectDoneAfter(fault: string, held: Held, again = 0): Promise<void> {
  await expectDone(held, again);
  const effects = `one verified archive; ${again === 0 ? 'nothing was done twice' : 'the step was done again'}`;
  for (const { step } of held) recordOutcome({ operation: 'back-up', step, fault, outcome: 'done', effects });
}

async function expectNothingAtWork(place: Place): Promise<void> {
  await expect.poll(() => place.processes(), { timeout: 10_000, message: place.name }).toEqual([]);
  const open = (await place.jobs()).filter((line) => /^\S+ (starting|running) /.test(line));
  expect(open, place.name).toEqual([]);
}

/** Each run was cancelled and took back what it did, after this fault; its host is free for another one. */
async function expectUndone(fault: string, held: Held): Promise<void> {
  for (const [index, run] of (await ends(held)).entries()) {
    const { place, step } = held[index] as Held[number];
    const where = `${place.name}, held at ${step}: ${run.failure?.message}`;
    expect(run, where).toMatchObject({ state: 'cancelled' });
    expect(await place.backups(), where).toEqual([]);
    await expectNothingAtWork(place);
  }
  const again = await Promise.all(
    held.map(async ({ place, step }) => {
      await place.reset();
      return { place, step, id: (await service.runs.start('back-up', { host: place.name }, by)).id };
    }),
  );
  await expectDone(again);
  const effects = 'nothing is left; the next run is done';
  for (const { step } of held) recordOutcome({ operation: 'back-up', step, fault, outcome: 'undone', effects });
}

/** What hits an operation anywhere, and two that are a backup's own. */
const faults: readonly { readonly name: string; readonly ssh?: true; test(): Promise<void> }[] = [
  ...crashFaults.map((fault) => ({ ...fault, test: () => expectAsSaid(fault) })),
  {
    name: 'the run was cancelled just before its first job was started',
    async test() {
      const held = await startHeld(
        places.filter(({ step }) => step === 'Collect').map((one) => ({ ...one, step: 'Clean' })),
      );
      await Promise.all(held.map(({ id }) => service.runs.cancel(id, 'test', by)));
      for (const run of await ends(held)) expect(run.state).toBe('cancelled');
      // The activity goes on in its worker, which hasn't heard of it yet.
      await Promise.all(held.map(({ place }) => place.openFor()));
      // Nothing tells when it has tried; on a slow machine this proves less, but doesn't fail.
      await sleep(5_000);
      for (const { place } of held) expect(await place.calls(), place.name).toEqual({});
      await expectUndone(
        this.name,
        held.map((one) => ({ ...one, step: 'Collect' })),
      );
    },
  },
  {
    // Nobody is called: the undo is tried again by itself.
    name: 'the run was cancelled, and the SSH connection was cut while it was undone',
    ssh: true,
    async test() {
      const held = await startHeld(onLab().filter(({ step }) => step === 'Collect'));
      await Promise.all(held.map(({ place }) => place.leaveFor('Undo')));
      await Promise.all(held.map(({ id }) => service.runs.cancel(id, 'test', by)));
      await Promise.all(held.map(({ place }) => place.held()));
      expect(await lab().cutConnections()).toBeGreaterThan(0);
      for (const run of await ends(held)) expect(run.state).toBe('cancelled');
      await Promise.all(held.map(({ place }) => place.open()));
      await expectUndone(this.name, held);
    },
  },
];

async function expectAsSaid({ name, ssh, cancels, forgets, hit }: CrashFault): Promise<void> {
  const held = await startHeld(ssh ? onLab() : places);
  const ids = held.map(({ id }) => id);
  let tries: readonly number[] | undefined;
  const during = async () => {
    tries = await Promise.all(ids.map(retries));
  };
  await hit({ service, ids, during, ...(host && { lab: host }) });
  if (cancels) await expectUndone(name, held);
  else await expectDoneAfter(name, held, forgets ? 1 : 0);
  if (tries === undefined) return;
  // Each was found dead while the fault lasted, and each step was tried again in vain before it found its job.
  for (const [index, { place, step, id }] of held.entries()) {
    const events = await service.runs.log(id);
    const where = `${place.name}, held at ${step}: ${JSON.stringify(events)}`;
    expect(tries[index], where).toBeGreaterThan(1);
    const retried = events.filter(({ event, text }) => event === 'retried' && text.startsWith(`${step}: `));
    expect(retried, where).toHaveLength(1);
  }
}

describe('a backup in the middle of each of its steps ends as docs/crash-matrix.md says when', () => {
  const possible = faults.filter(({ ssh }) => !ssh || whyNoLab() === undefined);
  // By name first: vitest shortens what it takes from an object.
  const cases = sample(possible, 2).map((fault) => [fault.name, fault] as const);
  it.each(cases)('%s', (_, fault) => fault.test(), 600_000);
});
