import { join } from 'node:path';
import type { Config } from '../../config.ts';
import { stampOf, takenAt } from '../../operations/backup-id.ts';
import { markBackups } from '../retention.ts';

/** How many archives of the service stay. */
const keepLast = 14;
const wholeId = /^service-backup-\d{8}-\d{6}$/;

/** Where they lie, on the service's machine. */
export function serviceBackups({ dataDir }: Pick<Config, 'dataDir'>): string {
  return join(dataDir, 'backups');
}

/**
 * `service-backup-20261127-034000`, in UTC: the same for every attempt of a run.
 *
 * @param at - ms since the epoch
 */
export function serviceBackupId(at: number): string {
  return `service-backup-${stampOf(at)}`;
}

/** The id of an archive by its file's name, encrypted or not; undefined: it is none. */
export function serviceBackupOf(file: string): string | undefined {
  const id = /^(.+)\.tar\.gz(\.age)?$/.exec(file)?.[1];
  return id !== undefined && isServiceBackup(id) ? id : undefined;
}

function isServiceBackup(id: string): boolean {
  return wholeId.test(id);
}

/**
 * All but the newest 14. None goes where one is of the future: its clock, or this machine's, is wrong.
 *
 * @param made the one that was verified just now, which never goes
 */
export function serviceBackupsToRemove(ids: readonly string[], made: string): readonly string[] {
  const sorted = ids.filter(isServiceBackup).sort().reverse();
  if (sorted[0] !== made) return [];
  const marks = markBackups(
    sorted.map((id) => ({ time: takenAt(id) })),
    { 'keep-last': keepLast },
    'UTC',
  );
  return sorted.filter((_, index) => marks[index]?.mark === 'remove');
}
