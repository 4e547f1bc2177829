import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, posix } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { ServiceError } from '../../errors.ts';

/** What makes a file the same source as the one that a partial copy was made from. */
export interface Source {
  readonly path: string;
  readonly size: number;
  /** Modification time as text, as precise as the system has it. */
  readonly modified: string;
}

/**
 * Where the copy is written until it is whole: beside its target, hidden, the same name for the same source, so that
 * the next attempt finds it.
 */
export function partialPath(target: string, source: Source): string {
  const identity = createHash('sha256').update(JSON.stringify([source.path, source.size, source.modified]));
  const name = `.${posix.basename(target)}.${identity.digest('hex').slice(0, 16)}.partial`;
  return posix.join(posix.dirname(target), name);
}

const chunkBytes = 1024 * 1024;

/** Where a copy goes on, and the hash of what comes before. */
export interface Start {
  readonly start: number;
  readonly hash: Hash;
}

/**
 * Behind what an earlier attempt left on the other side, if this side's file begins with the same bytes; else at 0.
 *
 * @param there - How many bytes the earlier attempt left.
 * @param size - How many the source has.
 * @param digestOfThere - Their SHA-256; asked only when there are any.
 */
export async function startBehind(
  file: FileHandle,
  there: number,
  size: number,
  digestOfThere: () => Promise<string | undefined>,
): Promise<Start> {
  const hash = createHash('sha256');
  if (there > 0 && there <= size && (await hashStart(file, hash, there))) {
    if (hash.copy().digest('hex') === (await digestOfThere())) return { start: there, hash };
  }
  return { start: 0, hash: createHash('sha256') };
}

/** SHA-256 of the first `length` bytes, or undefined when the file is shorter. */
export async function digestStart(file: FileHandle, length: number): Promise<string | undefined> {
  const hash = createHash('sha256');
  return (await hashStart(file, hash, length)) ? hash.digest('hex') : undefined;
}

async function hashStart(file: FileHandle, hash: Hash, length: number): Promise<boolean> {
  const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, Math.max(length, 1)));
  for (let position = 0; position < length; ) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, length - position), position);
    if (bytesRead === 0) return false;
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
  return true;
}

/** Opens the partial file of an earlier attempt, or a new one with mode 0600. Never follows a link. */
export async function openPartial(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600).catch((error) => {
    throw fileError(path, error);
  });
}

/** Is given each chunk in turn, and the position behind it. */
export type OnChunk = (chunk: Buffer, position: number) => void;

/** Reads a file from a position on. Leaves the file open, which `createReadStream` does not. */
export function fileSource(file: FileHandle, start: number, onChunk: OnChunk): Readable {
  let position = start;
  return new Readable({
    highWaterMark: chunkBytes,
    read() {
      const buffer = Buffer.allocUnsafeSlow(chunkBytes / 4);
      file.read(buffer, 0, buffer.length, position).then(
        ({ bytesRead }) => {
          if (bytesRead === 0) {
            this.push(null);
            return;
          }
          const chunk = buffer.subarray(0, bytesRead);
          position += bytesRead;
          onChunk(chunk, position);
          this.push(chunk);
        },
        (error) => this.destroy(error),
      );
    },
  });
}

/** Writes a stream from a position of the file on. Leaves the file open. */
export function fileSink(file: FileHandle, start: number, onChunk: OnChunk): Writable {
  let position = start;
  const put = async (chunks: Buffer[]) => {
    let length = 0;
    for (const chunk of chunks) length += chunk.length;
    const { bytesWritten } = await file.writev(chunks, position);
    if (bytesWritten !== length) await rest(Buffer.concat(chunks).subarray(bytesWritten), position + bytesWritten);
    for (const chunk of chunks) {
      position += chunk.length;
      onChunk(chunk, position);
    }
  };
  /** A short write happens when the disk fills up or a signal comes in between. */
  const rest = async (left: Buffer, from: number) => {
    for (let done = 0; done < left.length; ) {
      done += (await file.write(left, done, left.length - done, from + done)).bytesWritten;
    }
  };
  return new Writable({
    highWaterMark: 2 * chunkBytes,
    write(chunk: Buffer, _encoding, callback) {
      put([chunk]).then(() => callback(), callback);
    },
    writev(chunks, callback) {
      put(chunks.map(({ chunk }: { chunk: Buffer }) => chunk)).then(() => callback(), callback);
    },
  });
}

/** Gives a whole copy its mode and its name, durably. One whose digest is not the source's is removed instead. */
export async function putInPlace(
  what: string,
  copy: { readonly file: FileHandle; readonly partial: string; readonly to: string; readonly mode: number | undefined },
  expected: string,
  actual: string,
): Promise<void> {
  const { file, partial, to } = copy;
  if (actual !== expected) {
    await rm(partial, { force: true });
    throw checksumError(what, expected, actual);
  }
  await file.chmod(copy.mode ?? 0o600);
  await file.sync();
  await rename(partial, to).catch((error) => {
    throw fileError(to, error);
  });
  await syncFolder(to);
}

/** Makes a rename durable: the folder is what it changes. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), constants.O_RDONLY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** What the system said about a file on this machine, by what can be done about it. Other errors stay what they are. */
export function fileError(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof ServiceError || !('errno' in error) || !('code' in error))
    return error;
  const code = String(error.code);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new ServiceError({
      code: 'disk-full',
      message: `${path} can't be written: the disk of this machine is full (${code})`,
      remedy: `Free space in ${dirname(path)}, then try again: what was copied so far is kept and continued.`,
      retryable: true,
      cause: error,
    });
  }
  return new ServiceError({
    code: code === 'ENOENT' ? 'not-found' : 'unreadable',
    message: `${path} can't be used on this machine (${code})`,
    remedy: `Check that ${basename(path)} and its folder exist and that the user of this service may use them.`,
    details: { errno: code },
    cause: error,
  });
}

/** The copy is not what its source is. */
export function checksumError(what: string, expected: string, actual: string): ServiceError {
  return new ServiceError({
    code: 'verification-failed',
    message: `${what}: the copy has the SHA-256 ${actual}, but its source has ${expected}; the copy was removed and its target is untouched`,
    remedy: 'Try again; the source changed while it was copied, or a disk or network damages data.',
    retryable: true,
    details: { expected, actual },
  });
}
