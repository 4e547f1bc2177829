import type { BigIntStats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { ServiceError } from '../../errors.ts';
import type { Executor, TransferOptions, TransferResult } from '../execution/executor.ts';
import { checksumError, fileError, fileSource, partialPath, startBehind } from '../execution/partial.ts';
import { otherDigest, runRemote, transferScript } from './remote-file.ts';
import { transferClock } from './transfer-clock.ts';

/** See `Executor.upload`. Writes go to fixed offsets, so that what a dead connection still delivers does no harm. */
export async function uploadOverSsh(
  name: string,
  executor: Pick<Executor, 'exec'>,
  from: string,
  to: string,
  options: TransferOptions,
): Promise<TransferResult> {
  const what = `${name}: upload of ${from} to ${to}`;
  const clock = transferClock(what, options);
  const file = await open(from, 'r').catch((error) => {
    throw fileError(from, error);
  });
  try {
    const before = await regularFile(file, from);
    const size = Number(before.size);
    const partial = partialPath(to, { path: from, size, modified: String(before.mtimeNs) });
    const prepared = await runRemote(executor, what, transferScript('prepare', partial, String(size)), clock.options());
    const [digest, there] = prepared.stdout.trim().split('\n');
    const { start, hash } = await startBehind(file, Number(there), size, async () => digest);
    let read = start;
    const source = fileSource(file, start, (chunk, position) => {
      hash.update(chunk);
      read = position;
      options.onProgress?.(position);
    });
    await runRemote(executor, what, transferScript('write', partial, String(start)), {
      ...clock.options(),
      stdin: source,
    });
    const after = await file.stat({ bigint: true });
    if (read !== size || after.mtimeNs !== before.mtimeNs || after.size !== before.size) throw changed(from);
    const sha256 = hash.digest('hex');
    const mode = (options.mode ?? 0o600).toString(8);
    const finish = transferScript('finish', partial, to, mode, sha256);
    const finished = await runRemote(executor, what, finish, clock.options(), [otherDigest]);
    if (finished.exitCode === otherDigest) throw checksumError(what, sha256, finished.stdout.trim());
    return { bytes: size, sha256, durationMs: clock.elapsedMs() };
  } finally {
    await file.close();
  }
}

async function regularFile(file: FileHandle, path: string): Promise<BigIntStats> {
  const stats = await file.stat({ bigint: true });
  if (stats.isFile()) return stats;
  throw new ServiceError({
    code: 'invalid-input',
    message: `${path} is not a regular file`,
    remedy: 'Name a regular file.',
  });
}

function changed(path: string): ServiceError {
  return new ServiceError({
    code: 'conflict',
    message: `${path} changed while it was copied; the copy was not put in place`,
    remedy: 'Try again when nothing writes to it.',
    retryable: true,
  });
}
