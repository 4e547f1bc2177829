import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { ServiceError } from '../../errors.ts';
import { startDeadline, stopCode, stopped } from '../deadline.ts';
import type { TransferOptions, TransferResult } from '../executor.ts';
import {
  checksumError,
  fileError,
  fileSink,
  fileSource,
  hashStart,
  openPartial,
  partialPath,
  syncFolder,
} from '../partial.ts';

/** A copy with the guarantees of a transfer: see `Executor.upload`. */
export async function copyFile(
  what: string,
  from: string,
  to: string,
  options: TransferOptions,
): Promise<TransferResult> {
  const begun = performance.now();
  const deadline = startDeadline(what, options.timeoutMs, options.signal);
  const source = await open(from, constants.O_RDONLY).catch((error) => {
    throw fileError(from, error);
  });
  try {
    const stats = await source.stat({ bigint: true });
    if (!stats.isFile()) throw notRegular(from);
    const size = Number(stats.size);
    const partial = partialPath(to, { path: from, size, modified: String(stats.mtimeNs) });
    const copy = await openPartial(partial);
    try {
      const { start, hash } = await findStart(source, copy, size);
      await copy.truncate(start);
      let bytes = start;
      const sink = fileSink(copy, start, (_chunk, position) => {
        bytes = position;
        options.onProgress?.(position);
      });
      await pipeline(
        fileSource(source, start, (chunk) => hash.update(chunk)),
        sink,
        { signal: deadline.signal },
      );
      const sha256 = hash.digest('hex');
      await copy.sync();
      // Read back: what was hashed on its way in says nothing about what is there.
      const readBack = createHash('sha256');
      await hashStart(copy, readBack, bytes);
      const actual = readBack.digest('hex');
      if (actual !== sha256) {
        await rm(partial, { force: true });
        throw checksumError(what, sha256, actual);
      }
      deadline.signal.throwIfAborted();
      await copy.chmod(options.mode ?? 0o600);
      await copy.sync();
      await rename(partial, to);
      await syncFolder(to);
      return { bytes, sha256, durationMs: performance.now() - begun };
    } finally {
      await copy.close();
    }
  } catch (error) {
    if (deadline.signal.aborted) throw stopped(stopCode(deadline.signal), what, options.timeoutMs, 'ended');
    throw fileError(to, error);
  } finally {
    deadline.clear();
    await source.close();
  }
}

async function findStart(source: FileHandle, copy: FileHandle, size: number) {
  const there = (await copy.stat()).size;
  const fresh = { start: 0, hash: createHash('sha256') };
  if (there === 0 || there > size) return fresh;
  const [ours, theirs] = [createHash('sha256'), createHash('sha256')];
  if (!(await hashStart(source, theirs, there)) || !(await hashStart(copy, ours, there))) return fresh;
  return ours.digest('hex') === theirs.copy().digest('hex') ? { start: there, hash: theirs } : fresh;
}

function notRegular(path: string): ServiceError {
  return new ServiceError({
    code: 'invalid-input',
    message: `${path} is not a regular file`,
    remedy: 'Name a regular file.',
  });
}
