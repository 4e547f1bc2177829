import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { replacePrivateFile } from '../private-file.ts';

/**
 * The keys with which hosts seal what they say of their archives, as this service first saw them: `DATA_DIR/seals/HOST`, the
 * public half. A host whose key is another one now was installed anew, or somebody else answers in its name.
 */
export interface Seals {
  /** Remembers the key where none is known yet. `other`: another one is, and stays. */
  judge(host: string, key: string): 'first' | 'same' | 'other';
  /** An administrator says that it is this one from now on. */
  pin(host: string, key: string): void;
  /** Undefined: none was seen yet. */
  pinned(host: string): string | undefined;
}

export function createSeals({ dataDir }: { readonly dataDir: string }): Seals {
  const fileOf = (host: string) => join(dataDir, 'seals', host);
  const pin = (host: string, key: string) => replacePrivateFile(fileOf(host), `${key}\n`);
  const pinned = (host: string) => {
    try {
      return readFileSync(fileOf(host), 'utf8').trim();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  };
  return {
    pin,
    pinned,
    judge(host, key) {
      const known = pinned(host);
      if (known !== undefined) return known === key ? 'same' : 'other';
      pin(host, key);
      return 'first';
    },
  };
}
