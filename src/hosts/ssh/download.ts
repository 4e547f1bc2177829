import { ServiceError } from '../../errors.ts';
import type { Executor, TransferOptions, TransferResult } from '../execution/executor.ts';
import { fileSink, openPartial, partialPath, putInPlace, type Source, startBehind } from '../execution/partial.ts';
import { runRemote, transferScript } from './remote-file.ts';
import { transferClock } from './transfer-clock.ts';

type Clock = ReturnType<typeof transferClock>;

/** See `Executor.download`. A file that grows (a log) is copied as long as it was at the start. */
export async function downloadOverSsh(
  name: string,
  executor: Pick<Executor, 'exec'>,
  from: string,
  to: string,
  options: TransferOptions,
): Promise<TransferResult> {
  const what = `${name}: download of ${from} to ${to}`;
  const clock = transferClock(what, options);
  const source = await statRemote(executor, what, from, clock);
  const partial = partialPath(to, source);
  const file = await openPartial(partial);
  try {
    const { size: there } = await file.stat();
    const { start, hash } = await startBehind(file, there, source.size, async () => {
      const argv = transferScript('digest', from, String(there));
      return (await runRemote(executor, what, argv, clock.options())).stdout.trim();
    });
    await file.truncate(start);
    let bytes = start;
    const sink = fileSink(file, start, (chunk, position) => {
      hash.update(chunk);
      bytes = position;
      options.onProgress?.(position);
    });
    // Files of /proc say that they are empty and aren't.
    const whole = source.size === 0;
    const read = whole
      ? transferScript('read-all', from)
      : transferScript('read', from, String(start), String(source.size - start));
    const check = whole ? transferScript('digest-all', from) : transferScript('digest', from, String(source.size));
    // At the same time, so that the host reads the file mostly once from its disk.
    const [digest] = await allOrNone(options.signal, (signal) => [
      runRemote(executor, what, check, { ...clock.options(), signal }),
      runRemote(executor, what, read, { ...clock.options(), signal, stdoutTo: sink }),
    ]);
    const sha256 = hash.digest('hex');
    await putInPlace(what, { file, partial, to, mode: options.mode }, digest.stdout.trim(), sha256);
    return { bytes, sha256, durationMs: clock.elapsedMs() };
  } finally {
    await file.close();
  }
}

async function statRemote(executor: Pick<Executor, 'exec'>, what: string, path: string, clock: Clock): Promise<Source> {
  const { stdout } = await runRemote(executor, what, transferScript('stat', path), clock.options());
  const [, size, modified, kind] = /^(\d+) (\S+) (.+)\n$/.exec(stdout) ?? [];
  if (size === undefined || modified === undefined || kind === undefined || !kind.startsWith('regular')) {
    throw new ServiceError({
      code: 'invalid-input',
      message: `${what}: ${path} is not a regular file${kind === undefined ? '' : ` but a ${kind}`}`,
      remedy: 'Name a regular file.',
    });
  }
  return { path, size: Number(size), modified };
}

/** Waits for all; when one fails the others are ended, and the first failure is thrown. */
async function allOrNone<Results extends readonly unknown[]>(
  caller: AbortSignal | undefined,
  begin: (signal: AbortSignal) => { [Index in keyof Results]: Promise<Results[Index]> },
): Promise<Results> {
  const controller = new AbortController();
  const abort = () => controller.abort();
  if (caller?.aborted === true) abort();
  caller?.addEventListener('abort', abort, { once: true });
  try {
    const all = begin(controller.signal);
    for (const one of all) one.catch(abort);
    try {
      return await Promise.all(all);
    } finally {
      await Promise.allSettled(all);
    }
  } finally {
    caller?.removeEventListener('abort', abort);
  }
}
