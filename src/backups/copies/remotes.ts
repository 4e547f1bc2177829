import { createHash } from 'node:crypto';
import { ServiceError } from '../../errors.ts';
import { runProgram } from './programs.ts';
import type { Copy, CopyOptions } from './store.ts';

// Further places for encrypted copies, by programs that sign in with files of their own.

/**
 * Brings a copy to a further place, and reads it back from there: only what has the digest that was recorded when it was written
 * lies there, too. May be done again at any time. Throws `command-failed` with the program's last words, `verification-failed`.
 *
 * @param place - `rclone:REMOTE:PATH` or `restic:REPOSITORY`
 */
export async function bringTo(place: string, copy: Copy, options: CopyOptions = {}): Promise<void> {
  const { send, read } = callsOf(place, copy);
  await runProgram(send, options.signal);
  const hash = createHash('sha256');
  await runProgram(read, options.signal, (chunk) => {
    hash.update(chunk);
    options.onBytes?.(chunk.length);
  });
  if (hash.digest('hex') === copy.sha256) return;
  throw new ServiceError({
    code: 'verification-failed',
    message: `What lies in ${place} is not the copy of ${copy.backup} of ${copy.host} that was brought there`,
    remedy: 'Look at that place; the next run brings it again.',
    details: { host: copy.host },
  });
}

type Call = readonly [program: 'rclone' | 'restic', ...args: string[]];

function callsOf(place: string, { host, backup, path }: Copy): { readonly send: Call; readonly read: Call } {
  const kind = place.slice(0, place.indexOf(':'));
  const where = place.slice(kind.length + 1);
  if (kind === 'rclone') {
    const there = `${where.replace(/\/$/, '')}${/[:/]$/.test(where) ? '' : '/'}${host}/${backup}.age`;
    // Else what has the same size and time there is taken for the same, and one that was found damaged stays so.
    return { send: ['rclone', 'copyto', '--ignore-times', '--', path, there], read: ['rclone', 'cat', '--', there] };
  }
  // Of a copy that was made anew the newest snapshot counts.
  const of = ['--host', host, '--tag', backup] as const;
  return {
    send: ['restic', '--quiet', '--repo', where, 'backup', ...of, '--', path],
    read: ['restic', '--quiet', '--repo', where, 'dump', ...of, '--', 'latest', path],
  };
}
