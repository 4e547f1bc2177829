import { ServiceError } from '../../errors.ts';
import type { CommandResult } from '../../hosts/execution/executor.ts';
import { cleanLine } from '../../reports/clean.ts';

/** The commands of the privilege table answer in lines `key value`: all values of a key, in order. */
export function readLines(output: string): (key: string) => readonly string[] {
  const values = new Map<string, string[]>();
  for (const line of output.split('\n')) {
    const space = line.indexOf(' ');
    const key = space < 0 ? line : line.slice(0, space);
    const value = space < 0 ? '' : line.slice(space + 1);
    const known = values.get(key);
    if (known) known.push(value);
    else values.set(key, [value]);
  }
  return (key) => values.get(key) ?? [];
}

/** The last line that a command said on standard error (else on standard output), fit to be shown. */
export function lastWords(result: CommandResult): string {
  const lines = (text: string) => text.split('\n').filter((line) => line.trim() !== '');
  return cleanLine(lines(result.stderr).at(-1) ?? lines(result.stdout).at(-1) ?? '', 300);
}

/** Whether the program of a vector isn't installed: what shells and `timeout` answer. */
export function isMissing(result: CommandResult): boolean {
  return result.exitCode === 127;
}

/**
 * Throws what a failed command means.
 *
 * @param doing what it was to do, as the start of a sentence: `Packing the backup`
 * @param where the host, and the folder whose disk may be full
 */
export function requireSuccess(
  result: CommandResult,
  doing: string,
  where: { readonly host: string; readonly folder: string },
): void {
  if (result.exitCode === 0) return;
  const words = lastWords(result);
  const said = words === '' ? `exit code ${result.exitCode}` : `${words} (exit code ${result.exitCode})`;
  const details = { host: where.host, exitCode: result.exitCode };
  // coreutils that flush late have lost the reason and only say "write error".
  if (/No space left on device|Disk quota exceeded|: write error$/im.test(result.stderr)) {
    throw new ServiceError({
      code: 'disk-full',
      message: `${doing} on ${where.host} failed because the disk of ${where.folder} is full`,
      remedy: `Free space there or move the backups (BACKUP_DIR), then start it again; what was half written is removed.`,
      details: { ...details, folder: where.folder },
    });
  }
  if (/Permission denied|Operation not permitted|Read-only file system/i.test(result.stderr)) {
    throw new ServiceError({
      code: 'unreadable',
      message: `${doing} on ${where.host} failed because a file or folder can't be read or written: ${said}`,
      remedy: "Give the service's user (or, with the helper, root) access to it, then start it again.",
      details,
    });
  }
  throw new ServiceError({
    code: result.exitCode === 9 ? 'verification-failed' : 'command-failed',
    message: `${doing} on ${where.host} failed: ${said}`,
    remedy: 'Look at the cause named above on the host, then start it again.',
    details,
  });
}
