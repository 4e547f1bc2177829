import { afterAll, beforeAll, expect, it } from 'vitest';
import { whyNoLab } from '../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../lab/hosts/lab-host.ts';
import type { RunDetails } from '../../src/runs/runs.ts';
import { filesOf } from '../activities/back-up/steps.ts';
import { serveTestLedger } from '../support/ledger.ts';
import { startService, type TestService } from '../support/service.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { allow, compareArchive, labMachine, localMachine, type Machine, makePlace, type Place } from './places.ts';

// A worker that was away, as a machine that was suspended: it comes back in the middle of a step and goes on with the
// next command, though its run is over and another run of another worker holds the host's lock.
const by = { kind: 'cli', name: 'test' } as const;

let lab: LabHost | undefined;
let local: Machine;
let service: TestService;
let proxy: TcpProxy;
let ledger: { stop(): Promise<void> } | undefined;
/** By what the second run does when the first worker comes back. */
const places: { inTheMiddle: Place[]; done: Place[]; watched: Place[] } = { inTheMiddle: [], done: [], watched: [] };

beforeAll(async () => {
  local = localMachine();
  lab = whyNoLab() === undefined ? await startLabHost() : undefined;
  const machines = [local, ...(lab ? [labMachine(lab)] : [])];
  for (const machine of machines) {
    places.inTheMiddle.push(await makePlace({ name: `${machine.kind}-middle`, machine }));
    places.done.push(await makePlace({ name: `${machine.kind}-done`, machine }));
    places.watched.push(await makePlace({ name: `${machine.kind}-watched`, machine }));
  }
  if (lab) await allow(lab, all().filter(onLab));
  service = await startService({ hosts: Object.fromEntries(all().map(({ name, entry }) => [name, entry])) });
  proxy = await startTcpProxy(service.config.temporal.port);
  await service.startWorker('worker', { temporalPort: proxy.port });
}, startTimeoutMs);

afterAll(async () => {
  await ledger?.stop();
  await proxy?.stop();
  await service?.stop();
  await local?.stop();
  await lab?.stop();
}, 120_000);

const all = () => [...places.inTheMiddle, ...places.done, ...places.watched];
const onLab = ({ machine }: Place) => machine.kind === 'ssh';
const start = async ({ name }: Place) => (await service.runs.start('back-up', { host: name }, by)).id;
const startAll = async (of: readonly Place[]) =>
  new Map(await Promise.all(of.map(async (place) => [place, await start(place)] as const)));
const fenceOf = async ({ machine, layout }: Place) => Number(await machine.sh(`cat ${layout.state}/host.fence`));

/**
 * Starts a backup and holds it: in the first attempt of its step, because another one isn't held. On a loaded machine
 * the first may be given up, as its heartbeats are late; then it is begun anew.
 */
async function holdFirst(place: Place, instead?: string): Promise<string> {
  for (let previous = instead; ; ) {
    if (previous !== undefined) {
      await service.client.workflow.getHandle(previous).terminate('its first attempt was given up');
      await place.open();
      await expect.poll(() => place.processes(), { timeout: 60_000, message: place.name }).toEqual([]);
    }
    await place.reset(places.watched.includes(place) ? 'Pack' : 'Clean');
    previous = await start(place);
    await place.held(90_000);
    if ((await attempts(previous)) === 1) return previous;
  }
}

/** How often the step that a run is at has been begun. */
async function attempts(id = ''): Promise<number> {
  const { raw } = await service.client.workflow.getHandle(id).describe();
  return Math.max(0, ...(raw.pendingActivities ?? []).map(({ attempt }) => attempt ?? 0));
}

function archiveOf({ result }: RunDetails): string {
  const archive = result?.output.archive as { readonly path: string } | undefined;
  return archive?.path.split('/').at(-1) ?? 'none';
}

/** What the first worker's log says of activities that failed. */
function told(): string {
  const lines = service
    .log('worker')
    .split('\n')
    .filter((line) => line.includes('"Activity failed"'));
  return lines
    .map((line) => JSON.parse(line))
    .map(({ time, error }) => `${time} ${error.message}`)
    .join('\n');
}

/** The run is done, its archive is whole, and nothing else is there or at work. */
async function expectDone(place: Place, id: string): Promise<void> {
  const run = await service.runs.wait(id, { timeoutMs: 120_000 });
  expect(run, `${place.name}: ${JSON.stringify(run)}`).toMatchObject({ state: 'done' });
  const name = archiveOf(run);
  expect(await place.backups(), place.name).toEqual(filesOf(name.replace('.tar.gz', '')));
  await compareArchive(place, name);
  await expect.poll(() => place.processes(), { timeout: 10_000, message: place.name }).toEqual([]);
}

it('a worker that was away is refused by the host, in the middle of its successor’s work and after its end', async () => {
  // Between the command that forgets old jobs and the one that starts its own; or while a job of its is at work.
  const lost = new Map<Place, string>();
  await Promise.all(all().map(async (place) => lost.set(place, await holdFirst(place))));
  for (const place of all()) {
    if ((await attempts(lost.get(place))) !== 1) lost.set(place, await holdFirst(place, lost.get(place)));
  }
  service.freezeWorker();
  proxy.cut();
  // One process has the ledger, and that one is away with it: changes would wait until it is back, or killed.
  ledger = await serveTestLedger(service.temporal.address);
  await service.startWorker('second-worker');
  await Promise.all([...lost.values()].map((id) => service.client.workflow.getHandle(id).terminate('it was lost')));
  await Promise.all([
    ...places.inTheMiddle.map((place) => place.openFor('Pack')),
    ...places.done.map((place) => place.openFor()),
  ]);
  const next = await startAll(all());
  const idOf = (place: Place) => next.get(place) ?? '';
  await Promise.all([
    ...places.inTheMiddle.map((place) => place.held()),
    ...[...places.done, ...places.watched].map((place) => service.runs.wait(idOf(place), { timeoutMs: 120_000 })),
  ]);
  const before = await Promise.all(all().map(async (place) => [await place.backups(), await fenceOf(place)]));

  service.thawWorker();
  const away = [...places.inTheMiddle, ...places.done];
  const refused: Place[] = [];
  for (const place of away) {
    const { name } = place;
    const sentence = new RegExp(
      `${name} refused collect-backup, because another run holds its lock by now \\(fence (\\d+) is older than (\\d+)\\)`,
    );
    // Who was away for so long may find its connection dead instead, or its command's time over, and has then asked the host
    // for nothing more.
    const lost = onLab(place) ? 'connection was lost' : 'did not end within \\d+ s; it was ended';
    await expect
      .poll(told, { timeout: 30_000, message: name })
      .toMatch(new RegExp(`${sentence.source}|${name}: .* ${lost}`));
    const [found, older, newer] = sentence.exec(told()) ?? [];
    if (found === undefined) continue;
    refused.push(place);
    expect(Number(older)).toBeLessThan(Number(newer));
  }
  expect(refused.length, told()).toBeGreaterThan(0);

  // What the host itself says of it.
  for (const place of refused.filter(onLab)) {
    const log = await place.machine.sh(`cat ${place.layout.sudoLog}`);
    const exits = [...log.matchAll(/^.*COMMAND=(\S+) job-start \S+ (\S+) collect-backup \d+ .*$/gm)]
      .filter(([, helper, run]) => helper === place.layout.helper && run === lost.get(place))
      .map(([line]) => /EXIT=(\d+)/.exec(line)?.[1]);
    expect(exits.filter(Boolean), `${place.name}: ${log.slice(-2_000)}`).toEqual(['75']);
  }

  // Nothing of it had an effect: what the second runs have made is as it was, and they go on to their ends.
  expect(await Promise.all(all().map(async (place) => [await place.backups(), await fenceOf(place)]))).toEqual(before);
  await Promise.all(places.inTheMiddle.map((place) => place.open()));
  for (const place of all()) await expectDone(place, idOf(place));
  for (const place of away) {
    expect(await place.calls(), place.name).toEqual({ Collect: 1, Host: 1, Pack: 1, Verify: 1, Publish: 1 });
    expect(
      (await place.jobs()).filter((line) => line.endsWith(` ${lost.get(place)}`)),
      place.name,
    ).toEqual([]);
  }

  // The first worker has learned nothing wrong: alone again, it makes the next backups.
  await service.killWorker('SIGKILL', 'second-worker');
  for (const place of places.done) await place.reset();
  for (const [place, id] of await startAll(places.done)) await expectDone(place, id);
}, 400_000);
