import { Context } from '@temporalio/activity';
import { ServiceError } from '../../errors.ts';
import type { Host, Hosts } from '../../hosts/host.ts';
import { withHeartbeat } from '../lib/heartbeat.ts';
import { readLines, requireSuccess } from '../lib/output.ts';
import { repeatable } from '../lib/repeat.ts';
import { jobOf, runJob } from '../lib/run-job.ts';
import { stopJobs } from '../lib/stop-jobs.ts';
import { type BackupLook, lookBeforeBackup } from './look.ts';
import { type BackupKind, freeBackupId, isBackupId } from './name.ts';
import { type Archive, planRetention, type RetentionPlan } from './retention.ts';

export const queue = 'host';

/** One backup of one host. */
export interface BackupInput {
  readonly host: string;
  /** `daily-backup-YYYYMMDD-HHMMSS`; given by the workflow, so that every attempt means the same backup. */
  readonly id: string;
  /** The lease's fencing token. */
  readonly fence: number;
}

export interface CollectedFiles {
  /** Files and folders copied. */
  readonly entries: number;
  readonly sudoers: boolean;
  /** Names in the installation that gave way to the archive's own: left by an earlier recovery. */
  readonly replaced: readonly string[];
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

/**
 * The steps of a daily backup, in their order. Each may be run again at any time, after any crash, and ends with the
 * same; `abandonBackup` takes all of them back until the archive has its name.
 */
export interface BackupActivities {
  /**
   * Changes nothing, and names the backup after `at`, ms since the epoch. Throws `not-found`, `unreadable`,
   * `configuration`, `disk-full` before anything is written.
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
  /** Changes nothing. `adding`: plan as if this archive were there and verified. */
  planBackupRetention(input: { readonly host: string; readonly adding?: string }): Promise<RetentionPlan>;
  /** Removes one archive; the host refuses unless the newer one `keeping` is there and its checksum is right. */
  removeBackup(input: BackupInput & { readonly keeping: string }): Promise<void>;
}

export function createBackupActivities({ hosts }: { readonly hosts: Hosts }): BackupActivities {
  return {
    async lookForBackup({ host: name, kind, at }) {
      const host = hosts.get(name);
      return withHeartbeat(async () => {
        const look = await lookBeforeBackup(host, { signal: Context.current().cancellationSignal });
        const archives = await listArchives(host);
        return { ...look, id: freeBackupId(kind, at, [...archives.map(({ id }) => id), ...look.leftovers]) };
      });
    },

    async collectBackup(input) {
      const host = hostFor(hosts, input);
      // The host's lock is ours: another backup's job that is still at work belongs to a run that was ended.
      await withHeartbeat(() =>
        stopJobs(host, input.fence, (id) => id.startsWith('daily-backup-') && !isJobOf(input.id, id)),
      );
      await withHeartbeat(() => host.cleanJobs(keepJobsDays));
      const result = await runJob(host, 'collectBackup', { backup: input.id }, step(input, 'collect'));
      requireSuccess(result, 'Copying the installation', places(host));
      const read = readLines(result.stdout);
      const [source, copied] = [Number(read('source')[0]), Number(read('copied')[0])];
      const replaced = read('replaced');
      // A few files may come and go while a living installation is copied; a hundredth of them may not.
      if (!(copied > 0) || copied + replaced.length < source * 0.99 - 2) {
        throw new ServiceError({
          code: 'verification-failed',
          message: `Only ${copied} of ${source} files and folders of ${host.config.layout.installation} on ${host.name} were copied`,
          remedy: 'Look whether something deletes files there while the backup runs, then start it again.',
        });
      }
      return { entries: copied, sudoers: read('sudoers')[0] === 'copied', replaced };
    },

    async archiveVolumes(input) {
      const host = hostFor(hosts, input);
      const archived: ArchivedVolume[] = [];
      for (const name of input.volumes) {
        const args = { backup: input.id, volume: name };
        const result = await runJob(host, 'archiveVolume', args, step(input, `volume ${name}`));
        requireSuccess(result, `Archiving the Docker volume ${name}`, places(host));
        const read = readLines(result.stdout);
        archived.push({ name, bytes: Number(read('bytes')[0]), changed: read('changed').length > 0 });
      }
      return archived;
    },

    async packBackup(input) {
      const host = hostFor(hosts, input);
      const manifest = await runJob(host, 'writeBackupManifest', { backup: input.id }, step(input, 'manifest'));
      requireSuccess(manifest, "Writing the backup's manifest", places(host));
      const packed = await runJob(host, 'packBackup', { backup: input.id }, step(input, 'pack'));
      requireSuccess(packed, 'Packing the backup', places(host));
      return {
        files: Number(readLines(manifest.stdout)('files')[0]),
        bytes: Number(readLines(packed.stdout)('bytes')[0]),
      };
    },

    async verifyBackup(input) {
      const host = hostFor(hosts, input);
      const result = await runJob(host, 'verifyBackup', { backup: input.id }, step(input, 'verify'));
      requireSuccess(result, 'Reading the backup back', places(host));
      const read = readLines(result.stdout);
      const number = (key: string) => Number(read(key)[0]);
      const sha256 = read('sha256')[0] ?? '';
      const verified = { sha256, bytes: number('bytes'), entries: number('entries'), files: number('files') };
      if (!/^[0-9a-f]{64}$/.test(sha256) || !(verified.bytes > 0) || !(verified.files > 0)) {
        throw new ServiceError({
          code: 'verification-failed',
          message: `The backup ${input.id} on ${host.name} could not be read back whole`,
          remedy: 'Start the backup again; if it stays like this, check the disk of the backup folder.',
        });
      }
      return verified;
    },

    async publishBackup(input) {
      const host = hostFor(hosts, input);
      const args = { backup: input.id, sha256: input.sha256 };
      const result = await runJob(host, 'publishBackup', args, step(input, 'publish'));
      if (result.exitCode === 17) {
        throw new ServiceError({
          code: 'already-exists',
          message: `There is another archive ${input.id}.tar.gz in ${host.config.layout.backups} on ${host.name}`,
          remedy: 'Start the backup again: it gets another name.',
        });
      }
      requireSuccess(result, 'Giving the archive its name', places(host));
      return {
        path: `${host.config.layout.backups}/${input.id}.tar.gz`,
        bytes: Number(readLines(result.stdout)('bytes')[0]),
        sha256: input.sha256,
      };
    },

    async abandonBackup(input) {
      const host = hostFor(hosts, input);
      // Nobody may have watched the job when the run was cancelled, so that nobody has stopped it. And the activity that
      // was cancelled may be about to start the first one; the others do nothing without what that one makes.
      const first = jobOf(step(input, 'collect').step);
      await withHeartbeat(() => stopJobs(host, input.fence, (id) => isJobOf(input.id, id), [first]));
      const result = await withHeartbeat(() =>
        repeatable(() => host.run('abandonBackup', { backup: input.id }, { fence: input.fence })),
      );
      requireSuccess(result, 'Removing the unfinished backup', places(host));
    },

    async planBackupRetention({ host: name, adding }) {
      const host = hosts.get(name);
      const archives = await listArchives(host);
      const added: readonly Archive[] =
        adding === undefined
          ? []
          : [{ id: adding, bytes: 1, writtenAt: new Date().toISOString(), sha256: '0'.repeat(64) }];
      return planRetention([...archives.filter(({ id }) => id !== adding), ...added], new Date());
    },

    async removeBackup(input) {
      const host = hostFor(hosts, input);
      const args = { backup: input.id, keeping: input.keeping };
      const result = await runJob(host, 'removeBackup', args, step(input, `remove, keeping ${input.keeping}`));
      requireSuccess(result, `Removing the old archive ${input.id}`, places(host));
    },
  };
}

/** The archives that are there, oldest first. */
export async function listArchives(host: Host): Promise<readonly Archive[]> {
  const result = await host.run('listBackups', {}, { maxOutputBytes: 1024 * 1024 });
  requireSuccess(result, 'Listing the backups', places(host));
  return readLines(result.stdout)('archive').map((line) => {
    const [name = '', bytes, seconds, sum = '-'] = line.split(' ');
    const archive = {
      id: name.replace(/\.tar\.gz$/, ''),
      bytes: Number(bytes),
      writtenAt: new Date(Number(seconds) * 1000).toISOString(),
    };
    return /^[0-9a-f]{64}$/.test(sum) ? { ...archive, sha256: sum } : archive;
  });
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

/** How long the host keeps the records of jobs that ended. */
const keepJobsDays = 30;

/** A job's id begins with its step, and a step of a backup with the backup's id. */
function isJobOf(backup: string, job: string): boolean {
  return job.startsWith(`${backup}-`);
}

function step(input: BackupInput, name: string): { readonly step: string; readonly fence: number } {
  return { step: `${input.id} ${name}`, fence: input.fence };
}

function places(host: Host): { readonly host: string; readonly folder: string } {
  return { host: host.name, folder: host.config.layout.backups };
}
