import type { Config, HostConfig } from '../config.ts';
import { ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Notices } from '../operations/notice.ts';
import type { RunDetails, RunSummary, Runs } from '../runs/runs.ts';
import type { ScheduleSummary, Schedules } from '../runs/schedules.ts';
import { type Backup, createBackups } from './backups.ts';
import { keptByKey, within } from './kept.ts';

/** One part of the page: what was found, or why it could not be read. */
export type Part<T> = { readonly value: T } | { readonly problem: string };

/** A host and the last that is known of its health. */
export interface HostState {
  readonly host: HostConfig;
  /** The newest health check that has ended. */
  readonly checked?: RunSummary;
}

/** A host's last good backup, and what became of a later try. */
export interface BackupState {
  readonly host: HostConfig;
  readonly last?: Backup;
  /** The newest back-up that has ended otherwise since then. */
  readonly failed?: RunSummary;
}

/** What the page shows, read at one time. */
export interface ConsoleState {
  readonly hosts: Part<readonly HostState[]>;
  readonly backups: Part<readonly BackupState[]>;
  /** Runs that wait for a person, with their questions. */
  readonly waiting: Part<readonly RunSummary[]>;
  readonly runs: Part<readonly RunSummary[]>;
  readonly schedules: Part<readonly ScheduleSummary[]>;
  /** The first of those that go on, with what they are doing. */
  readonly running: Part<readonly RunDetails[]>;
  /** What the watch over the scheduled runs says; undefined: nobody knows. */
  readonly notices: Part<Notices | 'absent' | 'silent' | undefined>;
}

export interface StateDependencies {
  readonly runs: Runs;
  readonly schedules: Schedules;
  readonly config: Config;
  readonly log: Log;
  readonly notices?: () => Promise<Notices | 'absent' | 'silent'>;
}

/** So many of the newest runs are looked at; in them stand nearly every host's last check and backup. */
const newest = 100;
/** The newest of the paused runs. */
const shownWaiting = 20;
/** Each of these is asked what it is doing. */
const shownRunning = 5;

/** How long a part may take before the page comes without it. Milliseconds. */
const partMs = 2_500;

/** How long one reading serves everybody who looks. Milliseconds. */
export const freshMs = 1_000;

/**
 * How long what takes many questions serves: what stands behind the newest runs, where hardly anything changes, and the
 * schedules, each of which is asked for. Milliseconds.
 */
const keptMs = { behind: 60_000, schedules: 10_000 } as const;

/** Reads what the page shows; all parts side by side, and at most once a second, however many look. */
export interface StateReader {
  /** @param host only its runs and schedules; a configured one. Default: all */
  read(host?: string): Promise<ConsoleState>;
  schedules(): Promise<readonly ScheduleSummary[]>;
  /** Somebody has changed something: the next look is a new one. */
  forget(): void;
}

export function createStateReader(dependencies: StateDependencies): StateReader {
  const { runs, schedules, config, log } = dependencies;
  const backupOf = createBackups(runs);
  const checkBehind = keptByKey(keptMs.behind, async (host: string) => {
    // One may be going on: the one before it is the last.
    const { runs: found } = await runs.list({ operation: 'check-health', host, limit: 2 });
    return found.find(({ target, closedAt }) => target === host && closedAt !== undefined);
  });
  const backupBehind = keptByKey(keptMs.behind, async (host: string) => {
    const { runs: found } = await runs.list({ operation: 'back-up', host, state: 'done', limit: 1 });
    return found[0];
  });
  const plannedRuns = keptByKey(keptMs.schedules, () => schedules.list());
  const current = keptByKey(freshMs, read);

  async function read(host: string): Promise<ConsoleState> {
    const recent = runs.list({ limit: newest }).then((page) => page.runs);
    const own = host === '' ? recent : runs.list({ limit: newest, host }).then((page) => page.runs);
    const [hosts, backups, waiting, shown, going, planned, unmailed] = await Promise.all([
      part('hosts', () => each(config.hosts, (host) => hostState(host, recent))),
      part('backups', () => each(config.hosts, (host) => backupState(host, recent))),
      part('waiting runs', readWaiting),
      part('runs', () => own),
      part('running runs', async () => readRunning(await own)),
      part('schedules', async () => {
        const all = await plannedRuns('');
        return host === '' ? all : all.filter(({ target }) => target.split('/')[0] === host);
      }),
      part('notices', async () => dependencies.notices?.()),
    ]);
    return { hosts, backups, waiting, runs: shown, running: going, schedules: planned, notices: unmailed };
  }

  async function part<T>(name: string, find: () => Promise<T>): Promise<Part<T>> {
    try {
      return { value: await within(partMs, find()) };
    } catch (error) {
      if (error instanceof ServiceError) return { problem: error.message };
      log.warn({ err: error, part: name }, 'a part of the page could not be read');
      return { problem: 'It could not be read; the log of the MCP server says why.' };
    }
  }

  async function hostState(host: HostConfig, recent: Promise<readonly RunSummary[]>): Promise<HostState> {
    const isCheck = ({ operation, target, closedAt }: RunSummary) =>
      operation === 'check-health' && target === host.name && closedAt !== undefined;
    const checked = (await recent).find(isCheck) ?? (await checkBehind(host.name));
    return { host, ...(checked === undefined ? {} : { checked }) };
  }

  async function backupState(host: HostConfig, recent: Promise<readonly RunSummary[]>): Promise<BackupState> {
    const own = (await recent).filter((run) => run.operation === 'back-up' && run.target === host.name && !run.dryRun);
    const done = own.find(({ state }) => state === 'done') ?? (await backupBehind(host.name));
    const ended = own.find(({ closedAt }) => closedAt !== undefined);
    return {
      host,
      ...(done === undefined ? {} : { last: await backupOf(done) }),
      ...(ended === undefined || ended.id === done?.id ? {} : { failed: ended }),
    };
  }

  async function readWaiting(): Promise<readonly RunSummary[]> {
    return (await runs.list({ state: 'paused', dryRuns: true, limit: shownWaiting })).runs;
  }

  async function readRunning(recent: readonly RunSummary[]): Promise<readonly RunDetails[]> {
    const going = recent.filter(({ state, closedAt }) => state === 'running' && closedAt === undefined);
    return Promise.all(going.slice(0, shownRunning).map(({ id }) => runs.get(id)));
  }

  return {
    read: (host = '') => current(host),
    schedules: () => plannedRuns(''),
    forget() {
      current.forget();
      plannedRuns.forget();
    },
  };
}

function each<T>(hosts: readonly HostConfig[], find: (host: HostConfig) => Promise<T>): Promise<T[]> {
  return Promise.all(hosts.map(find));
}
