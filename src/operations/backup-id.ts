/**
 * What archives of a host there are, each with a retention of its own:
 *
 * - `daily`: configuration, and the installation with its data, without what monitoring has collected
 * - `full`: all of it
 * - `monthly`: configuration only
 */
export const backupKinds = ['daily', 'full', 'monthly'] as const;
export type BackupKind = (typeof backupKinds)[number];

/**
 * What monitoring collects by itself: gigabytes that nobody misses in a daily backup. Grafana's volume is not among it, for it
 * holds the dashboards and users that people have made. The host's helper leaves out the same.
 */
const collectedVolumes = ['prometheus_data', 'loki_data', 'alloy_data'] as const;

/** Whether a backup of this kind holds a Docker volume of that name. */
export function holdsVolume(kind: BackupKind, volume: string): boolean {
  return kind !== 'monthly' && (kind !== 'daily' || !(collectedVolumes as readonly string[]).includes(volume));
}

/** The form of a backup's id, as a POSIX extended regular expression: the archive's name without `.tar.gz` or `.tar.zst`. */
export const backupIdPattern = `(${backupKinds.join('|')})-backup-[0-9]{8}-[0-9]{6}`;

const wholeId = new RegExp(`^${backupIdPattern}$`);

/** What is ours by its name; everything else in the folder is somebody else's and never touched. */
export function isBackupId(id: string): boolean {
  return wholeId.test(id) && !Number.isNaN(takenAt(id));
}

/** The kind that an id names; undefined where it is none. */
export function kindOfBackup(id: string): BackupKind | undefined {
  return isBackupId(id) ? backupKinds.find((kind) => id.startsWith(`${kind}-`)) : undefined;
}

/** When the backup was taken, by its name read as UTC, in ms since 1970. */
export function takenAt(id: string): number {
  const [, year, month, day, hour, minute, second] = /(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)$/.exec(id) ?? [];
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

/**
 * `20261122-020000`, in UTC.
 *
 * @param at - ms since the epoch
 */
export function stampOf(at: number): string {
  return new Date(at).toISOString().replaceAll(/[-:]/g, '').replace('T', '-').slice(0, 15);
}

/**
 * `daily-backup-20261122-020000`, in UTC, so that names sort by time whatever the host's clock does in autumn. Where
 * that name is taken, by a backup of the same second, it is that of the next second that is free.
 *
 * @param at - ms since the epoch
 */
export function freeBackupId(kind: BackupKind, at: number, taken: readonly string[]): string {
  const id = `${kind}-backup-${stampOf(at)}`;
  return taken.includes(id) ? freeBackupId(kind, at + 1000, taken) : id;
}
