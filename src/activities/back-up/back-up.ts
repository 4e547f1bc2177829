import { Context } from '@temporalio/activity';
import { ServiceError } from '../../errors.ts';
import { type Archive, listBackups, removeBackup } from '../../hosts/commands/back-up/archives.ts';
import {
  abandonBackup,
  archiveVolume,
  collectBackup,
  packBackup,
  publishBackup,
  verifyBackup,
  writeBackupManifest,
} from '../../hosts/commands/back-up/make-backup.ts';
import { backup } from '../../hosts/commands/back-up/parameters.ts';
import type { Host, HostFence, Hosts } from '../../hosts/host.ts';
import { withHeartbeat } from '../lib/heartbeat.ts';
import { repeatable } from '../lib/repeat.ts';
import { jobOf, runJob } from '../lib/run-job.ts';
import { stopJobs } from '../lib/stop-jobs.ts';
import { type BackupContents, installationIsGone, lookBeforeBackup, type NoInstallation } from './look.ts';
import { type BackupKind, freeBackupId, isBackupId } from './name.ts';
import { planRetention, type RetentionPlan } from './retention.ts';

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
  /** Files and folders copied. */
  readonly entries: number;
  readonly sudoers: boolean;
  /** Names in the installation that gave way to the archive's own: left by an earlier recovery. */
  readonly replaced: readonly string[];
  /** Lines of the host's list of jobs that are not understood. */
  readonly notUnderstood: number;
}

export interface ArchivedVolume {
  readonly name: string;
  readonly bytes: number;
  /** Files in it changed while they were read, as logs do. */
  readonly changed: boolean;
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
}

/** What was found before a backup: it gets that id, or there is nothing to back up and never was. */
export type BackupLook = (BackupContents & { readonly id: string }) | NoInstallation;

/**
 * The steps of a daily backup, in their order. Each may be run again at any time, after any crash, and ends with the
 * same; `abandonBackup` takes all of them back until the archive has its name.
 */
export interface BackupActivities {
  /**
   * Changes nothing, and names the backup after `at`, ms since the epoch. Throws `not-found` (an installation that is
   * empty, or gone though there are archives of it), `unreadable`, `configuration`, `disk-full` before anything is written.
   */
  lookForBackup(input: { readonly host: string; readonly kind: BackupKind; readonly at: number }): Promise<BackupLook>;
  /** Copies the installation and the sudoers file into the backup's hidden folder; removes those of dead runs. */
  collectBackup(input: BackupInput): Promise<CollectedFiles>;
  /** Adds the Docker volumes, one after the other. */
  archiveVolumes(input: BackupInput & { readonly volumes: readonly string[] }): Promise<readonly ArchivedVolume[]>;
  /** Writes the manifest and packs the archive under a hidden temporary name. */
  packBackup(input: BackupInput): Promise<{ readonly files: number; readonly bytes: number }>;
  /** Reads the archive back. Throws `verification-failed`. */
  verifyBackup(input: BackupInput): Promise<VerifiedArchive>;
  /** Gives the archive its name, and removes the hidden folder. */
  publishBackup(input: BackupInput & { readonly sha256: string }): Promise<PublishedArchive>;
  /** Undo of every step before `publishBackup` has ended. */
  abandonBackup(input: BackupInput): Promise<void>;
  /**
   * Changes nothing. `adding`: plan as if this archive were there and verified. `notUnderstood`: lines of the host's list
   * of archives, which are left alone.
   */
  planBackupRetention(input: {
    readonly host: string;
    readonly adding?: string;
  }): Promise<RetentionPlan & { readonly notUnderstood: number }>;
  /** Removes one archive; the host refuses unless the newer one `keeping` is there and its checksum is right. */
  removeBackup(input: BackupInput & { readonly keeping: string }): Promise<void>;
}

export function createBackupActivities({ hosts }: { readonly hosts: Hosts }): BackupActivities {
  return {
    async lookForBackup({ host: name, kind, at }) {
      const host = hosts.get(name);
      return withHeartbeat(async () => {
        const look = await lookBeforeBackup(host, { signal: Context.current().cancellationSignal });
        const { archives, notUnderstood } = await host.run(listBackups, {});
        const counted = { ...look, notUnderstood: look.notUnderstood + notUnderstood };
        if (!counted.isInstalled) {
          if (archives.length > 0 || notUnderstood > 0) throw installationIsGone(host);
          return counted;
        }
        return { ...counted, id: freeBackupId(kind, at, [...archives.map(({ id }) => id), ...counted.leftovers]) };
      });
    },

    async collectBackup(input) {
      const host = hostFor(hosts, input);
      // The host's lock is ours: another backup's job that is still at work belongs to a run that was ended.
      const notUnderstood = await withHeartbeat(() =>
        stopJobs(host, { fence: fenceOf(input) }, (id) => isJobOfABackup(id) && !isJobOf(input.id, id)),
      );
      await withHeartbeat(() => host.cleanJobs(keepJobsDays));
      const { source, copied, replaced, sudoers } = await runJob(
        host,
        collectBackup,
        { backup: input.id },
        step(input, 'collect'),
      );
      // A few files may come and go while a living installation is copied; a hundredth of them may not.
      if (copied === 0 || copied + replaced.length < source * 0.99 - 2) {
        throw new ServiceError({
          code: 'verification-failed',
          message: `Only ${copied} of ${source} files and folders of ${host.config.layout.installation} on ${host.name} were copied`,
          remedy: 'Look whether something deletes files there while the backup runs, then start it again.',
        });
      }
      return { entries: copied, sudoers: sudoers === 'copied', replaced, notUnderstood };
    },

    async archiveVolumes(input) {
      const host = hostFor(hosts, input);
      const archived: ArchivedVolume[] = [];
      for (const name of input.volumes) {
        const args = { backup: input.id, volume: name };
        archived.push({ name, ...(await runJob(host, archiveVolume, args, step(input, `volume ${name}`))) });
      }
      return archived;
    },

    async packBackup(input) {
      const host = hostFor(hosts, input);
      const { files } = await runJob(host, writeBackupManifest, { backup: input.id }, step(input, 'manifest'));
      const { bytes } = await runJob(host, packBackup, { backup: input.id }, step(input, 'pack'));
      return { files, bytes };
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
      const { bytes } = await runJob(host, publishBackup, { backup: input.id, sha256 }, step(input, 'publish'));
      return { path: `${host.config.layout.backups}/${input.id}.tar.gz`, bytes, sha256 };
    },

    async abandonBackup(input) {
      const host = hostFor(hosts, input);
      const fence = fenceOf(input);
      // Nobody may have watched the job when the run was cancelled, so that nobody has stopped it. And the activity that
      // was cancelled may be about to start the first one; the others do nothing without what that one makes.
      const first = jobOf(step(input, 'collect').step);
      await withHeartbeat(() => stopJobs(host, { fence }, (id) => isJobOf(input.id, id), [first]));
      await withHeartbeat(() => repeatable(() => host.run(abandonBackup, { backup: input.id }, { fence })));
    },

    async planBackupRetention({ host: name, adding }) {
      const { archives, notUnderstood } = await hosts.get(name).run(listBackups, {});
      const added: readonly Archive[] =
        adding === undefined
          ? []
          : [{ id: adding, bytes: 1, writtenAt: new Date().toISOString(), sha256: '0'.repeat(64) }];
      const plan = planRetention([...archives.filter(({ id }) => id !== adding), ...added], new Date());
      return { ...plan, notUnderstood };
    },

    async removeBackup(input) {
      const host = hostFor(hosts, input);
      const args = { backup: input.id, keeping: input.keeping };
      await runJob(host, removeBackup, args, step(input, `remove, keeping ${input.keeping}`));
    },
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
  return isBackupId(job.slice(0, backup.maxLength));
}

function step(input: BackupInput, name: string): { readonly step: string; readonly fence: HostFence } {
  return { step: `${input.id} ${name}`, fence: fenceOf(input) };
}
