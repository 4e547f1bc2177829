import { randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { ServiceError } from '../errors.ts';
import { replacePrivateFile } from '../private-file.ts';

/** The key that the hashes are made with; made, durably, where there is none and `mayMake`. Throws `configuration`. */
export function ledgerKey(path: string, { mayMake }: { readonly mayMake: boolean }): Buffer {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) {
    if (!mayMake) {
      throw new ServiceError({
        code: 'configuration',
        message: `There are records of the ledger, but not the key that they are checked with (${path})`,
        remedy: 'Restore ledger.key from the backup that it is in. Without it nothing can be appended or verified.',
      });
    }
    replacePrivateFile(path, `${randomBytes(32).toString('hex')}\n`);
  }
  if ((statSync(path).mode & 0o077) !== 0) {
    throw new ServiceError({
      code: 'configuration',
      message: `${path} may be read or written by other users, so that what it vouches for proves nothing`,
      remedy: `If nobody else has been on this machine run: chmod 600 ${path}`,
    });
  }
  return readKey(path);
}

/** The key of a ledger, or of a copy of one, as it is. Throws `unreadable`. */
export function readKey(path: string): Buffer {
  const text = readText(path).trim();
  if (!/^[0-9a-f]{64}$/.test(text)) {
    throw new ServiceError({
      code: 'unreadable',
      message: `${path} is damaged: it holds no key`,
      remedy: 'Restore it from the backup that it is in.',
    });
  }
  return Buffer.from(text, 'hex');
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new ServiceError({
      code: 'unreadable',
      message: `${path} can't be read, and without it nothing of the ledger can be verified`,
      remedy: 'Run this as the user of the service, or copy the key beside the segments.',
      cause,
    });
  }
}
