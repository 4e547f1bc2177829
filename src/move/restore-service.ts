import {
  chmodSync,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { openCopy, readIdentity } from '../backups/copies/identity.ts';
import { checkService, unpackService } from '../backups/service/archive.ts';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { verifyFolder } from '../ledger/verify-folder.ts';
import { syncFolderOf } from '../private-file.ts';
import { writeRestoredMark } from '../restored-mark.ts';
import type { Secret } from '../secret.ts';
import { acquireKernelLock } from '../service/kernel-lock.ts';
import { acquireLock } from '../service/lock-file.ts';
import { lockPath, runningService } from '../service/record.ts';
import { copyPrivate, makePrivateFolder } from './move-folder.ts';

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
  readonly say: (line: string) => void;
}

export interface RestoredService {
  /** Where what was there before lies now; undefined: there was nothing. */
  readonly aside?: string;
  /** Files of the configuration that were missing here and are there now. */
  readonly brought: readonly string[];
  /** Those that are here already, and stay as they are. */
  readonly kept: readonly string[];
}

/** What isn't of the service's state stays where it is: archives, copies of hosts' archives, logs. */
const stays = ['backups', 'copies', 'logs', 'cache'];

/**
 * Puts back a whole service on this machine from its archive, while it is stopped: unpacks it beside the data folder, looks at
 * every file and opens every database, and only then has it change places with what is there, which stays beside it. The
 * mark that holds the service back is in it before. Cut off anywhere it is done again. Throws `conflict` while the service
 * runs, and `unreadable` or `verification-failed` for an archive that isn't whole: then nothing was changed.
 */
export async function restoreService(options: RestoreServiceOptions): Promise<RestoredService> {
  const { config, configFolder, file, by, say } = options;
  const { dataDir, accessDir } = config;
  if (config.compose !== undefined) throw inContainers();
  if (!existsSync(file)) throw noFile(file);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const release = alone(config);
  const staging = `${dataDir}.restoring`;
  try {
    const archive = await decrypted(options, staging);
    await unpackService(archive, staging);
    const { files } = await checkService(staging, verifyLedger);
    say(`${files} files are as they were packed, and every database opens.`);
    const data = join(staging, 'data');
    const mark = { at: new Date().toISOString(), backup: basename(file).replace(/\.tar\.gz(\.age)?$/, ''), by };
    // Before anything of it is in its place.
    writeRestoredMark(accessDir === dataDir ? data : accessDir, mark);
    const aside = changePlaces(dataDir, data);
    const outcome = bringConfiguration(staging, configFolder);
    return { ...(aside !== undefined && { aside }), ...outcome };
  } finally {
    rmSync(staging, { recursive: true, force: true });
    rmSync(`${staging}.tar.gz`, { force: true });
    release();
  }
}

/** What is there moves aside, and what was unpacked into its place; it goes back where that can't be done. */
function changePlaces(dataDir: string, data: string): string | undefined {
  chmodSync(data, statSync(dataDir).mode & 0o7777);
  const aside = `${dataDir}.before-${new Date().toISOString().replaceAll(/[-:]/g, '').slice(0, 15)}`;
  try {
    renameSync(dataDir, aside);
  } catch (cause) {
    throw new ServiceError({
      code: 'configuration',
      message: `${dataDir} can't be moved aside (${(cause as NodeJS.ErrnoException).code}), so that nothing was changed`,
      remedy: 'Where it is a mount point of its own, set DATA_DIR to a folder on it, and move what is there into that.',
      cause,
    });
  }
  try {
    renameSync(data, dataDir);
  } catch (error) {
    renameSync(aside, dataDir);
    throw error;
  }
  for (const name of stays) {
    if (existsSync(join(aside, name)) && !existsSync(join(dataDir, name))) {
      renameSync(join(aside, name), join(dataDir, name));
    }
  }
  syncFolderOf(dataDir);
  const left = readdirSync(aside).filter((name) => name !== 'run');
  if (left.length > 0) return aside;
  rmSync(aside, { recursive: true, force: true });
  return undefined;
}

/** What is here says where things are on this machine, so that it stays; what is missing is put where it was. */
function bringConfiguration(staging: string, configFolder: string): Pick<RestoredService, 'brought' | 'kept'> {
  const brought: string[] = [];
  const kept: string[] = [];
  const bring = (from: string, to: string) => {
    if (existsSync(to)) return void kept.push(to);
    makePrivateFolder(dirname(to));
    copyPrivate(from, to);
    brought.push(to);
  };
  for (const path of filesOf(join(staging, 'config'))) {
    bring(join(staging, 'config', path), join(configFolder, path));
  }
  for (const path of filesOf(join(staging, 'elsewhere'))) bring(join(staging, 'elsewhere', path), join('/', path));
  return { brought, kept };
}

function filesOf(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
    statSync(join(folder, path)).isFile(),
  );
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

async function verifyLedger(folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  const { verdict, problems } = await verifyFolder(folder, []);
  if (verdict !== 'broken') return;
  throw new ServiceError({
    code: 'verification-failed',
    message: `The ledger in it is not as it was written: ${problems[0] ?? 'it is damaged'}`,
    remedy: 'Take another archive.',
  });
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
