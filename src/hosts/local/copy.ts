import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { ServiceError } from '../../errors.ts';
import { startDeadline, stopCode, stopped } from '../execution/deadline.ts';
import type { TransferOptions, TransferResult } from '../execution/executor.ts';
import {
  digestStart,
  fileError,
  fileSink,
  fileSource,
  openPartial,
  partialPath,
  putInPlace,
  startBehind,
} from '../execution/partial.ts';

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
      const { size: there } = await copy.stat();
      const { start, hash } = await startBehind(source, there, size, () => digestStart(copy, there));
      await copy.truncate(start);
      let bytes = start;
      const sink = fileSink(copy, start, (_chunk, position) => {
        bytes = position;
        options.onProgress?.(position);
      });
      await pipeline(
        fileSource(source, start, (chunk) => hash.update(chunk)),
        sink,
        { signal: deadline.signal() },
      );
      const sha256 = hash.digest('hex');
      await copy.sync();
      // Read back: what was hashed on its way in says nothing about what is there.
      const actual = (await digestStart(copy, bytes)) ?? '';
      deadline.signal().throwIfAborted();
      await putInPlace(what, { file: copy, partial, to, mode: options.mode }, sha256, actual);
      return { bytes, sha256, durationMs: performance.now() - begun };
    } finally {
      await copy.close();
    }
  } catch (error) {
    if (deadline.reason() !== undefined) throw stopped(stopCode(deadline), what, options.timeoutMs, 'ended');
    throw fileError(to, error);
  } finally {
    deadline.clear();
    await source.close();
  }
}

function notRegular(path: string): ServiceError {
  return new ServiceError({
    code: 'invalid-input',
    message: `${path} is not a regular file`,
    remedy: 'Name a regular file.',
  });
}
