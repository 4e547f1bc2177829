import { createWriteStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '../errors.ts';
import { type BackupFile, encodedPath, type InBackup, readBackupEntry, storageOf } from '../operations/backup-files.ts';
import { refuseClosed } from '../operations/browse-guest-backup.ts';
import { readStorages } from '../operations/guest-disks.ts';
import { said } from '../operations/said.ts';
import type { ProxmoxClient } from './client.ts';
import { followTask, ownTasks, requireTaskSuccess } from './tasks.ts';

/** What of a backup is to be downloaded. */
export interface Wanted extends InBackup {
  /** Of a folder: a tar with owners, modes and links, packed by zstd; else a zip, which has none of these. */
  readonly tar: boolean;
}

export interface Fetched {
  readonly kind: 'file' | 'zip' | 'tar.zst';
  readonly bytes: number;
}

/** How long a list may take: while the VM starts that reads the disks, Proxmox gives up after 25 s, and is asked again. */
const patience = { listMs: 29_000, forMs: 3 * 60_000, againMs: 2_000 };
/** How long the task of a download may take to be listed. */
const settle = { forMs: 10_000, lookEveryMs: 300 };

/**
 * Downloads a file or folder out of a guest's backup into a file that must not be there yet. It has its name only when it is
 * known to be whole: the bytes end without a word where something failed on the node, so that the task has to have ended well,
 * a file has to be as long as the backup says, and a zip has to have its end. Of a tar nobody here can tell but by the task.
 *
 * @throws ServiceError `not-found`, `invalid-input`, `verification-failed`, what the API refuses; and what writing throws
 */
export async function fetchFromBackup(
  client: ProxmoxClient,
  wanted: Wanted,
  target: string,
  options: { readonly signal?: AbortSignal; readonly onBytes?: (bytes: number) => void } = {},
): Promise<Fetched> {
  const { node, archive, path, tar } = wanted;
  const found = await findWanted(client, wanted, options);
  const kind = found.type === 'file' ? 'file' : tar ? 'tar.zst' : 'zip';
  const search = { node, types: ['pbs-download'] };
  const known = (await ownTasks(client, search, options)).map(({ upid }) => upid);
  const partial = `${target}.partial`;
  // Another one that writes there, or what one left that was killed, isn't written over.
  const file = createWriteStream(partial, { mode: 0o600, flags: 'wx', flush: true });
  await new Promise<void>((resolve, reject) => {
    file.once('open', () => resolve());
    file.once('error', (error: NodeJS.ErrnoException) => reject(error.code === 'EEXIST' ? isThere(partial) : error));
  });
  try {
    const bytes = await client.download(
      '/nodes/*/storage/*/file-restore/download',
      [node, storageOf(archive)],
      { volume: archive, filepath: encodedPath(path), ...(kind === 'tar.zst' && { tar: true }) },
      options,
    );
    let length = 0;
    const counted = async function* () {
      for await (const part of bytes) {
        length += part.length;
        options.onBytes?.(length);
        yield part;
      }
    };
    await pipeline(counted, file, options.signal ? { signal: options.signal } : {});
    await requireEnded(client, search, known, path, options);
    await requireWhole(partial, { kind, length, found, path });
    await rename(partial, target);
    return { kind, bytes: length };
  } catch (error) {
    file.destroy();
    await rm(partial, { force: true });
    if (options.signal?.aborted) throw cancelled();
    throw error;
  }
}

async function findWanted(
  client: ProxmoxClient,
  { node, archive, path }: Wanted,
  options: { readonly signal?: AbortSignal },
): Promise<BackupFile> {
  const storages = readStorages(node);
  const all = await client.read(storages.schema, storages.template, storages.values, undefined, options);
  const closed = refuseClosed(all, archive, node);
  if (closed) {
    const { code, message, remedy, field } = closed.refused;
    throw new ServiceError({ code, message, remedy, ...(field !== undefined && { details: { field } }) });
  }
  const found = await entry(client, { node, archive, path }, options);
  if (found === undefined) {
    throw new ServiceError({
      code: 'not-found',
      message: `There is no ${said(path)} in the backup ${said(archive)}`,
      remedy: 'See what there is: browse-guest-backup lists it folder by folder.',
    });
  }
  if (found.type === 'file' || found.type === 'folder') return found;
  throw new ServiceError({
    code: 'invalid-input',
    message: `${said(path)} is a ${found.type}, and only files and folders can be downloaded`,
    remedy:
      found.type === 'disk'
        ? 'Name a folder on it, as …/part/1/etc; a whole disk comes back with its guest (restore-guest).'
        : 'Name its folder, with --tar: a tar has links and hard links in it.',
  });
}

async function entry(
  client: ProxmoxClient,
  where: InBackup,
  { signal }: { readonly signal?: AbortSignal },
): Promise<BackupFile | undefined> {
  const { schema, template, values, parameters } = readBackupEntry(where);
  const until = performance.now() + patience.forMs;
  for (;;) {
    try {
      const options = { timeoutMs: patience.listMs, ...(signal && { signal }) };
      return (await client.read(schema, template, values, parameters, options)) ?? undefined;
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      if (error.code === 'proxmox-not-found') return undefined;
      if (!error.retryable || performance.now() >= until) throw error;
      await sleep(patience.againMs, undefined, signal ? { signal } : {}).catch(() => undefined);
      if (signal?.aborted) throw cancelled();
    }
  }
}

/** The task that sent the bytes has ended well. Of others of this API token at the same time its log says which it is. */
async function requireEnded(
  client: ProxmoxClient,
  search: Parameters<typeof ownTasks>[1],
  known: readonly string[],
  path: string,
  options: { readonly signal?: AbortSignal },
): Promise<void> {
  const until = performance.now() + settle.forMs;
  for (;;) {
    const since = (await ownTasks(client, search, options)).filter(({ upid }) => !known.includes(upid));
    for (const { upid } of since) {
      const end = await followTask(client, upid, options);
      const isMine = since.length === 1 || end.log.some((line) => line.endsWith(`download of file: /${path}`));
      if (!isMine) continue;
      requireTaskSuccess(end);
      return;
    }
    if (performance.now() >= until) throw notWhole(path, 'nothing says how the task ended that read it');
    await sleep(settle.lookEveryMs);
  }
}

/** The last record of a zip that has no comment. */
const endOfZip = { bytes: 22, begins: 'PK\x05\x06' };
const zstd = '28b52ffd';

async function requireWhole(
  file: string,
  {
    kind,
    length,
    found,
    path,
  }: {
    readonly kind: Fetched['kind'];
    readonly length: number;
    readonly found: BackupFile;
    readonly path: string;
  },
): Promise<void> {
  if (kind === 'file') {
    if (found.bytes === undefined || found.bytes === length) return;
    throw notWhole(path, `${length} bytes came, and it has ${found.bytes}`);
  }
  const handle = await open(file);
  try {
    const read = async (from: number, bytes: number) =>
      (await handle.read(Buffer.alloc(bytes), 0, bytes, Math.max(0, from))).buffer;
    const isWhole =
      kind === 'zip'
        ? length >= endOfZip.bytes && (await read(length - endOfZip.bytes, 4)).toString('latin1') === endOfZip.begins
        : length > 4 && (await read(0, 4)).toString('hex') === zstd;
    if (!isWhole) throw notWhole(path, `what came (${length} bytes) is no whole ${kind}`);
  } finally {
    await handle.close();
  }
}

function notWhole(path: string, why: string): ServiceError {
  return new ServiceError({
    code: 'verification-failed',
    message: `${said(path)} did not come out of the backup whole: ${why}. What came is removed`,
    remedy:
      'Read the log of the task pbs-download on the node (Datacenter, Tasks), and try again; if it stays so, verify the backup (maintain-backup-server).',
  });
}

function isThere(path: string): ServiceError {
  return new ServiceError({
    code: 'already-exists',
    message: `${path} is there already: another download writes it, or one was killed`,
    remedy: 'Wait for the other one; if there is none, remove it.',
  });
}

function cancelled(): ServiceError {
  return new ServiceError({
    code: 'cancelled',
    message: 'The download was interrupted, and what came of it is removed',
    remedy: 'Start it again when it is wanted.',
  });
}
