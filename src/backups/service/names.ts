import { join } from 'node:path';
import type { Config } from '../../config.ts';

/** How many archives of the service stay. */
const keepLast = 14;
const wholeId = /^service-backup-\d{8}-\d{6}$/;

/** Where they lie, on the service's machine. */
export function serviceBackups({ dataDir }: Pick<Config, 'dataDir'>): string {
  return join(dataDir, 'backups');
}

/** `service-backup-20261127-034000`, in UTC: the same for every attempt of a run. */
export function serviceBackupId(at: number): string {
  const stamp = new Date(at).toISOString().replaceAll(/[-:]/g, '').replace('T', '-').slice(0, 15);
  return `service-backup-${stamp}`;
}

export function isServiceBackup(id: string): boolean {
  return wholeId.test(id);
}

/**
 * All but the newest 14. None goes where one is of the future: its clock, or this machine's, is wrong.
 *
 * @param made the one that was verified just now, which never goes
 */
export function serviceBackupsToRemove(ids: readonly string[], made: string): readonly string[] {
  const sorted = ids.filter(isServiceBackup).sort().reverse();
  if (!sorted.includes(made) || sorted[0] !== made) return [];
  return sorted.slice(keepLast);
}
