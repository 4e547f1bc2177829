import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { createFindProblems } from '../../src/mcp/find-problems.ts';
import { readServing } from '../../src/runs/serving.ts';
import { exhaustive } from '../support/exhaustive.ts';
import { apiEntry } from '../support/hosts.ts';
import { startService, type TestService } from '../support/service.ts';
import { endWorkers, startWorker, type WorkerOptions } from './processes.ts';

// Two sites, each with a simulated API of its own, and workers on machines of their own that know no key but their site's.
const by = { kind: 'cli', name: 'test' } as const;
const sites = ['north', 'south'] as const;
type Site = (typeof sites)[number];

const simulators: Partial<Record<Site, ProxmoxSimulator>> = {};
let service: TestService;

beforeAll(async () => {
  for (const site of sites) simulators[site] = await createProxmoxSimulator();
  service = await startService({ hosts: Object.fromEntries(sites.map((site) => [site, apiEntry(simulatorOf(site))])) });
}, 600_000);
afterEach(endWorkers, 60_000);
afterAll(async () => {
  await service?.stop();
  for (const simulator of Object.values(simulators)) await simulator.close();
}, 60_000);

function simulatorOf(site: Site): ProxmoxSimulator {
  const simulator = simulators[site];
  if (simulator === undefined) throw new Error('used before beforeAll');
  return simulator;
}

/** A worker that has the API tokens of these sites, and of no other. */
function workerOf(served: readonly Site[], env: Readonly<Record<string, string>> = {}): WorkerOptions {
  const entry = (site: Site) => {
    const { PROXMOX_TOKEN_VALUE: _, ...rest } = apiEntry(simulatorOf(site));
    return [site, { ...rest, PROXMOX_TOKEN_VALUE_FILE: `keys/${site}.token` }] as const;
  };
  return {
    env: { TEMPORAL_ADDRESS: service.temporal.address, ...env },
    hosts: Object.fromEntries(sites.map(entry)),
    files: Object.fromEntries(served.map((site) => [`keys/${site}.token`, simulatorOf(site).tokens.full.secret])),
  };
}

const atSite = (site: Site) => workerOf([site], { WORKER_HOSTS: site, WORKER_LEDGER: 'never' });
const withLedger = () => workerOf([], { WORKER_HOSTS: 'north', WORKER_LEDGER: 'only' });

/** A guest that is off, and takes so long to start. */
function addGuest(site: Site, vmid: number, startMs: number): void {
  simulatorOf(site).state.guests.set(vmid, {
    vmid,
    type: 'qemu',
    name: `guest-${vmid}`,
    node: 'pve1',
    status: 'stopped',
    cpus: 1,
    memory: 1,
    disk: 1,
    template: false,
    behaviour: { startMs },
  });
}

const startGuest = (host: Site, vmid: number) =>
  service.runs.start('control-guest', { host, vmid, action: 'start' }, by);

/** Who has worked on a run's activities, by their queues. */
async function workersByQueue(id: string): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const { events } = await service.client.workflow.getHandle(id).fetchHistory();
  const queues = new Map<string, string>();
  const found = new Map<string, Set<string>>();
  for (const event of events ?? []) {
    const scheduled = event.activityTaskScheduledEventAttributes;
    if (scheduled) queues.set(String(event.eventId), scheduled.taskQueue?.name ?? '');
    const started = event.activityTaskStartedEventAttributes;
    const queue = started && queues.get(String(started.scheduledEventId));
    if (queue) found.set(queue, (found.get(queue) ?? new Set()).add(started.identity ?? ''));
  }
  return found;
}

it('each site is worked on by its own worker, and a run says when nobody serves its host', async () => {
  const north = await startWorker(atSite('north'));
  const ledger = await startWorker(withLedger());
  addGuest('north', 301, 1_000);
  addGuest('south', 302, 1_000);
  const [first, second] = await Promise.all([startGuest('north', 301), startGuest('south', 302)]);
  expect(await service.runs.wait(first.id, { timeoutMs: 60_000 })).toMatchObject({ state: 'done' });

  const findProblems = createFindProblems(service.client, service.config);
  expect(await findProblems()).toMatchObject([
    { check: 'Worker', verdict: 'warning', summary: expect.stringContaining('no worker serves: 1 of 2.') },
  ]);
  const waits = async () => (await service.runs.get(second.id)).waits?.map(({ text }) => text);
  await expect
    .poll(waits, { timeout: 60_000, interval: 500 })
    .toEqual([expect.stringMatching(/: no worker serves south; it waits for \d+ s already$/)]);

  const south = await startWorker(atSite('south'));
  expect(await service.runs.wait(second.id, { timeoutMs: 60_000 })).toMatchObject({ state: 'done' });
  expect(await findProblems()).toEqual([]);
  for (const [id, host, worker] of [
    [first.id, 'north', north],
    [second.id, 'south', south],
  ] as const) {
    const found = await workersByQueue(id);
    expect(found.get(`host-${host}`)).toEqual(new Set([worker.identity]));
    expect(found.get(`follow-${host}`)).toEqual(new Set([worker.identity]));
    expect(found.get('proxmox-mcp-ledger')).toEqual(new Set([ledger.identity]));
  }
  const { workers } = await readServing(service.client, [...sites]);
  expect(workers).toEqual(
    expect.arrayContaining([
      { identity: north.identity, hosts: ['north'], ledger: false },
      { identity: south.identity, hosts: ['south'], ledger: false },
      { identity: ledger.identity, hosts: [], ledger: true },
    ]),
  );
  // In order, and what is theirs alone is given back: the next one has the ledger at once.
  expect(await ledger.end()).toBe(0);
  const next = await startWorker(withLedger());
  expect(next.log()).not.toContain("can't be opened");
});

it.runIf(exhaustive)(
  'of three workers one is killed: what it followed goes on elsewhere within the heartbeat’s time',
  async () => {
    const all = () => workerOf(sites, { WORKER_LEDGER: 'never' });
    await startWorker(withLedger());
    const workers = await Promise.all([startWorker(all()), startWorker(all()), startWorker(all())]);
    const started: string[] = [];
    for (let vmid = 401; vmid < 413; vmid += 1) {
      addGuest('north', vmid, 60_000);
      started.push((await startGuest('north', vmid)).id);
    }
    /** Who follows a run's task, and since when. */
    const follower = async (id: string) => {
      const { raw } = await service.client.workflow.getHandle(id).describe();
      const [activity] = raw.pendingActivities ?? [];
      const isFollowed = activity?.activityType?.name === 'followGuestTask' || Boolean(activity?.lastHeartbeatTime);
      return isFollowed && activity?.state === 2 ? (activity.lastWorkerIdentity ?? '') : '';
    };
    const followers = () => Promise.all(started.map(follower));
    await expect.poll(async () => (await followers()).every((one) => one !== ''), { timeout: 60_000 }).toBe(true);
    const before = await followers();
    const victim = workers.find(({ identity }) => before.includes(identity));
    if (victim === undefined) throw new Error(`nobody follows: ${before}`);
    await victim.end('SIGKILL');
    const killed = Date.now();
    await expect
      .poll(async () => (await followers()).some((one) => one === victim.identity || one === ''), {
        timeout: 60_000,
        interval: 250,
      })
      .toBe(false);
    // The heartbeat's time is 20 s; a first retry comes a second later.
    expect(Date.now() - killed).toBeLessThan(25_000);
    const ends = await Promise.all(started.map((id) => service.runs.wait(id, { timeoutMs: 120_000 })));
    expect(ends.map(({ state }) => state)).toEqual(started.map(() => 'done'));
    const tasks = [...simulatorOf('north').state.tasks.values()].filter(({ id }) => /^4\d\d$/.test(id));
    expect(tasks).toHaveLength(started.length);
  },
  300_000,
);
