import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '../../../src/errors.ts';

/** The `ServiceError` that a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<ServiceError> {
  const outcome = await promise.then(
    (value) => new Error(`it succeeded: ${JSON.stringify(value)}`),
    (error: unknown) => error,
  );
  if (outcome instanceof ServiceError) return outcome;
  throw outcome;
}

/** A number that nobody else uses, to be slept for: by it the processes that a test started are found. */
export function marked(): string {
  return `300.${BigInt(`0x${randomBytes(8).toString('hex')}`)}`;
}

/** Waits until no process has the mark among its arguments. */
export async function untilGone(mark: string, ms = 3_000): Promise<void> {
  const until = performance.now() + ms;
  for (;;) {
    const left = await processesWith(mark);
    if (left.length === 0) return;
    if (performance.now() > until) throw new Error(`still running: ${left.join('; ')}`);
    await sleep(50);
  }
}

export async function processesWith(mark: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return lines.filter((line) => line.includes(mark)).map((line) => line.replaceAll('\0', ' '));
}
