import { randomUUID } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts';

export type LockAttempt =
  | { readonly held: true; readonly release: () => void }
  | { readonly held: false; readonly holder: ProcessIdentity };

/**
 * Takes a lock that this process holds until it releases it or dies: a file with the holder's identity, which appears
 * whole (link of a finished file). A file whose holder is gone is stale and replaced.
 */
export function acquireLock(path: string): LockAttempt {
  mkdirSync(dirname(path), { recursive: true });
  const mine = identify(process.pid);
  if (!mine) throw new Error('this process has no identity');
  const draft = `${path}.${randomUUID()}`;
  writeFileSync(draft, JSON.stringify(mine), { mode: 0o600 });
  try {
    for (;;) {
      try {
        linkSync(draft, path);
        return { held: true, release: () => release(path, mine) };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const holder = readHolder(path);
      if (holder && isAlive(holder)) return { held: false, holder };
      removeStale(path, holder);
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Moves the stale file away first: of two that see it stale, only one moves it; a live lock moved by mistake goes back. */
function removeStale(path: string, stale: ProcessIdentity | undefined): void {
  const aside = `${path}.${randomUUID()}`;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  const moved = readHolder(aside);
  if (moved && moved.started !== stale?.started && isAlive(moved)) {
    try {
      linkSync(aside, path);
    } catch {
      // Somebody took it in between: they hold it, and the one moved away sees that when it releases.
    }
  }
  rmSync(aside, { force: true });
}

function release(path: string, mine: ProcessIdentity): void {
  if (readHolder(path)?.started === mine.started) rmSync(path, { force: true });
}

function readHolder(path: string): ProcessIdentity | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof value !== 'object' || value === null || !('pid' in value) || !('started' in value)) return undefined;
    return typeof value.pid === 'number' && typeof value.started === 'string'
      ? { pid: value.pid, started: value.started }
      : undefined;
  } catch {
    return undefined;
  }
}
