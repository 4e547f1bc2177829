import { closeSync, copyFileSync, mkdirSync, openSync, readSync, rmSync, statSync, truncateSync } from 'node:fs';
import { dirname } from 'node:path';

const maxBytes = 10 * 1024 * 1024;
const partBytes = 512 * 1024;

/**
 * Opens a log for appending. Children write to the file itself, not through a pipe of ours, so that they outlive us;
 * that is why it is kept small by copying it aside and emptying it instead of by renaming.
 */
export function openLogFile(path: string): number {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  boundLogFile(path);
  return openSync(path, 'a', 0o600);
}

/**
 * Past 10 MiB the log becomes `.1` and starts empty: two files, 20 MiB at most, give or take a check's interval. Where
 * that fails (the disk is full, or read-only) the log stays as it is, the copy goes, and the next check tries again.
 */
export function boundLogFile(path: string): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size <= maxBytes) return;
  try {
    copyFileSync(path, `${path}.1`);
    truncateSync(path);
  } catch {
    try {
      rmSync(`${path}.1`, { force: true });
    } catch {
      // Nothing can be changed there, and whoever keeps the log must go on.
    }
  }
}

/** A file's text from a byte on, or its first and last half MiB where that is more than one. Empty without the file. */
export function readFrom(path: string, start: number): string {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  // It was emptied meanwhile, because it had grown too large.
  const from = start <= size ? start : 0;
  if (size === from) return '';
  const file = openSync(path, 'r');
  const read = (position: number, length: number) => {
    const buffer = Buffer.alloc(length);
    return buffer.toString('utf8', 0, readSync(file, buffer, 0, length, position));
  };
  try {
    if (size - from <= 2 * partBytes) return read(from, size - from);
    return `${read(from, partBytes)}\n${read(size - partBytes, partBytes)}`;
  } finally {
    closeSync(file);
  }
}
