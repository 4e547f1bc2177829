import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../lab/hosts/lab-host.ts';
import type { RunDetails } from '../../src/runs/runs.ts';
import { recordOutcome } from '../support/crash-matrix.ts';
import { sample } from '../support/exhaustive.ts';
import { startService, type TestService } from '../support/service.ts';
import {
  allow,
  compareArchive,
  type HeldStep,
  labMachine,
  localMachine,
  type Machine,
  makePlace,
  type Place,
} from './places.ts';

const by = { kind: 'cli', name: 'test' } as const;
const steps: readonly HeldStep[] = ['Collect', 'Volumes', 'Pack', 'Verify', 'Publish'];

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
    expect(run, where).toMatchObject({ status: 'completed', outcome: 'done' });
    const name = archiveOf(run);
    expect(await place.backups(), where).toEqual([name, `${name}.sha256`]);
    await compareArchive(place, name);
    const volumes = place.layout.volumes.length;
    const once = { Collect: 1, ...(volumes > 0 && { Volumes: volumes }), Pack: 1, Verify: 1, Publish: 1 };
    expect(await place.calls(), where).toEqual({ ...once, [step]: (step === 'Volumes' ? volumes : 1) + again });
    await expectNothingAtWork(place);
  }
}

function archiveOf(run: RunDetails): string {
  const archive = run.result?.output.archive as { readonly path: string } | undefined;
  return archive?.path.split('/').at(-1) ?? 'none';
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
    expect(run, where).toMatchObject({ status: 'cancelled', outcome: 'cancelled' });
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

interface Fault {
  readonly name: string;
  /** Only a host behind SSH can have it. */
  readonly ssh?: boolean;
  hit(fault: string): Promise<void>;
}

/** What hits a run that is held in the middle of a step, and what becomes of it. Those of SSH alone say so. */
const faults: readonly Fault[] = [
  {
    name: 'the worker was killed',
    async hit(fault) {
      const held = await startHeld(places);
      await service.killWorker('SIGKILL');
      await service.startWorker();
      await expectDoneAfter(fault, held);
    },
  },
  {
    name: 'the worker was stopped in order',
    async hit(fault) {
      const held = await startHeld(places);
      await service.killWorker('SIGTERM');
      await service.startWorker();
      await expectDoneAfter(fault, held);
    },
  },
  {
    name: 'the Temporal server was killed',
    async hit(fault) {
      const held = await startHeld(places);
      const pid = service.temporal.pid() as number;
      process.kill(pid, 'SIGKILL');
      await expect.poll(() => service.temporal.pid() ?? pid, { timeout: 60_000 }).not.toBe(pid);
      await expectDoneAfter(fault, held);
    },
  },
  {
    name: 'the run was cancelled',
    async hit(fault) {
      const held = await startHeld(places);
      await Promise.all(held.map(({ id }) => service.runs.cancel(id, 'test', by)));
      await expectUndone(fault, held);
    },
  },
  {
    name: 'the run was cancelled just before its first job was started',
    async hit(fault) {
      const held = await startHeld(
        places.filter(({ step }) => step === 'Collect').map((one) => ({ ...one, step: 'Clean' })),
      );
      await Promise.all(held.map(({ id }) => service.runs.cancel(id, 'test', by)));
      for (const run of await ends(held)) expect(run.outcome).toBe('cancelled');
      // The activity goes on in its worker, which hasn't heard of it yet.
      await Promise.all(held.map(({ place }) => place.openFor()));
      // Nothing tells when it has tried; on a slow machine this proves less, but doesn't fail.
      await sleep(5_000);
      for (const { place } of held) expect(await place.calls(), place.name).toEqual({});
      await expectUndone(
        fault,
        held.map((one) => ({ ...one, step: 'Collect' })),
      );
    },
  },
  {
    name: 'the run was cancelled while there was no worker',
    async hit(fault) {
      const held = await startHeld(places);
      await service.killWorker('SIGKILL');
      await Promise.all(held.map(({ id }) => service.runs.cancel(id, 'test', by)));
      await service.startWorker();
      await expectUndone(fault, held);
    },
  },
  {
    name: 'the SSH connection was cut',
    ssh: true,
    async hit(fault) {
      const held = await startHeld(onLab());
      expect(await lab().cutConnections()).toBeGreaterThan(0);
      await expectDoneAfter(fault, held);
    },
  },
  {
    // Nobody is called: the undo is tried again by itself.
    name: 'the run was cancelled, and the SSH connection was cut while it was undone',
    ssh: true,
    async hit(fault) {
      const held = await startHeld(onLab().filter(({ step }) => step === 'Collect'));
      await Promise.all(held.map(({ place }) => place.leaveFor('Undo')));
      await Promise.all(held.map(({ id }) => service.runs.cancel(id, 'test', by)));
      await Promise.all(held.map(({ place }) => place.held()));
      expect(await lab().cutConnections()).toBeGreaterThan(0);
      for (const run of await ends(held)) expect(run.outcome).toBe('cancelled');
      await Promise.all(held.map(({ place }) => place.open()));
      await expectUndone(fault, held);
    },
  },
  {
    name: 'sshd was restarted and the SSH connection was cut',
    ssh: true,
    async hit(fault) {
      const held = await startHeld(onLab());
      await lab().restartSshd();
      await lab().cutConnections();
      await expectDoneAfter(fault, held);
    },
  },
  {
    // Longer than the connections' keepalive (40 s) and than a heartbeat: each is found dead, and each step is tried again
    // in vain before it finds its job.
    name: 'the network swallowed every packet for more than a minute',
    ssh: true,
    async hit(fault) {
      const held = await startHeld(onLab());
      await lab().dropNetwork();
      await sleep(65_000);
      const tries = await Promise.all(held.map(({ id }) => retries(id)));
      await lab().restoreNetwork();
      await expectDoneAfter(fault, held);
      for (const [index, { place, step, id }] of held.entries()) {
        const where = `${place.name}, held at ${step}: ${JSON.stringify(await service.runs.log(id))}`;
        expect(tries[index], where).toBeGreaterThan(1);
        const events = await service.runs.log(id);
        expect(
          events.filter(({ event, text }) => event === 'retried' && text.startsWith(`${step}: `)),
          where,
        ).toHaveLength(1);
      }
    },
  },
  // The job's outcome is unknown then, and the step looks and does its work again.
  ...(['power-loss', 'orderly'] as const).map((kind) => ({
    name: kind === 'orderly' ? 'the host was restarted' : 'the host lost its power',
    ssh: true,
    async hit(fault: string) {
      const held = await startHeld(onLab());
      await lab().reboot(kind);
      await expectDoneAfter(fault, held, 1);
    },
  })),
];

describe('a backup in the middle of each of its steps ends as docs/crash-matrix.md says when', () => {
  const possible = faults.filter(({ ssh }) => !ssh || whyNoLab() === undefined);
  it.each(sample(possible, 5))('$name', ({ name, hit }) => hit(name), 600_000);
});
