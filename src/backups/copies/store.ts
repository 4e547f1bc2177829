import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { open, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import { isBackupId } from '../../operations/backup-id.ts';
import { replacePrivateFile, syncFolderOf } from '../../private-file.ts';
import { readHeader } from './age.ts';
import { encryptedBytes } from './age-header.ts';
import { type Identity, openCopy } from './identity.ts';
import { readMembers } from './members.ts';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** What is kept of a copy beside it, in `ID.json`. Nothing of it is secret. */
export const copyRecord = z.object({
  version: z.literal(1),
  host: z.string(),
  backup: z.string().refine(isBackupId),
  /** When it was written, by the service's clock. */
  madeAt: z.iso.datetime(),
  /** Of the file as it is, encrypted. */
  bytes: z.int(),
  sha256,
  /** Who can decrypt it: `age1…`, or the SSH keys. */
  recipients: z.array(z.string()),
  encryptedBy: z.enum(['host', 'service']),
  /** What it holds: the archive as the host had verified it. */
  archive: z.object({ bytes: z.int(), sha256, publishedAt: z.iso.datetime().optional() }),
  /** When it was last compared, and what that proved. */
  checked: z.object({ at: z.iso.datetime(), proves: z.enum(['ciphertext', 'content']) }).optional(),
  /** Since when it is known not to be what was written. */
  broken: z.object({ at: z.iso.datetime(), why: z.string() }).optional(),
  /** Where else it lies, by the place's name, and since when that is proved. */
  places: z.record(z.string(), z.object({ at: z.iso.datetime() })).default({}),
});
export type CopyRecord = z.output<typeof copyRecord>;

/**
 * - `whole`: as long as it was when it was written, and not found changed since
 * - `changed`: it isn't what was written any more
 * - `gone`: its record is there, and it isn't
 */
export type CopyState = 'whole' | 'changed' | 'gone';

export interface Copy extends CopyRecord {
  readonly state: CopyState;
  readonly path: string;
}

/** What was sent, as the one who encrypted knows it. */
export interface Sent {
  /** Bytes before they were encrypted. */
  readonly plainBytes: number;
}

export type NewCopy = Pick<CopyRecord, 'recipients' | 'encryptedBy' | 'archive'>;

export interface CopyOptions {
  readonly signal?: AbortSignal;
  /** Called as bytes come. */
  readonly onBytes?: (bytes: number) => void;
}

/** What a comparison of a copy proved. */
export type CopyProof =
  | { readonly whole: true; readonly proves: 'ciphertext' | 'content'; readonly bytes: number }
  | { readonly whole: false; readonly why: string };

/** The encrypted copies of the hosts' backups: a folder for each host, in it `ID.age` and `ID.json`. */
export interface CopyStore {
  readonly folder: string;
  /** Newest first, by when they were taken. */
  list(host: string): readonly Copy[];
  find(host: string, backup: string): Copy | undefined;
  /** The hosts that there are copies of. */
  hosts(): readonly string[];
  /**
   * Writes a copy: under a name of its own until all of it has come, is as long as it has to be and is on the disk. `fill` ends
   * the stream that it is given. Whatever it throws is thrown, and nothing of the copy is left.
   */
  write(
    host: string,
    backup: string,
    of: NewCopy,
    fill: (to: Writable) => Promise<Sent>,
    options?: CopyOptions,
  ): Promise<Copy>;
  /**
   * Compares a copy with what was recorded when it was written: that proves the encrypted bytes, and of what they hold only
   * that nobody has changed it since. With an identity it is decrypted, and its archive compared with its sealed manifest.
   */
  verify(host: string, backup: string, identity: Identity | undefined, options?: CopyOptions): Promise<CopyProof>;
  /** Notes that it lies in another place, too, and that this was proved. */
  placed(host: string, backup: string, place: string): void;
  /** Notes that it doesn't lie in another place any more, so that it is brought there again. */
  displaced(host: string, backup: string, place: string): void;
  /** Removes what was begun of copies of a host, but for what somebody has written to within the last minutes. */
  dropParts(host: string): Promise<void>;
  /** Removes a copy, first what makes it one. */
  remove(host: string, backup: string): Promise<void>;
}

/** How long nobody writes to the part of a copy whose writer is dead. */
const abandonedMs = 24 * 3_600_000;
/** And of one that was given up, whose writer would have written since. */
const stillMs = 150_000;

export function createCopyStore(folder: string, now: () => Date = () => new Date()): CopyStore {
  const folderOf = (host: string) => join(folder, host);
  const fileOf = (host: string, backup: string) => join(folderOf(host), `${backup}.age`);
  const recordOf = (host: string, backup: string) => join(folderOf(host), `${backup}.json`);

  function find(host: string, backup: string): Copy | undefined {
    const record = readRecord(recordOf(host, backup));
    if (record === undefined || record.host !== host || record.backup !== backup) return undefined;
    const path = fileOf(host, backup);
    const size = statSync(path, { throwIfNoEntry: false })?.size;
    const isWhole = size === record.bytes && record.broken === undefined;
    return { ...record, path, state: size === undefined ? 'gone' : isWhole ? 'whole' : 'changed' };
  }

  function known(host: string, backup: string): Copy {
    const copy = find(host, backup);
    if (copy !== undefined) return copy;
    throw new ServiceError({
      code: 'not-found',
      message: `There is no copy of ${backup} of ${host} in ${folder}`,
      remedy: 'See which there are: npx proxmox-mcp copies list',
      details: { host },
    });
  }

  function save({ path: _path, state: _state, ...record }: Copy, changes: Partial<CopyRecord>): void {
    const { host, backup } = record;
    replacePrivateFile(recordOf(host, backup), `${JSON.stringify({ ...record, ...changes }, null, 2)}\n`);
  }

  return {
    folder,
    find,
    hosts: () => namesIn(folder),
    list: (host) =>
      namesIn(folderOf(host))
        .filter((name) => name.endsWith('.json') && isBackupId(name.slice(0, -5)))
        .flatMap((name) => find(host, name.slice(0, -5)) ?? [])
        .sort((a, b) => stampOf(b.backup).localeCompare(stampOf(a.backup))),

    async write(host, backup, of, fill, options = {}) {
      if (!isBackupId(backup)) throw new Error(`${backup} is no backup's id`);
      mkdirSync(folderOf(host), { recursive: true, mode: 0o700 });
      await removeAbandoned(folderOf(host), now().getTime());
      await requireSpace(folderOf(host), of.archive.bytes);
      const path = fileOf(host, backup);
      const partial = join(folderOf(host), `.${backup}.age.${randomBytes(6).toString('hex')}.partial`);
      try {
        const { sink, written } = await openSink(partial, options);
        let sent: Sent;
        try {
          sent = await fill(sink);
          await finished(sink, { readable: false });
        } finally {
          sink.destroy();
          await written.closed;
        }
        const bytes = written.bytes();
        const expected = encryptedBytes((await readHeader(partial)).length, sent.plainBytes);
        if (bytes !== expected) throw notAll(host, backup, bytes, expected);
        await rm(recordOf(host, backup), { force: true });
        await rename(partial, path);
        syncFolderOf(path);
        const madeAt = now().toISOString();
        const record = {
          version: 1,
          host,
          backup,
          madeAt,
          bytes,
          sha256: written.sha256(),
          ...of,
          places: {},
        } as const;
        replacePrivateFile(recordOf(host, backup), `${JSON.stringify(record, null, 2)}\n`);
        return known(host, backup);
      } catch (error) {
        await rm(partial, { force: true });
        throw error;
      }
    },

    async verify(host, backup, identity, options = {}) {
      const copy = known(host, backup);
      const proof = await prove(copy, identity, options);
      const at = now().toISOString();
      // Written anew, brought to another place or removed while it was read, it has another record by now.
      const current = find(host, backup);
      if (current === undefined || current.madeAt !== copy.madeAt || current.state === 'gone') return proof;
      if (proof.whole) save({ ...current, broken: undefined } as Copy, { checked: { at, proves: proof.proves } });
      else save(current, { broken: { at, why: proof.why } });
      return proof;
    },

    placed(host, backup, place) {
      const copy = known(host, backup);
      save(copy, { places: { ...copy.places, [place]: { at: now().toISOString() } } });
    },

    displaced(host, backup, place) {
      const copy = known(host, backup);
      const { [place]: _gone, ...places } = copy.places;
      save(copy, { places });
    },

    dropParts: (host) => removeAbandoned(folderOf(host), now().getTime(), stillMs),

    async remove(host, backup) {
      await rm(recordOf(host, backup), { force: true });
      await rm(fileOf(host, backup), { force: true });
      if (statSync(folderOf(host), { throwIfNoEntry: false }) !== undefined) syncFolderOf(fileOf(host, backup));
    },
  };
}

/** What a disk, or a file system on it, says of what it has lost. */
const ofDisk: ReadonlySet<string> = new Set(['EIO', 'EUCLEAN', 'EBADMSG', 'EILSEQ']);

async function prove(copy: Copy, identity: Identity | undefined, options: CopyOptions): Promise<CopyProof> {
  if (copy.state === 'gone') return { whole: false, why: 'it is not there' };
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of createReadStream(copy.path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>) {
      options.signal?.throwIfAborted();
      hash.update(chunk);
      bytes += chunk.length;
      options.onBytes?.(bytes);
    }
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return { whole: false, why: 'it is not there' };
    if (!ofDisk.has(code)) throw error;
    return { whole: false, why: `the disk does not give it any more (${code}, after ${bytes} bytes)` };
  }
  if (bytes !== copy.bytes) return { whole: false, why: `it has ${bytes} bytes, and ${copy.bytes} were written` };
  if (hash.digest('hex') !== copy.sha256)
    return { whole: false, why: 'its bytes are others than those that were written' };
  if (identity === undefined) return { whole: true, proves: 'ciphertext', bytes };
  try {
    await readCopy(copy, identity, options);
    return { whole: true, proves: 'content', bytes };
  } catch (error) {
    if (error instanceof ServiceError && error.code === 'verification-failed')
      return { whole: false, why: error.message };
    throw error;
  }
}

/** What stands in a sealed manifest of the archive that it belongs to. */
interface Claimed {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** Decrypts a copy, and compares its archive with its manifest. Throws `verification-failed`. */
async function readCopy(copy: Copy, identity: Identity, { signal, onBytes }: CopyOptions): Promise<void> {
  const source = await openCopy(copy.path, identity);
  let claimed: Claimed | undefined;
  let total = 0;
  try {
    for await (const { kind, name, bytes, content } of readMembers(source, copy.backup)) {
      const hash = createHash('sha256');
      let head = '';
      for await (const part of content) {
        signal?.throwIfAborted();
        hash.update(part);
        if (kind === 'manifest' && head.length < 1024 * 1024) head += part.toString('latin1');
        total += part.length;
        onBytes?.(total);
      }
      if (kind === 'manifest') claimed = claimIn(head, copy.backup);
      if (kind !== 'archive') continue;
      const found: Claimed = { name, bytes, sha256: hash.digest('hex') };
      const same = found.name === claimed?.name && found.bytes === claimed.bytes && found.sha256 === claimed.sha256;
      if (!same) throw another('its archive is not the one of its manifest');
      if (found.sha256 !== copy.archive.sha256) throw another('its archive is not the one that the host had verified');
    }
  } finally {
    source.destroy();
  }
}

/** The lines of a manifest that name its archive stand before its entries. */
export function claimIn(head: string, backup: string): Claimed | undefined {
  const [, name, bytes, sum] = /^archive (\S+) (\d{1,15}) ([0-9a-f]{64})$/m.exec(head) ?? [];
  const isOf = head.startsWith('proxmox-mcp manifest 1\n') && new RegExp(`^id ${backup}$`, 'm').test(head);
  return isOf && name !== undefined && sum !== undefined ? { name, bytes: Number(bytes), sha256: sum } : undefined;
}

function another(why: string): ServiceError {
  return new ServiceError({ code: 'verification-failed', message: why, remedy: 'Take another copy of the backup.' });
}

/** Writes to a file, and knows its bytes and their digest. Memory stays flat. */
async function openSink(path: string, { onBytes, signal }: CopyOptions) {
  const file = await open(path, 'wx', 0o600);
  const hash = createHash('sha256');
  let bytes = 0;
  let closed: () => void = () => undefined;
  const whenClosed = new Promise<void>((resolve) => {
    closed = resolve;
  });
  const write = async (chunks: readonly Buffer[]) => {
    signal?.throwIfAborted();
    const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const { bytesWritten } = await file.writev(chunks, bytes);
    if (bytesWritten !== length) throw Object.assign(new Error('short write'), { code: 'ENOSPC' });
    for (const chunk of chunks) hash.update(chunk);
    bytes += length;
    onBytes?.(bytes);
  };
  const settle = (work: Promise<void>, done: (error?: Error | null) => void) => void work.then(() => done(), done);
  const sink = new Writable({
    highWaterMark: 4 * 1024 * 1024,
    write: (chunk: Buffer, _encoding, done) => settle(write([chunk]), done),
    writev: (chunks, done) => settle(write(chunks.map(({ chunk }) => chunk as Buffer)), done),
    final: (done) => settle(file.sync(), done),
    destroy: (error, done) => {
      file.close().then(
        () => done(error),
        () => done(error),
      );
      closed();
    },
  });
  sink.on('error', () => undefined);
  return { sink, written: { bytes: () => bytes, sha256: () => hash.digest('hex'), closed: whenClosed } };
}

/** Room for all of it, so that the disk isn't filled for a copy that can't come about. */
async function requireSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free > bytes * 1.01 + 64 * 1024 * 1024) return;
  throw new ServiceError({
    code: 'disk-full',
    message: `There is no room for a copy of ${bytes} bytes in ${folder}: ${free} bytes are free`,
    remedy: 'Free space there, or set COPIES_DIR to a larger disk.',
  });
}

async function removeAbandoned(folder: string, now: number, afterMs = abandonedMs): Promise<void> {
  for (const name of namesIn(folder).filter((one) => one.startsWith('.') && one.endsWith('.partial'))) {
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && now - found.mtimeMs > afterMs) await rm(path, { force: true });
  }
}

function readRecord(path: string): CopyRecord | undefined {
  try {
    return copyRecord.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return undefined;
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** `20261122-020000` of an id. */
function stampOf(backup: string): string {
  return backup.slice(-15);
}

function notAll(host: string, backup: string, bytes: number, expected: number): ServiceError {
  return new ServiceError({
    code: 'verification-failed',
    message: `Of the copy of ${backup} of ${host} ${bytes} bytes came, and ${expected} had to: it was cut off`,
    remedy: 'It is tried again by itself.',
    retryable: true,
    details: { host },
  });
}
