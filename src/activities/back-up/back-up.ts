import { Context } from '@temporalio/activity';
import { planRetention, type RetentionPlan } from '../../backups/plan-retention.ts';
import type { Config, HostConfig } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import {
  type Archive,
  type Backups,
  checkArchive,
  listBackups,
  removeBackup,
} from '../../hosts/commands/back-up/archives.ts';
import type { HostConfiguration } from '../../hosts/commands/back-up/host-parts.ts';
import { keepOf, keptBackups } from '../../hosts/commands/back-up/kept-backups.ts';
import { lastGood } from '../../hosts/commands/back-up/last-good.ts';
import {
  abandonBackup,
  archiveVolume,
  collectBackup,
  collectHost,
  type Doubt,
  describeBackup,
  packBackup,
  publishBackup,
  verifyBackup,
} from '../../hosts/commands/back-up/make-backup.ts';
import { backup } from '../../hosts/commands/back-up/parameters.ts';
import type { Host, HostFence, Hosts } from '../../hosts/host.ts';
import { createSeals, type Seals } from '../../hosts/seals.ts';
import { type BackupKind, freeBackupId, isBackupId } from '../../operations/backup-id.ts';
import type { Plan } from '../../operations/plan.ts';
import { readableDuration } from '../../reports/units.ts';
import { fingerprintOf } from '../../ssh-wire.ts';
import { withHeartbeat } from '../lib/heartbeat.ts';
import { repeatable } from '../lib/repeat.ts';
import { currentRun, jobOf, runJob } from '../lib/run-job.ts';
import { stopJobs } from '../lib/stop-jobs.ts';
import { type BackupContents, lookBeforeBackup } from './look.ts';
import { planSteps } from './plan.ts';

export const queue = 'host';

/** One backup of one host. */
export interface BackupInput {
  readonly host: string;
  /** `daily-backup-YYYYMMDD-HHMMSS`; given by the workflow, so that every attempt means the same backup. */
  readonly id: string;
  /** The fence of the host's lock. */
  readonly fence: number;
}

export interface CollectedFiles {
  /** Files and folders copied; 0 where there is no installation. */
  readonly entries: number;
  readonly sudoers: boolean;
  /** Docker volumes that are to be archived next. */
  readonly volumes: readonly string[];
  /** Containers whose own dump is in it. Absent: an older host made none. */
  readonly dumps?: readonly string[];
  /** Names in the installation that gave way to the archive's own: left by an earlier recovery. */
  readonly replaced: readonly string[];
  /** Some of the files that were written to until they had been copied several times, at most five. */
  readonly changed: readonly string[];
  /** What of attributes, ACLs or capabilities could not be copied, in the host's words. */
  readonly lost: readonly string[];
  /** Lines of the host's list of jobs that are not understood. */
  readonly notUnderstood: number;
}

/** What of the host's own configuration is in the copy. */
export interface CollectedHost extends HostConfiguration {
  /** What copied the database of /etc/pve: `files` is nothing that understands it. Absent where there is none. */
  readonly database?: 'sqlite3' | 'python3' | 'perl' | 'files';
  /** As of {@link CollectedFiles}. */
  readonly changed: readonly string[];
  readonly lost: readonly string[];
}

export interface ArchivedVolume {
  readonly name: string;
  readonly bytes: number;
  /** The name of the volume that its containers have mounted, where compose gave it another. */
  readonly named?: string;
  /** As of {@link CollectedFiles}. */
  readonly changed: readonly string[];
  readonly lost: readonly string[];
}

/** What the host says of a backup's contents beside the last good one's. */
export interface ComparedBackup {
  readonly files: number;
  readonly bytes: number;
  /** Id of the last good one; absent where there was none. */
  readonly last?: string;
  /** Why it doesn't count until an administrator accepts it; empty where it counts. */
  readonly doubts: readonly Doubt[];
  /** What would be doubted, had an administrator not accepted it in the last good one. */
  readonly accepted: readonly Doubt[];
  /** Guests whose configuration the last good one held and the host has no more: `guest 100`. Absent: an older host said nothing. */
  readonly gone?: readonly string[];
}

export interface VerifiedArchive {
  readonly sha256: string;
  readonly bytes: number;
  /** Files and folders in the archive. */
  readonly entries: number;
  /** Files whose checksum was compared. */
  readonly files: number;
}

export interface PublishedArchive {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Whether it counts as a good backup: `false` while there are doubts that no administrator has accepted. */
  readonly counts: boolean;
  /** The key that sealed its manifest, as `ssh-keygen -l` shows it. Absent: an older version sealed nothing. */
  readonly seal?: {
    readonly fingerprint: string;
    /** `other`: not the one that this service has seen of the host before, which was `known`. */
    readonly is: 'first' | 'same' | 'other';
    readonly known?: string;
  };
}

/** Archives that were read again. */
export interface CheckedArchives {
  readonly whole: readonly string[];
  /** They aren't what was published any more. */
  readonly broken: readonly string[];
  /** Their manifests aren't, or not what this host has sealed. Absent: an older version did not look. */
  readonly unsealed?: readonly string[];
}

/** What was found before a backup, which gets that id. */
export type BackupLook = BackupContents & {
  readonly id: string;
  /** Copies of the host's backups are to leave it. Of a run that was begun by an earlier version it isn't known. */
  readonly isCopied?: boolean;
};

/**
 * The steps of a daily backup, in their order. Each may be run again at any time, after any crash, and ends with the
 * same; `abandonBackup` takes all of them back until the archive has its name.
 */
export interface BackupActivities {
  /**
   * Changes nothing, and names the backup after the host's clock. Throws `command-refused` (the helper is an older one),
   * `unreadable`, `configuration`, `disk-full` before anything is written.
   */
  lookForBackup(input: {
    readonly host: string;
    readonly kind: BackupKind;
    readonly anyTarget: boolean;
  }): Promise<BackupLook>;
  /** Begins it: copies the installation, where there is one, into the backup's hidden folder; removes those of dead runs. */
  collectBackup(input: BackupInput): Promise<CollectedFiles>;
  /** Adds the host's own configuration. What it doesn't have is left out, what can't be read is a doubt. */
  collectHost(input: BackupInput): Promise<CollectedHost>;
  /** Adds the Docker volumes, one after the other. */
  archiveVolumes(input: BackupInput & { readonly volumes: readonly string[] }): Promise<readonly ArchivedVolume[]>;
  /** Writes the manifest, compares the contents with those of the last good backup, and packs the archive under a hidden temporary name. */
  packBackup(input: BackupInput): Promise<ComparedBackup>;
  /** Reads the archive back. Throws `verification-failed`. */
  verifyBackup(input: BackupInput): Promise<VerifiedArchive>;
  /** Gives the archive its name, and removes the hidden folder. */
  publishBackup(input: BackupInput & { readonly sha256: string }): Promise<PublishedArchive>;
  /** Undo of every step before `publishBackup` has ended. */
  abandonBackup(input: BackupInput): Promise<void>;
  /** Reads again what was published before and not been read for the longest time, at most two archives. */
  checkArchives(input: BackupInput): Promise<CheckedArchives>;
  /**
   * Changes nothing. `adding`: plan as if this archive were there and verified. `notUnderstood`: lines of the host's list
   * of archives, which are left alone.
   */
  planBackupRetention(input: {
    readonly host: string;
    readonly adding?: string;
  }): Promise<RetentionPlan & { readonly notUnderstood: number }>;
  /**
   * The calls of the backup that would get this id, and what retention would remove. Changes nothing.
   *
   * @param volumes those that are to be in it
   */
  planBackup(input: { readonly host: string; readonly id: string; readonly volumes: readonly string[] }): Promise<{
    readonly steps: Plan['steps'];
    readonly retention: RetentionPlan & { readonly notUnderstood: number };
  }>;
  /** Removes one archive; the host refuses unless it is old and three newer ones are there that it verified itself. */
  removeBackup(input: BackupInput): Promise<void>;
  /** The last archive on the host that counts, as a sentence: for saying with a failure. */
  tellLastGood(input: { readonly host: string }): Promise<string>;
}

export function createBackupActivities({
  hosts,
  config,
}: {
  readonly hosts: Hosts;
  readonly config: Pick<Config, 'dataDir'>;
}): BackupActivities {
  const seals = createSeals(config);
  return {
    async lookForBackup({ host: name, kind, anyTarget }) {
      const host = hosts.get(name);
      return withHeartbeat(async () => {
        const look = await lookBeforeBackup(host, { kind, anyTarget, signal: Context.current().cancellationSignal });
        const { archives, gone, elsewhere, notUnderstood } = await host.run(listBackups, {});
        const counted = { ...look, notUnderstood: look.notUnderstood + notUnderstood };
        const taken = [...[...archives, ...elsewhere].map(({ id }) => id), ...gone, ...counted.leftovers];
        const isCopied = host.config.copies !== undefined;
        return { ...counted, id: freeBackupId(kind, Date.parse(counted.now), taken), isCopied };
      });
    },

    async collectBackup(input) {
      const host = hostFor(hosts, input);
      // The host's lock is ours: another backup's job that is still at work belongs to a run that was ended.
      const notUnderstood = await withHeartbeat(() =>
        stopJobs(host, { fence: fenceOf(input) }, (id) => isJobOfABackup(id) && !isJobOf(input.id, id)),
      );
      await withHeartbeat(() => host.cleanJobs(keepJobsDays));
      const {
        source,
        copied,
        sudoers,
        volume: volumes,
        dump: dumps,
        ...rest
      } = await runJob(host, collectBackup, { backup: input.id }, step(input, 'collect'));
      // A few files may come and go while a living installation is copied; a hundredth of them may not.
      if ((source > 0 && copied === 0) || copied + rest.replaced.length < source * 0.99 - 2) {
        throw new ServiceError({
          code: 'verification-failed',
          message: `Only ${copied} of ${source} files and folders of ${host.config.layout.installation} on ${host.name} were copied`,
          remedy: 'Look whether something deletes files there while the backup runs, then start it again.',
        });
      }
      return { ...rest, volumes, dumps, entries: copied, sudoers: sudoers === 'copied', notUnderstood };
    },

    async collectHost(input) {
      const host = hostFor(hosts, input);
      const {
        part: parts,
        database,
        ...rest
      } = await runJob(host, collectHost, { backup: input.id }, step(input, 'host'));
      if (parts.length === 0) {
        throw new ServiceError({
          code: 'verification-failed',
          message: `Nothing of the configuration of ${host.name} was copied`,
          remedy: "Look at the host's /etc: not even its name and network are there, or may be read.",
        });
      }
      return { parts, ...rest, lost: rest.lost.slice(0, 5), ...(database !== undefined && { database }) };
    },

    async archiveVolumes(input) {
      const host = hostFor(hosts, input);
      const archived: ArchivedVolume[] = [];
      for (const name of input.volumes) {
        const args = { backup: input.id, volume: name };
        const { named, ...one } = await runJob(host, archiveVolume, args, step(input, `volume ${name}`));
        archived.push({ name, ...one, ...(named !== undefined && { named }) });
      }
      return archived;
    },

    async packBackup(input) {
      const host = hostFor(hosts, input);
      const manifest = await runJob(host, describeBackup, { backup: input.id }, step(input, 'manifest'));
      const { bytes } = await runJob(host, packBackup, { backup: input.id }, step(input, 'pack'));
      const { files, last, doubt: doubts, accepted, gone } = manifest;
      return { files, bytes, doubts, accepted, gone, ...(last !== undefined && { last }) };
    },

    async verifyBackup(input) {
      const host = hostFor(hosts, input);
      const verified = await runJob(host, verifyBackup, { backup: input.id }, step(input, 'verify'));
      if (verified.bytes > 0 && verified.files > 0) return verified;
      throw new ServiceError({
        code: 'verification-failed',
        message: `The backup ${input.id} on ${host.name} could not be read back whole`,
        remedy: 'Start the backup again; if it stays like this, check the disk of the backup folder.',
      });
    },

    async publishBackup(input) {
      const host = hostFor(hosts, input);
      const { sha256 } = input;
      const args = { backup: input.id, sha256 };
      const { name, bytes, state, seal } = await runJob(host, publishBackup, args, step(input, 'publish'));
      return {
        path: `${host.config.layout.backups}/${name}`,
        bytes,
        sha256,
        counts: state === 'verified',
        seal: judgeSeal(seals, input.host, seal),
      };
    },

    async abandonBackup(input) {
      const host = hostFor(hosts, input);
      const fence = fenceOf(input);
      // Nobody may have watched the job when the run was cancelled, so that nobody has stopped it. And the activity that
      // was cancelled may be about to start the first one; the others do nothing without what that one makes.
      const first = jobOf(step(input, 'collect').step);
      await withHeartbeat(() => stopJobs(host, { fence }, (id) => isJobOf(input.id, id), [first]));
      await withHeartbeat(() =>
        repeatable(() => host.run(abandonBackup, { backup: input.id }, { fence, run: currentRun() })),
      );
    },

    async checkArchives(input) {
      const host = hostFor(hosts, input);
      const { archives } = await host.run(listBackups, {});
      const checked = { whole: [] as string[], broken: [] as string[], unsealed: [] as string[] };
      for (const id of longestUnread(archives, input.id)) {
        const { broken, unsealed } = await runJob(host, checkArchive, { backup: id }, step(input, `read ${id} again`));
        checked[broken ? 'broken' : unsealed ? 'unsealed' : 'whole'].push(id);
      }
      return checked;
    },

    async planBackupRetention({ host: name, adding }) {
      const host = hosts.get(name);
      return retentionOf(host.config, await host.run(listBackups, {}), adding);
    },

    async planBackup({ host: name, id, volumes }) {
      const host = hosts.get(name);
      const backups = await host.run(listBackups, {});
      const retention = retentionOf(host.config, backups, id);
      const read = longestUnread(backups.archives, id);
      return { steps: planSteps(host.config, { volumes, read, remove: retention.remove }), retention };
    },

    async removeBackup(input) {
      const host = hostFor(hosts, input);
      await runJob(host, removeBackup, { backup: input.id }, step(input, 'remove'));
    },

    async tellLastGood({ host: name }) {
      const backups = await hosts.get(name).run(listBackups, {});
      const good = lastGood(backups);
      if (good?.publishedAt === undefined) return `There is no good backup of ${name}.`;
      const age = Date.parse(backups.now) - Date.parse(good.publishedAt);
      return `The last good backup of ${name} is ${good.id}, ${readableDuration(age)} old.`;
    },
  };
}

function retentionOf(
  host: HostConfig,
  backups: Backups,
  adding?: string,
): RetentionPlan & { readonly notUnderstood: number } {
  const { now } = backups;
  const added: readonly Archive[] =
    adding === undefined
      ? []
      : [{ id: adding, bytes: usualBytes(backups), writtenAt: now, state: 'verified', publishedAt: now }];
  const archives = [...backups.archives.filter(({ id }) => id !== adding), ...added];
  const options = { keep: keepOf(host), timeZone: host.timeZone, now: new Date() };
  return { ...planRetention(keptBackups({ ...backups, archives }), options), notUnderstood: backups.notUnderstood };
}

/** So that each archive of a week is read about every other night, and a changed one at once. */
const readAtOnce = 2;
const readAgainAfterMs = 20 * 3_600_000;

function longestUnread(archives: readonly Archive[], made: string): readonly string[] {
  const newest = Math.max(...archives.map(({ publishedAt = '' }) => Date.parse(publishedAt) || 0));
  return archives
    .filter(({ id, state, checkedAt = '' }) => {
      if (id === made || state === 'unproven') return false;
      return isWrong(state) || newest - Date.parse(checkedAt) > readAgainAfterMs;
    })
    .sort((a, b) => urgency(a).localeCompare(urgency(b)))
    .slice(0, readAtOnce)
    .map(({ id }) => id);
}

function urgency({ state, checkedAt = '' }: Archive): string {
  return `${isWrong(state) ? 0 : 1} ${checkedAt}`;
}

function isWrong(state: Archive['state']): boolean {
  return state === 'changed' || state === 'unsealed';
}

/** What a backup is likely to take, for a plan. */
function usualBytes(backups: Backups): number {
  return lastGood(backups)?.bytes ?? 1;
}

function judgeSeal(seals: Seals, host: string, key: string): NonNullable<PublishedArchive['seal']> {
  const is = seals.judge(host, key);
  const known = seals.pinned(host);
  return {
    fingerprint: fingerprintOf(key),
    is,
    ...(is === 'other' && known !== undefined && { known: fingerprintOf(known) }),
  };
}

function hostFor(hosts: Hosts, input: BackupInput): Host {
  if (isBackupId(input.id)) return hosts.get(input.host);
  throw new ServiceError({
    code: 'invalid-input',
    message: `"${input.id}" is not the id of a backup: expected daily-backup-YYYYMMDD-HHMMSS`,
    remedy: 'Name an archive without ".tar.gz".',
    details: { field: 'id' },
  });
}

function fenceOf({ fence }: BackupInput): HostFence {
  return { host: fence };
}

/** How long the host keeps the records of jobs that ended. */
const keepJobsDays = 30;

/** A job's id begins with its step, and a step of a backup with the backup's id. */
function isJobOf(id: string, job: string): boolean {
  return job.startsWith(`${id}-`);
}

function isJobOfABackup(job: string): boolean {
  const [id = ''] = new RegExp(`^${backup.pattern}`).exec(job) ?? [];
  return isBackupId(id);
}

function step(input: BackupInput, name: string): { readonly step: string; readonly fence: HostFence } {
  return { step: `${input.id} ${name}`, fence: fenceOf(input) };
}
