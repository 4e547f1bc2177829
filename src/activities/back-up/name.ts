import { backup } from '../../hosts/commands/back-up/parameters.ts';
import { isOf } from '../../hosts/commands/command.ts';

export type BackupKind = 'daily';

/** What is ours by its name; everything else in the folder is somebody else's and never touched. */
export function isBackupId(id: string): boolean {
  return isOf(backup, id) && !Number.isNaN(takenAt(id));
}

/** When the backup was taken, by its name read as UTC, in ms since 1970. */
export function takenAt(id: string): number {
  const [, year, month, day, hour, minute, second] = /(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)$/.exec(id) ?? [];
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

/**
 * `daily-backup-20261122-020000`, in UTC, so that names sort by time whatever the host's clock does in autumn. Where
 * that name is taken, by a backup of the same second, it is that of the next second that is free.
 *
 * @param at - ms since the epoch
 */
export function freeBackupId(kind: BackupKind, at: number, taken: readonly string[]): string {
  const stamp = new Date(at).toISOString().replaceAll(/[-:]/g, '').replace('T', '-').slice(0, 15);
  const id = `${kind}-backup-${stamp}`;
  return taken.includes(id) ? freeBackupId(kind, at + 1000, taken) : id;
}
