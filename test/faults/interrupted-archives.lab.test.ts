import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../lab/hosts/lab-host.ts';
import { findingsOf } from '../../src/operations/report.ts';
import type { RunDetails } from '../../src/runs/runs.ts';
import { treeScript } from '../activities/restore/calls.ts';
import { addApprover, approve } from '../support/approve.ts';
import { type CrashFault, crashFaults } from '../support/crash-faults.ts';
import { recordOutcome } from '../support/crash-matrix.ts';
import { sample } from '../support/exhaustive.ts';
import { startService, type TestService } from '../support/service.ts';
import { allow, archiveOf, labMachine, localMachine, type Machine, makePlace, type Place } from './places.ts';

/*
 * Restores and verifications of what this service has backed up, by SSH and on this machine, each held in the middle of a step and hit
 * there. Whatever hits a restore: all is as in the archive, or all is as it was before.
 */
const by = { kind: 'cli', name: 'test' } as const;
const steps = ['Stage', 'Apply', 'Read'] as const;
type Step = (typeof steps)[number];

interface Subject {
  readonly place: Place;
  readonly step: Step;
  /** The archive it is from, and what the host's tree was when it was made. */
  backup: string;
  whole: string;
}

interface Held extends Subject {
  readonly id: string;
  readonly before: string;
}

let host: LabHost | undefined;
let local: Machine;
let service: TestService;
const all: Subject[] = [];

beforeAll(async () => {
  local = localMachine();
  const add = async (machine: Machine, kind: string) => {
    for (const step of steps) {
      const place = await makePlace({ name: `${kind}-${step.toLowerCase()}`, machine });
      all.push({ place, step, backup: '', whole: '' });
    }
  };
  await add(local, 'local');
  if (whyNoLab() === undefined) {
    host = await startLabHost();
    await add(labMachine(host), 'lab');
    await allow(
      host,
      all.filter(({ place }) => place.machine.kind === 'ssh').map(({ place }) => place),
    );
  }
  service = await startService({ hosts: Object.fromEntries(all.map(({ place }) => [place.name, place.entry])) });
  await addApprover(service);
  await service.startWorker();
  await Promise.all(all.map(backUp));
}, startTimeoutMs + 120_000);

afterAll(async () => {
  await service?.stop();
  await local?.stop();
  await host?.stop();
}, 120_000);

const treeOf = ({ machine, layout }: Place) =>
  machine.sh(`set -- '${layout.installation}' '${layout.hostRoot}'\n${treeScript}`);

async function backUp(one: Subject): Promise<void> {
  await one.place.reset();
  one.whole = await treeOf(one.place);
  const { id } = await service.runs.start('back-up', { host: one.place.name }, by);
  const run = await service.runs.wait(id, { timeoutMs: 120_000 });
  expect(run, JSON.stringify(run.failure)).toMatchObject({ state: 'done' });
  one.backup = archiveOf(run).replace('.tar.gz', '');
}

/** Starts what is at each place, and waits until it is in the middle of its step. */
async function startHeld(which: readonly Subject[]): Promise<readonly Held[]> {
  return Promise.all(
    which.map(async (one, index) => {
      // A restore is named by its second, and what it keeps has that name on the disk that all of these hosts share.
      await sleep(index * 1_100);
      const { place, step } = one;
      if (step !== 'Read') await spoil(place);
      const before = await treeOf(place);
      await place.arm(step);
      const id = await (step === 'Read' ? verify(one) : restore(one));
      await place.held().catch(async (error: unknown) => {
        throw new Error(`${String(error)}: ${JSON.stringify(await service.runs.get(id))}`);
      });
      return { ...one, id, before };
    }),
  );
}

async function spoil({ machine, layout: { installation, hostRoot } }: Place): Promise<void> {
  await machine.sh(
    `cd '${installation}'; rm -rf keys; echo spoiled >.env; echo new >new; echo spoiled >'${hostRoot}/etc/hostname'`,
  );
}

async function restore({ place, backup }: Subject): Promise<string> {
  const { id } = await service.runs.start('restore', { host: place.name, backup, what: 'complete' }, by);
  await approve(service, id);
  return id;
}

async function verify({ place }: Subject): Promise<string> {
  return (await service.runs.start('verify-backups', { host: place.name, all: true }, by)).id;
}

async function expectNothingAtWork({ name, machine, layout, processes }: Place): Promise<void> {
  await expect.poll(processes, { timeout: 20_000, message: name }).toEqual([]);
  const states = await machine.sh(`cat ${layout.state}/restores/*/state 2>/dev/null | cut -d' ' -f1 | sort -u`);
  expect(states.split('\n').filter((line) => !['kept', 'undone', ''].includes(line))).toEqual([]);
}

/** What is there after it, in the words of docs/crash-matrix.md. */
async function effectsOf({ place, step, backup, before, whole }: Held, run: RunDetails): Promise<string> {
  const is = await treeOf(place);
  if (step !== 'Read') {
    if (is === whole) return 'as in the archive, byte for byte';
    return is === before ? 'all is as it was before' : 'half of it';
  }
  if (is !== before) return 'something changed';
  const read = findingsOf(run.result?.report.sections ?? []).find(({ check }) => check === backup);
  return read?.verdict === 'ok' ? 'the archive was read to its end, and is whole' : 'nothing changed';
}

async function expectAsSaid({ name, ssh, cancels, forgets, hit }: CrashFault): Promise<void> {
  const held = await startHeld(all.filter(({ place }) => !ssh || place.machine.kind === 'ssh'));
  await hit({ service, ids: held.map(({ id }) => id), ...(host && { lab: host }) });
  if (!cancels) await Promise.all(held.map(({ place }) => place.open()));
  for (const one of held) {
    const { place, step, id } = one;
    const run = await service.runs.wait(id, { timeoutMs: 240_000 });
    await expectNothingAtWork(place);
    const effects = await effectsOf(one, run);
    const where = `${place.name}: ${run.state} ${run.failure?.message ?? run.progress?.message}`;
    // What was interrupted while it was swapped goes back: nobody knows how well it is.
    const goesBack = cancels === true || (forgets === true && step === 'Apply');
    expect(run.state, where).toBe(cancels ? 'cancelled' : goesBack ? 'undone' : 'done');
    expect(effects, where).toBe(said[step][goesBack ? 'undone' : 'done']);
    if (!goesBack)
      expect(await place.calls(), where).toMatchObject(
        step === 'Read' ? { Read: forgets ? 2 : 1 } : { Stage: forgets ? 2 : 1 },
      );
    const operation = step === 'Read' ? 'verify-backups' : 'restore';
    recordOutcome({ operation, step, fault: name, outcome: goesBack ? 'undone' : 'done', effects });
  }
}

const restored = { done: 'as in the archive, byte for byte', undone: 'all is as it was before' };
const said = {
  Stage: restored,
  Apply: restored,
  Read: { done: 'the archive was read to its end, and is whole', undone: 'nothing changed' },
};

describe('what works with archives ends in the middle of each of its steps as docs/crash-matrix.md says when', () => {
  const possible = crashFaults.filter(({ ssh }) => !ssh || whyNoLab() === undefined);
  const cases = sample(possible, 1).map((fault) => [fault.name, fault] as const);
  it.each(cases)('%s', (_, fault) => expectAsSaid(fault), 600_000);
});
