import { afterAll, beforeAll, expect, it } from 'vitest';
import { startService, type TestService } from '../support/service.ts';
import { localMachine, type Machine, makePlace, type Place } from './places.ts';

// A host that has seen a newer fence than the run's: another change was let in over another name of the machine.
const by = { kind: 'cli', name: 'test' } as const;
let machine: Machine;
let place: Place;
let service: TestService;

beforeAll(async () => {
  machine = localMachine();
  place = await makePlace({ name: 'overtaken', machine });
  service = await startService({ hosts: { overtaken: place.entry } });
  await service.startWorker();
}, 600_000);

afterAll(async () => {
  await service?.stop();
  await machine?.stop();
}, 120_000);

it('an undo that the host refuses for that takes its lock again, is done, and asks nobody', async () => {
  await place.reset('Pack');
  const { id } = await service.runs.start('back-up', { host: 'overtaken' }, by);
  await place.held();
  const newer = Date.now();
  await machine.sh(`echo ${newer} >${place.layout.state}/host.fence`);
  await service.runs.cancel(id, 'the disk is needed', by);
  const run = await service.runs.wait(id, { timeoutMs: 90_000 });
  expect(run).toMatchObject({ state: 'cancelled' });
  expect(await place.backups()).toEqual([]);
  await expect.poll(() => place.processes(), { timeout: 10_000 }).toEqual([]);
  const text = (await service.runs.log(id)).map((line) => line.text).join('\n');
  expect(text).toContain('another run holds its lock by now');
  expect(text).not.toContain('Tell the administrators');
  expect(Number(await machine.sh(`cat ${place.layout.state}/host.fence`))).toBeGreaterThan(newer);
  const { memo } = await service.client.workflow.getHandle(id).describe();
  expect(memo?.ending).toEqual({ at: 'at step "Pack"', undone: ['Collect'], left: [] });
}, 180_000);
