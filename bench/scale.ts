import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import protos from '@temporalio/proto';
import { pino } from 'pino';
import { loadConfig } from '../src/config/load.ts';
import type { Config } from '../src/config.ts';
import { packageRoot } from '../src/package.ts';
import { createRuns } from '../src/runs/create-runs.ts';
import { cacheFolder } from '../src/service/paths.ts';
import { findTemporal } from '../src/service/temporal-binary.ts';
import { startTemporalServer } from '../src/service/temporal-server.ts';
import { serviceQueue } from '../src/workflows/lib/messages.ts';
import { holding } from './lib/clean-up.ts';
import { freePort } from './lib/free-port.ts';
import { type BenchResult, contest, notMeasured, quantile } from './lib/ratio.ts';

const aloneQueue = 'alone';
/** Runs of a block, and how many of them go on at the same time. */
const [runs, atOnce] = [48, 16];
const workerCounts = [1, 2, 3];
const hostCounts = [10, 100, 500];
/** A worker that isn't ready then is said not to be. */
const readyWithinMs = 240_000;
const scheduleCount = 1_000;
/** Temporal ends a run whose history is longer. */
const mostEvents = 51_200;

interface Server {
  readonly address: string;
  readonly dataDir: string;
  /** Undefined of one that is somebody else's. */
  readonly pid: number | undefined;
}

// What one worker and one server can do. With BENCH_TEMPORAL_ADDRESS on a server of your own (PostgreSQL, a cluster), in its
// namespace `default`; then without what is measured at the server's own files.

/** Short runs with more and more workers, and what a run leaves in the database. */
export async function benchScaleRuns(): Promise<BenchResult[]> {
  return onServer(async (server) => {
    const results: BenchResult[] = [];
    for (const count of workerCounts) results.push(await throughput(server, count));
    if (server.pid !== undefined) results.push(await growth(server));
    return results;
  });
}

export async function benchScaleSchedules(): Promise<BenchResult[]> {
  return [await onServer(schedules)];
}

/** A worker with more and more hosts. */
export async function benchScaleHosts(): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  let first: number | undefined;
  for (const count of hostCounts) {
    const { result, seconds } = await onServer((server) => hosts(server, count, first));
    first ??= seconds;
    results.push(result);
  }
  return results;
}

/** The recorded runs that replay is tested with: one of each kind at least, of real hosts and of small ones. */
export async function benchScaleHistories(): Promise<BenchResult[]> {
  return [histories()];
}

async function onServer<Result>(work: (server: Server) => Promise<Result>): Promise<Result> {
  const dataDir = mkdtempSync(join(tmpdir(), 'proxmox-mcp-bench-'));
  const given = process.env.BENCH_TEMPORAL_ADDRESS;
  const started = given ? undefined : await startOurs(dataDir);
  return holding(
    async () => {
      await started?.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
    () => work({ address: given ?? started?.address ?? '', dataDir, pid: started?.pid() }),
  );
}

async function startOurs(dataDir: string) {
  const { path: binary } = await findTemporal({
    binary: process.env.TEMPORAL_BINARY,
    cacheDir: cacheFolder(),
    say: () => {},
  });
  const [port, uiPort] = [await freePort(), await freePort()];
  return startTemporalServer({ binary, dataDir, port, uiPort, namespace: 'default', log: pino({ level: 'silent' }) });
}

/** Short runs of ours and bare ones of the same three steps, with as many workers each. */
async function throughput(server: Server, count: number): Promise<BenchResult> {
  const connection = await Connection.connect({ address: server.address });
  const client = new Client({ connection });
  const config = configFor(server, ['bench']);
  const all = createRuns({ client, config });
  const workers = [...(await startWorkers(server, count, 'ours')), ...(await startWorkers(server, count, 'theirs'))];
  return holding(
    async () => {
      await Promise.all(workers.map(end));
      await connection.close();
    },
    () =>
      contest({
        name: `Short runs a second with ${count} worker${count === 1 ? '' : 's'} / the same through Temporal alone`,
        aim: undefined,
        ours: () =>
          perSecond(async () => {
            const { id } = await all.start('check-health', { host: 'bench' }, { kind: 'cli', name: 'bench' });
            await client.workflow.getHandle(id).result();
          }),
        theirs: () =>
          perSecond(() =>
            client.workflow.execute('threeSteps', { workflowId: `three-${unique()}`, taskQueue: aloneQueue }),
          ),
        blocks: 5,
        seconds: 90,
        unit: 'runs/s',
        block: `${runs} runs, ${atOnce} at once`,
        notes: [`server, workers and clients on the same ${cpus().length} cores`],
      }),
  );
}

async function perSecond(one: () => Promise<unknown>): Promise<number> {
  let left = runs;
  const begun = performance.now();
  const work = async () => {
    while (left > 0) {
      left -= 1;
      await one();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return (runs * 1_000) / (performance.now() - begun);
}

let counted = 0;
function unique(): string {
  counted += 1;
  return `${process.pid}-${Date.now()}-${counted}`;
}

/** Processes with a worker each. */
function startWorkers(server: Server, count: number, workflows: 'ours' | 'theirs'): Promise<ChildProcess[]> {
  const queue = workflows === 'ours' ? serviceQueue : aloneQueue;
  return Promise.all(
    Array.from({ length: count }, async (_, index) => {
      // One has the ledger for all of them.
      const ledger = workflows === 'ours' && index === 0 ? [join(server.dataDir, 'bench-ledger')] : [];
      const args = [server.address, queue, workflows, ...ledger];
      const worker = fork(join(import.meta.dirname, 'run', 'worker.js'), args, { stdio: 'inherit' });
      await once(worker, 'message');
      return worker;
    }),
  );
}

/** Many schedules that are due in the same second, beside as many runs that a client starts. */
async function schedules(server: Server): Promise<BenchResult> {
  const connection = await Connection.connect({ address: server.address });
  const client = new Client({ connection });
  const workers = await startWorkers(server, 1, 'theirs');
  const prefix = `bench-${unique()}`;
  return holding(
    async () => {
      await Promise.all(workers.map(end));
      await connection.close();
    },
    async () => {
      const ids = Array.from({ length: scheduleCount }, (_, index) => `${prefix}-${index}`);
      // Far enough away that all of them are there before, and what was started has ended.
      const due = new Date(Math.ceil(Date.now() / 1_000) * 1_000 + 180_000);
      const calendar = {
        year: due.getUTCFullYear(),
        month: monthOf(due),
        dayOfMonth: due.getUTCDate(),
        hour: due.getUTCHours(),
        minute: due.getUTCMinutes(),
        second: due.getUTCSeconds(),
      };
      const createdMs = await timed(() =>
        spread(ids, (scheduleId) =>
          client.schedule.create({
            scheduleId,
            spec: { calendars: [calendar], timezone: 'UTC' },
            action: {
              type: 'startWorkflow',
              workflowType: 'threeSteps',
              workflowId: scheduleId,
              taskQueue: aloneQueue,
              args: [],
            },
          }),
        ),
      );
      const begun = `begun-${prefix}`;
      const startedMs = await timed(() =>
        spread(ids, (id) =>
          client.workflow.start('threeSteps', { workflowId: `${begun}-${id}`, taskQueue: aloneQueue, args: [] }),
        ),
      );
      await sleep(Math.max(0, due.getTime() - Date.now()));
      const query = `WorkflowId STARTS_WITH '${prefix}-'`;
      const fired = await untilCount(client, query);
      const firedMs = fired.last - due.getTime();
      await spread(ids, (id) => client.schedule.getHandle(id).delete());
      return {
        name: `${scheduleCount} schedules due in one second, until the last has started its run / as many starts by a client`,
        ratio: firedMs / startedMs,
        aim: undefined,
        spread: undefined,
        counts: `${scheduleCount} schedules, once`,
        notes: [
          `${fired.count} fired within ${seconds(firedMs)}, ${scheduleCount} started by a client in ${seconds(startedMs)}`,
          `made in ${seconds(createdMs)}: ${Math.round((scheduleCount * 1_000) / createdMs)} a second, ${atOnce} at once`,
        ],
      };
    },
  );
}

const months = ['JANUARY', 'FEBRUARY', 'MARCH', 'APRIL', 'MAY', 'JUNE', 'JULY', 'AUGUST', 'SEPTEMBER'] as const;
const lastMonths = ['OCTOBER', 'NOVEMBER', 'DECEMBER'] as const;
function monthOf(date: Date) {
  return [...months, ...lastMonths][date.getUTCMonth()] ?? 'JANUARY';
}

/** How many have started and when the last one of them did, ms: when all have, or when that takes too long. */
async function untilCount(client: Client, query: string): Promise<{ readonly count: number; readonly last: number }> {
  const until = Date.now() + 180_000;
  for (;;) {
    const { count } = await client.workflow.count(query);
    if (count < scheduleCount && Date.now() < until) {
      await sleep(500);
      continue;
    }
    let last = 0;
    for await (const { startTime } of client.workflow.list({ query, pageSize: 1_000 })) {
      last = Math.max(last, startTime.getTime());
    }
    return { count, last };
  }
}

async function spread(ids: readonly string[], one: (id: string) => Promise<unknown>): Promise<void> {
  const rest = [...ids];
  const work = async () => {
    for (let id = rest.pop(); id !== undefined; id = rest.pop()) await one(id);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

/** What a closed run leaves in the database of the server that the service runs. */
async function growth(server: Server): Promise<BenchResult> {
  const connection = await Connection.connect({ address: server.address });
  const client = new Client({ connection });
  const all = createRuns({ client, config: configFor(server, ['bench']) });
  const workers = [...(await startWorkers(server, 1, 'ours')), ...(await startWorkers(server, 1, 'theirs'))];
  return holding(
    async () => {
      await Promise.all(workers.map(end));
      await connection.close();
    },
    async () => {
      const count = 240;
      const grownBy = async (one: () => Promise<unknown>) => {
        const before = databaseBytes(server);
        for (let n = 0; n < count / runs; n++) await perSecond(one);
        await sleep(2_000);
        return (databaseBytes(server) - before) / count;
      };
      const ours = await grownBy(async () => {
        const { id } = await all.start('check-health', { host: 'bench' }, { kind: 'cli', name: 'bench' });
        await client.workflow.getHandle(id).result();
      });
      const theirs = await grownBy(() =>
        client.workflow.execute('threeSteps', { workflowId: `three-${unique()}`, taskQueue: aloneQueue }),
      );
      return {
        name: 'What a short run leaves in the database / what the same leaves of Temporal alone',
        ratio: ours / theirs,
        aim: undefined,
        spread: undefined,
        counts: `${count} runs of each`,
        notes: [`ours ${kib(ours)}, theirs ${kib(theirs)} a run, in SQLite's file (its log not counted)`],
      };
    },
  );
}

/** Pages that are in use count, and not how far the write-ahead log has grown. */
function databaseBytes({ dataDir }: Server): number {
  const [path, log] = [join(dataDir, 'temporal.sqlite'), join(dataDir, 'temporal.sqlite-wal')];
  const head = readFileSync(path).subarray(0, 100);
  const pageSize = head.readUInt16BE(16) || 65_536;
  const frames = readFileSync(log);
  // The last commit in the log says how many pages the database has.
  for (
    let at = frames.length - ((frames.length - 32) % (pageSize + 24)) - pageSize - 24;
    at >= 32;
    at -= pageSize + 24
  ) {
    const pages = frames.readUInt32BE(at + 4);
    if (pages > 0 && frames.subarray(at + 8, at + 16).equals(frames.subarray(16, 24))) return pages * pageSize;
  }
  return statSync(path).size;
}

/** The real worker with so many hosts, each of which has a queue of its own. Nothing is done on them. */
async function hosts(
  server: Server,
  count: number,
  first: number | undefined,
): Promise<{ readonly result: BenchResult; readonly seconds: number | undefined }> {
  const name = `A worker with ${count} hosts is ready / one with ${hostCounts[0]}`;
  const folder = join(server.dataDir, 'service');
  mkdirSync(join(folder, 'data'), { recursive: true });
  writeHosts(folder, count);
  const begin = async () => {
    const worker = await startService(server, folder);
    return { ...worker, stop: () => end(worker.child) };
  };
  try {
    const made = await begin();
    await made.stop();
    const again = await begin();
    return await holding(again.stop, async () => {
      await sleep(5_000);
      const [cpuBefore, serverBefore] = [cpuMs(again.child.pid), cpuMs(server.pid)];
      await sleep(10_000);
      const share = (after: number, before: number) => `${((after - before) / 100).toFixed(0)} % of a core`;
      const result = {
        name,
        ratio: again.seconds / (first ?? again.seconds),
        aim: undefined,
        spread: undefined,
        counts: `${count} hosts, one start that makes ${2 * count} schedules and one that finds them`,
        notes: [
          `ready after ${made.seconds.toFixed(1)} s the first time, ${again.seconds.toFixed(1)} s the second`,
          `memory: worker ${mib(again.child.pid)}, server ${mib(server.pid)}`,
          `at rest for 10 s: worker ${share(cpuMs(again.child.pid), cpuBefore)}, server ${share(cpuMs(server.pid), serverBefore)}`,
        ],
      };
      return { result, seconds: again.seconds };
    });
  } catch (error) {
    return { result: notMeasured({ name, aim: undefined }, error), seconds: undefined };
  }
}

function writeHosts(folder: string, count: number): void {
  const address = (index: number) => `10.0.${index >> 8}.${index & 255}`;
  const entries = Array.from({ length: count }, (_, index) => [`node${index}`, { SSH_HOST: address(index) }]);
  writeFileSync(join(folder, 'hosts.yaml'), JSON.stringify({ hosts: Object.fromEntries(entries) }), { mode: 0o600 });
}

async function startService(server: Server, folder: string): Promise<{ child: ChildProcess; seconds: number }> {
  const [port = '7233'] = server.address.split(':').slice(-1);
  const env = {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    PROXMOX_MCP_CONFIG_DIR: folder,
    DATA_DIR: join(folder, 'data'),
    ...(server.pid === undefined ? { TEMPORAL_ADDRESS: server.address } : { TEMPORAL_PORT: port }),
    WORKER_METRICS_PORT: String(await freePort()),
    TEST_RUN: process.env.TEST_RUN,
  };
  const begun = performance.now();
  const child = spawn(process.execPath, [join(packageRoot(), 'dist/src/cli.js'), 'worker'], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  let isReady = false;
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    if (isReady) return;
    said = `${said}${text}`.slice(-20_000);
    isReady = /worker is ready/.test(said);
  });
  while (!isReady) {
    if (child.exitCode !== null) throw new Error(`the worker ended: ${said.slice(-500)}`);
    if (performance.now() - begun > readyWithinMs) {
      await end(child);
      throw new Error(`not ready within ${readyWithinMs / 1_000} s`);
    }
    await sleep(20);
  }
  return { child, seconds: (performance.now() - begun) / 1_000 };
}

function histories(): BenchResult {
  const folder = join(packageRoot(), 'test/replay/histories');
  const sizes = readdirSync(folder)
    .map((file) => {
      const history = historyFromJSON(JSON.parse(readFileSync(join(folder, file), 'utf8')));
      const bytes = protos.temporal.api.history.v1.History.encode(history).finish().length;
      return { name: file.replace('.json', ''), events: history.events?.length ?? 0, bytes };
    })
    .sort((a, b) => b.events - a.events);
  return {
    name: `Events of the longest recorded run / Temporal's limit of ${mostEvents}`,
    ratio: (sizes[0]?.events ?? 0) / mostEvents,
    aim: { atMost: 0.04 },
    spread: undefined,
    counts: `${sizes.length} recorded runs, median ${quantile(
      sizes.map(({ events }) => events),
      0.5,
    )} events and ${kib(
      quantile(
        sizes.map(({ bytes }) => bytes),
        0.5,
      ),
    )}`,
    notes: sizes.map(({ name, events, bytes }) => `${name}: ${events} events, ${kib(bytes)}`),
  };
}

function configFor({ address }: Server, names: readonly string[]): Config {
  const { config } = loadConfig({ argv: [], env: {}, cwd: '/' });
  const hosts = names.map((name) => ({ name, local: { sudo: false }, layout: {}, timeZone: 'UTC' }));
  return { ...config, hosts: hosts as unknown as Config['hosts'], temporal: { ...config.temporal, address } };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  const killer = setTimeout(() => child.kill('SIGKILL'), 40_000);
  await exit;
  clearTimeout(killer);
}

/** Of Linux: what a process has used, ms. */
function cpuMs(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function mib(pid: number | undefined): string {
  const [, resident = '0'] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return `${Math.round(Number(resident) / 1_024)} MiB`;
}

const kib = (bytes: number) => `${(bytes / 1_024).toFixed(1)} KiB`;
const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
