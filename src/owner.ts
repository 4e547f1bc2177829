import { statSync } from 'node:fs';
import { dirname } from 'node:path';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
  /** 0600, or 0640 where root lets a group read what it can't write, as install.sh does with `.env`. */
  readonly mode: number;
}

/**
 * Who is to own a private file that replaces another one. Root runs `token create` and `host add` too, and what they write must
 * stay readable for the service, which runs as a user of its own: the file stays whose it is; a new one is like `like`
 * where that is there, else of its folder's owner. `undefined` for everybody but root, who can't give files away.
 */
export function ownerFor(path: string, like?: string): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const one of [path, ...(like === undefined ? [] : [like]), dirname(path)]) {
    const found = statSync(one, { throwIfNoEntry: false });
    if (found === undefined) continue;
    const { uid, gid } = found;
    return { uid, gid, mode: found.isFile() && uid === 0 && gid !== 0 ? 0o600 | (found.mode & 0o040) : 0o600 };
  }
  return undefined;
}
