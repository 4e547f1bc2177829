import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConfigurationInUse, configurationInUse, recordConfiguration } from '../config/in-use.ts';
import type { Reader } from '../config/key.ts';
import type { LoadedConfig, LoadOptions } from '../config/load.ts';
import { describeConfigFinding } from '../config/problems.ts';
import { type ConfigurationFile, readAgain } from '../config/read-again.ts';
import { explain, ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import { replacePrivateFile } from '../private-file.ts';
import { readableList } from '../reports/units.ts';
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts';
import { parts as partNames } from './record.ts';
import type { ReloadRequests } from './reload-requests.ts';

const names: Readonly<Record<Reader, string>> = { ...partNames, ledger: 'ledger' };

/** What a process did with its configuration when it was told to read it again. */
export interface ReloadAnswer {
  /** `refused`: something in it is wrong; `failed`: it is right, but could not be put to use. Both leave the old one. */
  readonly outcome: 'taken' | 'refused' | 'failed';
  /** Nanoseconds of the machine's monotonic clock, when it began to read. */
  readonly begunAt: string;
  readonly changed: readonly string[];
  readonly needRestart: readonly string[];
  readonly problems: readonly string[];
}

/** A process that takes such requests, as its file in `run/` of the data folder says. */
interface Reloadable extends ProcessIdentity {
  readonly reader: Reader;
  readonly answer?: ReloadAnswer;
}

export interface ReloaderOptions {
  readonly reader: Reader;
  /** What the process has read when it started, and how. */
  readonly loaded: LoadedConfig;
  readonly options: LoadOptions;
  readonly files: readonly ConfigurationFile[];
  readonly requests: ReloadRequests;
  readonly log: Log;
}

/** Reads the configuration again whenever this process is told to. */
export interface Reloader {
  /** What the process runs with now. */
  readonly inUse: () => ConfigurationInUse;
  /** From now on, and for what was asked before. `apply` puts a configuration to use, or leaves everything as it was and throws. */
  serve(apply: (loaded: LoadedConfig) => Promise<void>): void;
  /** Takes no more requests; resolves when the one that goes on is over. */
  close(): Promise<void>;
}

/**
 * One request after the other; those that come while one goes on are one more after it, because what it reads may be older
 * than they. Each is answered in the log and, for `proxmox-mcp reload`, in the data folder.
 */
export function createReloader({ reader, loaded, options, files, requests, log }: ReloaderOptions): Reloader {
  const { dataDir } = loaded.config;
  const path = answerPath(dataDir, reader);
  let current = loaded;
  let inUse = configurationInUse(loaded, reader);
  let isAsked = false;
  let isClosed = false;
  let going: Promise<void> | undefined;
  recordConfiguration(dataDir, inUse);

  function write(answer?: ReloadAnswer): void {
    const identity = identify(process.pid);
    if (identity === undefined) return;
    try {
      replacePrivateFile(path, JSON.stringify({ ...identity, reader, ...(answer && { answer }) } satisfies Reloadable));
    } catch (error) {
      log.debug({ err: error }, 'the answer to a reload could not be written; the log has it');
    }
  }

  async function read(apply: (loaded: LoadedConfig) => Promise<void>): Promise<Omit<ReloadAnswer, 'begunAt'>> {
    const nothing = { changed: [], needRestart: [], problems: [] };
    try {
      const found = readAgain(current, options, files);
      if ('problems' in found) {
        const problems = found.problems.map(describeConfigFinding);
        for (const problem of problems)
          log.error({}, `the configuration was read again, but nothing of it counts: ${problem}`);
        return { ...nothing, outcome: 'refused', problems };
      }
      await apply(found.loaded);
      current = found.loaded;
      inUse = configurationInUse(current, reader, inUse);
      recordConfiguration(dataDir, inUse);
      const { changed, needRestart } = found;
      for (const warning of current.warnings) log.warn({}, describeConfigFinding(warning));
      log.info({ changed, needRestart }, `the configuration was read again${saidOf({ changed, needRestart })}`);
      return { ...nothing, outcome: 'taken', changed, needRestart };
    } catch (error) {
      const why =
        error instanceof ServiceError ? explain(error) : error instanceof Error ? error.message : String(error);
      log.error(
        { err: error },
        `the configuration was read again, but can't be put to use; the old one counts: ${why}`,
      );
      return { ...nothing, outcome: 'failed', problems: [why] };
    }
  }

  async function serveAll(apply: (loaded: LoadedConfig) => Promise<void>): Promise<void> {
    while (isAsked && !isClosed) {
      isAsked = false;
      const begunAt = String(process.hrtime.bigint());
      write({ begunAt, ...(await read(apply)) });
    }
    going = undefined;
  }

  return {
    inUse: () => inUse,
    serve(apply) {
      write();
      requests.listen(() => {
        isAsked = true;
        if (!isClosed) going ??= serveAll(apply);
      });
    },
    async close() {
      isClosed = true;
      await going;
      rmSync(path, { force: true });
    },
  };
}

/** A process's answer, or that it gave none: undefined. */
export interface ReloadedProcess {
  readonly reader: Reader;
  readonly pid: number;
  readonly answer: ReloadAnswer | undefined;
}

/** Longer than a worker takes to build its part anew on a busy machine. */
const answerMs = 90_000;

/**
 * Tells the processes that run on this data folder, on this machine or in this container, to read their configuration
 * again, and waits for their answers. Throws `forbidden` for another user's.
 */
export async function reloadProcesses(dataDir: string): Promise<readonly ReloadedProcess[]> {
  const told = reloadables(dataDir).map((one) => ({ ...one, toldAt: tell(one) }));
  const deadline = performance.now() + answerMs;
  return Promise.all(
    told.map(async ({ file, reader, pid, started, toldAt }) => {
      for (;;) {
        const answer = readReloadable(file)?.answer;
        if (answer !== undefined && BigInt(answer.begunAt) >= toldAt) return { reader, pid, answer };
        if (performance.now() > deadline || !isAlive({ pid, started })) return { reader, pid, answer: undefined };
        await sleep(100);
      }
    }),
  );
}

/** For a person: what each process did. */
export function reloadedLines(processes: readonly ReloadedProcess[]): readonly string[] {
  return processes.flatMap(({ reader, pid, answer }) => {
    const name = `${names[reader]} (process ${pid})`;
    if (answer === undefined) return [`The ${name} did not answer; its log says what it does.`];
    if (answer.outcome === 'taken') return [`The ${name} has read the configuration again${saidOf(answer)}.`];
    const what =
      answer.outcome === 'refused'
        ? 'has found problems, and nothing has changed'
        : "can't put the configuration to use, and the old one counts";
    return [`The ${name} ${what}:`, ...answer.problems.map((problem, index) => `  ${index + 1}. ${problem}`)];
  });
}

function saidOf({ changed, needRestart }: Pick<ReloadAnswer, 'changed' | 'needRestart'>): string {
  const news = changed.length === 0 ? ': no key has changed' : `: ${readableList(changed)} changed`;
  if (needRestart.length === 0) return news;
  const counts = needRestart.length === 1 ? 'counts' : 'count';
  return `${news}; ${readableList(needRestart)} ${counts} only after a restart`;
}

/** When it was told, by the machine's monotonic clock. */
function tell({ pid, reader }: Reloadable): bigint {
  const toldAt = process.hrtime.bigint();
  try {
    process.kill(pid, 'SIGHUP');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return toldAt; // It ended in between.
    throw new ServiceError({
      code: 'forbidden',
      message: `The ${names[reader]} is process ${pid}, which is another user's`,
      remedy: 'Run this as that user, or as root',
    });
  }
  return toldAt;
}

const ending = '.reload';

/** Several containers may share the folder, each with a process 1 of its own. */
function answerPath(dataDir: string, reader: Reader): string {
  return join(dataDir, 'run', `${reader}@${hostname()}.${process.pid}${ending}`);
}

/** Removes what killed processes have left. */
export function forgetReloads(dataDir: string): void {
  reloadables(dataDir);
}

/** Those of this machine that live; what the dead have left is removed. */
function reloadables(dataDir: string): readonly (Reloadable & { readonly file: string })[] {
  const folder = join(dataDir, 'run');
  let names: readonly string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  const ours = names.filter((name) => name.endsWith(ending) && name.includes(`@${hostname()}.`)).sort();
  return ours.flatMap((name) => {
    const file = join(folder, name);
    const found = readReloadable(file);
    if (found !== undefined && isAlive(found)) return [{ ...found, file }];
    rmSync(file, { force: true });
    return [];
  });
}

function readReloadable(file: string): Reloadable | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Reloadable;
  } catch {
    return undefined;
  }
}
