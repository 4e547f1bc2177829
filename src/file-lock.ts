import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, readlinkSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from './errors.ts';

/**
 * Where process numbers mean what they mean here. Containers have numbers of their own, and those of one machine may even have
 * one name; the kernel's name of their numbering counts for one start of the machine.
 */
const numbering = numberingOf();

/** Work under the lock takes milliseconds, so that a lock this old was left behind. */
const abandonedMs = 10_000;
const waitMs = 15_000;

/**
 * Runs `work` while no other process of this machine does so for the same path. The lock is a file that names its
 * holder: one left by a process that died is taken over at once, one of another machine or container after ten seconds.
 */
export async function withFileLock<Result>(path: string, work: () => Result): Promise<Result> {
  const lock = `${path}.lock`;
  const mine = `${process.pid} ${numbering} ${randomBytes(8).toString('hex')}`;
  const deadline = Date.now() + waitMs;
  while (!acquire(lock, mine)) {
    if (Date.now() > deadline) {
      throw new ServiceError({
        code: 'lock-timeout',
        message: `${path} is locked by another process (${lock})`,
        remedy: 'Try again; if no other process of the service or its command line is at work, remove the lock file.',
        retryable: true,
      });
    }
    removeAbandoned(lock);
    await sleep(5 + Math.random() * 20);
  }
  try {
    return work();
  } finally {
    if (contentOf(lock) === mine) rmSync(lock, { force: true });
  }
}

/** A link appears with its content, so that nobody ever reads a lock without its holder. */
function acquire(lock: string, mine: string): boolean {
  const temporary = `${lock}.${randomBytes(6).toString('hex')}`;
  writeFileSync(temporary, mine, { mode: 0o600, flag: 'wx' });
  try {
    linkSync(temporary, lock);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
}

function removeAbandoned(lock: string): void {
  const content = contentOf(lock);
  if (content === undefined || !isAbandoned(lock, content)) return;
  // Moved aside first: between the look and the move somebody else may have replaced it by a lock that counts.
  const aside = `${lock}.${randomBytes(6).toString('hex')}`;
  try {
    renameSync(lock, aside);
    if (contentOf(aside) !== content) linkSync(aside, lock);
  } catch {
    // Gone, or taken again: either way the next attempt sees what is there.
  } finally {
    rmSync(aside, { force: true });
  }
}

function isAbandoned(lock: string, content: string): boolean {
  const [pid, machine] = content.split(' ');
  if (machine === numbering && !isAlive(Number(pid))) return true;
  const modified = statSync(lock, { throwIfNoEntry: false })?.mtimeMs;
  return modified !== undefined && Date.now() - modified > abandonedMs;
}

function numberingOf(): string {
  try {
    const start = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${start}/${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
