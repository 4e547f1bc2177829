import { statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Who is to own a file that is written anew. Root runs `token create` and `host add` too, and what they write must stay
 * readable for the service, which runs as a user of its own: the file keeps its owner; a new one gets that of `like`
 * where it is there, else that of its folder. `undefined` for everybody but root, who can't give files away.
 */
export function ownerFor(path: string, like?: string): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const one of [path, ...(like === undefined ? [] : [like]), dirname(path)]) {
    const found = statSync(one, { throwIfNoEntry: false });
    if (found !== undefined) return { uid: found.uid, gid: found.gid };
  }
  return undefined;
}
