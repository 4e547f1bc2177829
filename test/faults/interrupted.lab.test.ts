import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../lab/hosts/lab-host.ts';
import type { RunDetails } from '../../src/runs/runs.ts';
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

async function expectNothingAtWork(place: Place): Promise<void> {
  await expect.poll(() => place.processes(), { timeout: 10_000, message: place.name }).toEqual([]);
  const open = (await place.jobs()).filter((line) => /^\S+ (starting|running) /.test(line));
  expect(open, place.name).toEqual([]);
}

/** Each run took back what it did; its host is free for another one. */
async function expectUndone(held: Held, status: RunDetails['status'], outcome: string): Promise<void> {
  for (const [index, run] of (await ends(held)).entries()) {
    const { place, step } = held[index] as Held[number];
    const where = `${place.name}, held at ${step}: ${run.failure?.message}`;
    expect(run, where).toMatchObject({ status, outcome });
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
}

describe('a backup in the middle of each of its steps', () => {
  it('goes on after the worker was killed', async () => {
    const held = await startHeld(places);
    await service.killWorker('SIGKILL');
    await service.startWorker();
    await expectDone(held);
  }, 600_000);

  it('goes on after the worker was stopped in order', async () => {
    const held = await startHeld(places);
    await service.killWorker('SIGTERM');
    await service.startWorker();
    await expectDone(held);
  }, 600_000);

  it('goes on after the Temporal server was killed', async () => {
    const held = await startHeld(places);
    const pid = service.temporal.pid() as number;
    process.kill(pid, 'SIGKILL');
    await expect.poll(() => service.temporal.pid() ?? pid, { timeout: 60_000 }).not.toBe(pid);
    await expectDone(held);
  }, 600_000);

  it('is taken back when it is cancelled, and its host is free', async () => {
    const held = await startHeld(places);
    await Promise.all(held.map(({ id }) => service.runs.cancel(id, 'test', by)));
    await expectUndone(held, 'cancelled', 'cancelled');
  }, 600_000);

  it('never begins when it is cancelled just before its first job is started', async () => {
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
      held.map((one) => ({ ...one, step: 'Collect' })),
      'cancelled',
      'cancelled',
    );
  }, 600_000);

  it('is taken back when it is cancelled while there is no worker', async () => {
    const held = await startHeld(places);
    await service.killWorker('SIGKILL');
    await Promise.all(held.map(({ id }) => service.runs.cancel(id, 'test', by)));
    await service.startWorker();
    await expectUndone(held, 'cancelled', 'cancelled');
  }, 600_000);
});

describe.skipIf(whyNoLab())('a backup through SSH in the middle of each of its steps', () => {
  const lab = () => host as LabHost;

  it('goes on after its connection was cut', async () => {
    const held = await startHeld(onLab());
    expect(await lab().cutConnections()).toBeGreaterThan(0);
    await expectDone(held);
  }, 600_000);

  it('is taken back although the connection is cut while that is done, and nobody is called', async () => {
    const held = await startHeld(onLab().filter(({ step }) => step === 'Collect'));
    await Promise.all(held.map(({ place }) => place.leaveFor('Undo')));
    await Promise.all(held.map(({ id }) => service.runs.cancel(id, 'test', by)));
    await Promise.all(held.map(({ place }) => place.held()));
    expect(await lab().cutConnections()).toBeGreaterThan(0);
    for (const run of await ends(held)) expect(run.outcome).toBe('cancelled');
    await Promise.all(held.map(({ place }) => place.open()));
    await expectUndone(held, 'cancelled', 'cancelled');
  }, 600_000);

  it('goes on after sshd was restarted and its connection was cut', async () => {
    const held = await startHeld(onLab());
    await lab().restartSshd();
    await lab().cutConnections();
    await expectDone(held);
  }, 600_000);

  // Longer than the connections' keepalive (40 s) and than a heartbeat: each is found dead, and each step is tried again
  // in vain before it finds its job.
  it('goes on after the network swallowed every packet for more than a minute', async () => {
    const held = await startHeld(onLab());
    await lab().dropNetwork();
    await sleep(65_000);
    const tries = await Promise.all(held.map(({ id }) => retries(id)));
    await lab().restoreNetwork();
    await expectDone(held);
    for (const [index, { place, step, id }] of held.entries()) {
      const where = `${place.name}, held at ${step}: ${JSON.stringify(await service.runs.log(id))}`;
      expect(tries[index], where).toBeGreaterThan(1);
      const events = await service.runs.log(id);
      expect(
        events.filter(({ event, text }) => event === 'retried' && text.startsWith(`${step}: `)),
        where,
      ).toHaveLength(1);
    }
  }, 600_000);

  // The job's outcome is unknown then, and the step looks and does its work again.
  it.each(['power-loss', 'orderly'] as const)(
    'goes on after its host was restarted (%s)',
    async (kind) => {
      const held = await startHeld(onLab());
      await lab().reboot(kind);
      await expectDone(held, 1);
    },
    400_000,
  );
});
