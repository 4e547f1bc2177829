import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { ownerFor } from './owner.ts';

/**
 * Replaces a file in one step: written beside it under another name with mode 0600, flushed to the disk, renamed. A
 * reader sees the old content or the new, never a part; after a power cut too. Its owner: see `ownerFor`.
 * @param mode - of a file that its group may read, too: 0640
 */
export function replacePrivateFile(path: string, content: string, like?: string, mode?: 0o640): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  const file = openSync(temporary, 'wx', 0o600);
  try {
    try {
      // The umask can only take bits away, but a read-only file system's mount options may add some.
      const owner = ownerFor(path, like);
      if (owner !== undefined) fchownSync(file, owner.uid, owner.gid);
      fchmodSync(file, mode ?? owner?.mode ?? 0o600);
      writeSync(file, content);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  syncFolderOf(path);
}

/** So that a power cut takes back neither a file's name nor its removal. */
export function syncFolderOf(path: string): void {
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
