import { createWriteStream, existsSync, mkdirSync, rmSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { openCopy, readIdentity } from '../backups/copies/identity.ts';
import { checkService, isConfiguration, isWithin, namedBy, unpackService } from '../backups/service/archive.ts';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { requireUnbroken } from '../ledger/verify-folder.ts';
import { unfinishedRestorePath, writeRestoredMark } from '../restored-mark.ts';
import type { Secret } from '../secret.ts';
import { acquireKernelLock } from '../service/kernel-lock.ts';
import { acquireLock } from '../service/lock-file.ts';
import { lockPath, runningService } from '../service/record.ts';
import { beginRestore, begunRestore, filesOf, finishRestore, type Journal, stagingOf } from './change-places.ts';

export interface RestoreServiceOptions {
  /** `service-backup-….tar.gz`, or the same encrypted to recipients of age (`….age`). */
  readonly file: string;
  /** Of age, for what is encrypted. */
  readonly identity?: string | undefined;
  readonly askPassphrase: () => Promise<Secret>;
  readonly config: Config;
  readonly configFolder: string;
  /** Who restores: `cli:root`. */
  readonly by: string;
  /** Shows files of the archive that the configuration which is here doesn't name, by where they would be, and asks. */
  readonly agree: (paths: readonly string[]) => Promise<boolean>;
  readonly say: (line: string) => void;
}

export interface RestoredService {
  /** Where what was there before lies now. */
  readonly asides: readonly string[];
  /** Files of the configuration that were missing here and are there now. */
  readonly brought: readonly string[];
  /** Those that are here already, and stay as they are. */
  readonly kept: readonly string[];
  /** Those that nobody wanted. */
  readonly left: readonly string[];
}

/**
 * Puts back a whole service on this machine from its archive, while it is stopped: unpacks it beside the data folder, looks at
 * every file and opens every database, and only then has it change places with what is there, which stays beside it. The
 * mark that holds the service back is in it before. Cut off anywhere it is done again, which finishes what was begun; until then
 * nothing can be started. Throws `conflict` while the service runs, and `unreadable` or `verification-failed` for an archive that
 * isn't whole: then nothing was changed.
 */
export async function restoreService(options: RestoreServiceOptions): Promise<RestoredService> {
  const { config, file, by, say } = options;
  const { dataDir, accessDir } = config;
  if (config.compose !== undefined) throw inContainers();
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const release = alone(config);
  const staging = stagingOf(config);
  const backup = basename(file).replace(/\.tar\.gz(\.age)?$/, '');
  try {
    const begun = begunRestore(config);
    if (begun !== undefined) {
      const done = await finishRestore(config, begun);
      say(`A restore from ${begun.backup} was cut off, and is finished now.`);
      if (begun.backup === backup) return { ...done, kept: [], left: [] };
    }
    // It may lie in the data folder, which is in its place only now.
    if (!existsSync(file)) throw noFile(file);
    const archive = await decrypted(options, staging);
    await unpackService(archive, staging);
    const { files } = await checkService(
      staging,
      async (folder) =>
        existsSync(folder) && requireUnbroken(folder, { called: 'The ledger in it', remedy: 'Take another archive.' }),
    );
    say(`${files} files are as they were packed, and every database opens.`);
    const { bring, kept, left } = await missingHere(options, staging);
    // Before anything of it is in its place.
    const isInside = isWithin(dataDir, accessDir);
    const markIn = isInside ? join(staging, 'data', relative(dataDir, accessDir)) : accessDir;
    mkdirSync(markIn, { recursive: true, mode: 0o700 });
    writeRestoredMark(markIn, { at: new Date().toISOString(), backup, by });
    const done = await finishRestore(config, await beginRestore(config, { backup, bring }));
    return { ...done, kept, left };
  } finally {
    rmSync(`${staging}.tar.gz`, { force: true });
    // What was begun needs it, until it is finished.
    if (!existsSync(unfinishedRestorePath(dataDir))) rmSync(staging, { recursive: true, force: true });
    release();
  }
}

/**
 * What of the archive's configuration and keys isn't here. Nothing says who has packed an archive, and a file of it may be for
 * anywhere: only what a configuration is, and what the one that is here names, is brought unasked.
 */
async function missingHere(
  { configFolder, agree }: RestoreServiceOptions,
  staging: string,
): Promise<{ readonly bring: Journal['bring']; readonly kept: readonly string[]; readonly left: readonly string[] }> {
  const all = [
    ...filesOf(join(staging, 'config')).map((path) => ({
      from: join('config', path),
      to: join(configFolder, path),
      isOwn: isConfiguration(path),
    })),
    ...filesOf(join(staging, 'elsewhere')).map((path) => ({
      from: join('elsewhere', path),
      to: join('/', path),
      isOwn: false,
    })),
  ];
  const named = namedBy(configFolder);
  const missing = all.filter(({ to }) => !existsSync(to));
  const asked = missing.filter(({ isOwn, to }) => !isOwn && !named.includes(to));
  const isWanted = asked.length === 0 || (await agree(asked.map(({ to }) => to)));
  const bring = missing.filter((one) => isWanted || !asked.includes(one)).map(({ from, to }) => ({ from, to }));
  return {
    bring,
    kept: all.filter((one) => !missing.includes(one)).map(({ to }) => to),
    left: isWanted ? [] : asked.map(({ to }) => to),
  };
}

/** Neither a start nor a worker by itself has the data folder, nor gets it meanwhile. */
function alone(config: Config): () => void {
  const service = runningService(config);
  const start = acquireLock(lockPath(config));
  if (!start.held) throw runs(service?.pid ?? start.holder.pid);
  const ledger = join(config.dataDir, 'ledger');
  if (!existsSync(ledger)) return start.release;
  const claim = acquireKernelLock(join(ledger, 'owner.lock'));
  if (claim.held) claim.release();
  else start.release();
  if (!claim.held) throw runs(claim.holder.pid);
  return start.release;
}

/** Beside the data folder, in a file that only this user reads, and that goes with the rest. */
async function decrypted({ file, identity, askPassphrase }: RestoreServiceOptions, staging: string): Promise<string> {
  if (!file.endsWith('.age')) return file;
  if (identity === undefined) {
    throw new ServiceError({
      code: 'invalid-input',
      message: `${file} is encrypted`,
      remedy: 'Give the identity of one of its recipients: --identity FILE',
    });
  }
  const plain = `${staging}.tar.gz`;
  rmSync(plain, { force: true });
  const opened = await openCopy(file, await readIdentity(identity, askPassphrase));
  await pipeline(opened, createWriteStream(plain, { mode: 0o600, flags: 'wx' }));
  return plain;
}

function runs(pid: number): ServiceError {
  return new ServiceError({
    code: 'conflict',
    message: `The service runs on this data folder (process ${pid}), so that nothing was changed`,
    remedy: 'Stop it first: npx proxmox-mcp stop',
  });
}

function noFile(file: string): ServiceError {
  return new ServiceError({
    code: 'not-found',
    message: `There is no ${file}`,
    remedy: 'Archives of the service are in backups/ of the data folder, or wherever you have put them.',
  });
}

function inContainers(): ServiceError {
  return new ServiceError({
    code: 'configuration',
    message: 'The service runs in containers, whose volumes a backup of their host holds; nothing was changed',
    remedy: 'Restore those from the host’s archive.',
  });
}
