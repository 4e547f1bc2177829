import { spawnSync } from 'node:child_process';
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { ServiceError } from '../errors.ts';
import { acquireLock } from './lock-file.ts';
import { identify } from './process-identity.ts';

export type KernelLock =
  | { readonly held: true; readonly release: () => void }
  | { readonly held: false; readonly holder: Holder };

/** Who has it, as that one has written it down: for people. */
export interface Holder {
  /** As the holder sees itself: in a container most often 1. */
  readonly pid: number;
  /** Name of the machine or the container. */
  readonly machine?: string;
}

/** Exit code of `flock` where somebody else has the lock: 1 could be anything. */
const taken = 75;

/**
 * Takes a lock of the kernel (`flock`) on a file, which this process holds until it releases it or ends, however it ends.
 * It holds between containers too, where the numbers of processes mean nothing: each has its own, and the one of a killed
 * container is the same in the next. Not between machines: the file has to be on a disk of this one.
 *
 * Node can't lock, but the lock belongs to what was opened, not to who asks for it: `flock` of util-linux is given our open
 * file, takes the lock, and ends. Children don't get that file. Where there is no `flock` (it belongs to every Linux), the
 * lock is one by process number.
 */
export function acquireKernelLock(path: string): KernelLock {
  if (process.platform !== 'linux') return acquireLock(path);
  mkdirSync(dirname(path), { recursive: true });
  for (;;) {
    const file = openSync(path, 'a+', 0o600);
    let isOurs = false;
    try {
      if (!lockFile(file, path)) return { held: false, holder: readHolder(path) };
      // Somebody has removed or replaced it meanwhile: then the one that is there now counts.
      isOurs = isThere(path, file);
      if (!isOurs) continue;
      ftruncateSync(file, 0);
      const started = identify(process.pid)?.started;
      writeSync(file, JSON.stringify({ pid: process.pid, started, machine: hostname() }));
      return { held: true, release: () => release(path, file) };
    } finally {
      if (!isOurs) closeSync(file);
    }
  }
}

/** Who has opened it meanwhile finds, once the lock is theirs, that it is no more, and makes another. */
function release(path: string, file: number): void {
  if (isThere(path, file)) rmSync(path, { force: true });
  closeSync(file);
}

function isThere(path: string, file: number): boolean {
  return statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(file).ino;
}

function lockFile(file: number, path: string): boolean {
  const { status, error, stderr } = spawnSync('flock', ['-x', '-n', '-E', String(taken), '3'], {
    stdio: ['ignore', 'ignore', 'pipe', file],
    encoding: 'utf8',
  });
  if (status === 0) return true;
  if (status === taken) return false;
  throw new ServiceError({
    code: 'internal',
    message: `${path} can't be locked (${error?.message ?? stderr.trim()})`,
    remedy: 'Install flock (of util-linux), and put DATA_DIR on a disk of this machine whose file system can lock.',
    cause: error,
  });
}

/** The lock counts, not this: it is only read for a message. */
function readHolder(path: string): Holder {
  try {
    const { pid, machine } = JSON.parse(readFileSync(path, 'utf8')) as Partial<Holder>;
    return { pid: Number(pid), ...(typeof machine === 'string' && { machine }) };
  } catch {
    return { pid: 0 };
  }
}
