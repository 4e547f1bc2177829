import { execFile } from 'node:child_process';
import { accessSync, constants, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ServiceError } from '../errors.ts';
import { acquireLock } from './lock-file.ts';
import { buildTemporal } from './temporal-build.ts';
import { downloadTemporal } from './temporal-download.ts';
import { oldestTemporalServer, temporalVersion } from './temporal-version.ts';

export interface TemporalBinary {
  readonly path: string;
  /** How it was found: for the start's output. */
  readonly source: 'configured' | 'path' | 'cache' | 'download' | 'build';
  /** What it says of itself: `1.9.1 (Server 1.32.0, UI 2.54.1)`. */
  readonly version: string;
}

/** Puts an executable file at `to`; throws `ServiceError` when it can't. */
export type TemporalProvider = (to: string, say: (line: string) => void, signal?: AbortSignal) => Promise<void>;

export interface FindTemporalOptions {
  /** Explicit path (`TEMPORAL_BINARY`): used or refused, never ignored. */
  readonly binary?: string | undefined;
  readonly cacheDir: string;
  readonly say: (line: string) => void;
  /** Ends waiting, downloading and building; then `cancelled` is thrown. */
  readonly signal?: AbortSignal;
  /** Default: PATH of this process. */
  readonly searchPath?: string | undefined;
  /** Ways to get one, tried in this order. Default: the official download, then a build from the pinned Go module. */
  readonly providers?: readonly { readonly source: 'download' | 'build'; readonly provide: TemporalProvider }[];
}

/**
 * Finds the Temporal dev server, or gets it: an explicit path, PATH, the cache, the official download, a build.
 * Throws `configuration` for an explicit path that can't be used, `unavailable` when no way is open, with each reason.
 */
export async function findTemporal(options: FindTemporalOptions): Promise<TemporalBinary> {
  if (options.binary !== undefined) {
    const tried = await tryBinary(options.binary);
    if (tried.version !== undefined) return { path: options.binary, source: 'configured', version: tried.version };
    throw new ServiceError({
      code: 'configuration',
      message: `TEMPORAL_BINARY is ${options.binary}, which ${tried.problem}`,
      remedy: 'Set it to the path of the Temporal CLI, or remove it to let the service get one',
    });
  }
  for (const folder of (options.searchPath ?? process.env.PATH ?? '').split(delimiter).filter(Boolean)) {
    const path = join(folder, 'temporal');
    if (!isExecutableFile(path)) continue;
    const tried = await tryBinary(path);
    if (tried.version !== undefined) return { path, source: 'path', version: tried.version };
    options.say(`${path} is not used: it ${tried.problem}`);
  }
  return (await fromCache(options.cacheDir)) ?? (await fillCache(options));
}

interface CacheRecord {
  readonly pinned: string;
  readonly bytes: number;
  readonly mtimeMs: number;
}

/** Only a binary whose record was written after it, of this pinned version, unchanged since, and that runs. */
async function fromCache(cacheDir: string): Promise<TemporalBinary | undefined> {
  const { path, record } = cachePaths(cacheDir);
  try {
    const known = JSON.parse(await readFile(record, 'utf8')) as Partial<CacheRecord>;
    const { size, mtimeMs } = statSync(path);
    if (known.pinned !== temporalVersion || known.bytes !== size || known.mtimeMs !== mtimeMs) return undefined;
  } catch {
    return undefined;
  }
  const { version } = await tryBinary(path);
  return version === undefined ? undefined : { path, source: 'cache', version };
}

/** One process at a time; another one waits and then finds what the first one got. */
async function fillCache(options: FindTemporalOptions): Promise<TemporalBinary> {
  const { folder, path, record } = cachePaths(options.cacheDir);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const release = await waitForLock(join(folder, 'lock'), options);
  try {
    const there = await fromCache(options.cacheDir);
    if (there) return there;
    emptyFolder(folder);
    const refusals: string[] = [];
    for (const { source, provide } of options.providers ?? defaultProviders) {
      const draft = join(folder, `temporal.new`);
      try {
        await provide(draft, options.say, options.signal);
        const tried = await tryBinary(draft);
        if (tried.version === undefined) throw refusal(`the file ${tried.problem}`);
        renameSync(draft, path);
        const { size, mtimeMs } = statSync(path);
        const known: CacheRecord = { pinned: temporalVersion, bytes: size, mtimeMs };
        writeFileSync(`${record}.new`, JSON.stringify(known));
        renameSync(`${record}.new`, record);
        return { path, source, version: tried.version };
      } catch (error) {
        if (options.signal?.aborted) throw cancelledError();
        if (!(error instanceof ServiceError)) throw error;
        refusals.push(`${source}: ${error.message}`);
        options.say(`${source}: ${error.message}`);
      } finally {
        rmSync(draft, { force: true });
      }
    }
    throw new ServiceError({
      code: 'unavailable',
      message: `There is no Temporal server on this machine, and none could be downloaded or built (${refusals.join('; ')})`,
      remedy: `Install the Temporal CLI ${temporalVersion} (https://docs.temporal.io/cli) or Go 1.26.8, or set TEMPORAL_BINARY or TEMPORAL_ADDRESS`,
    });
  } finally {
    release();
  }
}

const defaultProviders = [
  { source: 'download', provide: downloadTemporal },
  { source: 'build', provide: buildTemporal },
] as const;

/** What a start that was killed left here; the lock is ours. */
function emptyFolder(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (!name.startsWith('lock')) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

async function waitForLock(path: string, { say, signal }: FindTemporalOptions): Promise<() => void> {
  for (let said = false; ; said = true) {
    const attempt = acquireLock(path);
    if (attempt.held) return attempt.release;
    if (!said) say(`process ${attempt.holder.pid} is getting the Temporal server; waiting for it`);
    if (signal?.aborted) throw cancelledError();
    await sleep(500);
  }
}

function cachePaths(cacheDir: string): { folder: string; path: string; record: string } {
  const folder = join(cacheDir, 'temporal');
  return { folder, path: join(folder, 'temporal'), record: join(folder, 'temporal.json') };
}

function isExecutableFile(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Asks the binary for its version; a partial or foreign one doesn't answer as the Temporal CLI does. */
async function tryBinary(path: string): Promise<{ version?: string; problem?: string }> {
  if (!isExecutableFile(path)) return { problem: 'is not an executable file' };
  try {
    const { stdout } = await promisify(execFile)(path, ['--version'], { timeout: 15_000 });
    const match = /temporal version (\S+ \(Server (\d+)\.(\d+)\.(\d+).*\))/.exec(stdout);
    if (!match?.[1]) return { problem: 'does not answer as the Temporal CLI' };
    const server = match.slice(2, 5).map(Number);
    const older = oldestTemporalServer.findIndex((part, index) => part !== server[index]);
    return older >= 0 && (server[older] ?? 0) < (oldestTemporalServer[older] ?? 0)
      ? { problem: `has server ${server.join('.')}; ${oldestTemporalServer.join('.')} or newer is needed` }
      : { version: match[1] };
  } catch {
    return { problem: 'does not run' };
  }
}

function refusal(message: string): ServiceError {
  return new ServiceError({ code: 'unavailable', message, remedy: 'Try again, or set TEMPORAL_BINARY' });
}

function cancelledError(): ServiceError {
  return new ServiceError({
    code: 'cancelled',
    message: 'Getting the Temporal server was cancelled',
    remedy: 'Start again',
  });
}
