import { z } from 'zod';
import { count, flag, form, keyValues, many, nothing, one } from '../answer.ts';
import { defineCommand } from '../command.ts';
import { unverified } from '../shared/exits.ts';
import { stop } from '../shared/functions.ts';
import { backup, functions, sha256, volume } from './parameters.ts';

// The commands that make a backup, in their order. Each may be executed again at any time.

const minutes = 60_000;

export const collectBackup = defineCommand({
  name: 'collect-backup',
  summary: 'Copy the installation and the sudoers file into the hidden folder of a backup; remove those of dead runs',
  doing: 'Copying the installation',
  as: 'root',
  risk: 'change',
  lock: 'host',
  job: true,
  parameters: [backup],
  script: new URL('./collect-backup.sh', import.meta.url),
  uses: [functions],
  fills: 'backups',
  timeoutMs: 120 * minutes,
  answer: keyValues({
    /** Files and folders that are in the installation, and those that were copied. */
    source: one(count),
    copied: one(count),
    /** Names in the installation that gave way to the archive's own. */
    replaced: many(z.string()),
    sudoers: one(z.enum(['copied', 'missing'])),
  }),
});

export const archiveVolume = defineCommand({
  name: 'archive-volume',
  summary: "Archive one of the installation's Docker volumes into the hidden folder of a backup",
  doing: ({ volume }) => `Archiving the Docker volume ${volume}`,
  as: 'root',
  risk: 'change',
  lock: 'host',
  job: true,
  parameters: [backup, volume],
  script: new URL('./archive-volume.sh', import.meta.url),
  uses: [functions],
  fills: 'backups',
  timeoutMs: 360 * minutes,
  /** `changed`: files in it changed while they were read. */
  answer: keyValues({ bytes: one(count), changed: flag }),
});

export const writeBackupManifest = defineCommand({
  name: 'write-backup-manifest',
  summary: 'Write the checksum of each file of a backup into its manifest',
  doing: "Writing the backup's manifest",
  as: 'root',
  risk: 'change',
  lock: 'host',
  job: true,
  parameters: [backup],
  script: new URL('./write-backup-manifest.sh', import.meta.url),
  uses: [functions, stop],
  fills: 'backups',
  timeoutMs: 120 * minutes,
  answer: keyValues({ files: one(count) }),
});

export const packBackup = defineCommand({
  name: 'pack-backup',
  summary: 'Pack a backup under a hidden temporary name beside the archives',
  doing: 'Packing the backup',
  as: 'root',
  risk: 'change',
  lock: 'host',
  job: true,
  parameters: [backup],
  script: new URL('./pack-backup.sh', import.meta.url),
  uses: [functions],
  fills: 'backups',
  timeoutMs: 360 * minutes,
  answer: keyValues({ bytes: one(count) }),
});

export const verifyBackup = defineCommand({
  name: 'verify-backup',
  summary: 'Read a packed backup back and compare every file with the manifest',
  doing: 'Reading the backup back',
  as: 'root',
  risk: 'change',
  lock: 'host',
  job: true,
  parameters: [backup],
  script: new URL('./verify-backup.sh', import.meta.url),
  uses: [functions, stop],
  fills: 'backups',
  timeoutMs: 360 * minutes,
  /** `entries`: files and folders in the archive; `files`: those whose checksum was compared. */
  answer: keyValues({ entries: one(count), files: one(count), bytes: one(count), sha256: one(form(sha256)) }),
  exits: { 9: unverified },
});

export const publishBackup = defineCommand({
  name: 'publish-backup',
  summary: 'Give a verified backup its name and its checksum file, durably',
  doing: 'Giving the archive its name',
  as: 'root',
  risk: 'change',
  lock: 'host',
  job: true,
  parameters: [backup, sha256],
  script: new URL('./publish-backup.sh', import.meta.url),
  uses: [functions, stop],
  fills: 'backups',
  timeoutMs: 120 * minutes,
  answer: keyValues({ bytes: one(count) }),
  exits: {
    9: unverified,
    17: {
      code: 'already-exists',
      message: ({ host, args }) =>
        `There is another archive ${args.backup}.tar.gz in ${host.layout.backups} on ${host.name}`,
      remedy: 'Start the backup again: it gets another name.',
    },
  },
});

export const abandonBackup = defineCommand({
  name: 'abandon-backup',
  summary: 'Remove what an unfinished backup left; never an archive that has its name',
  doing: 'Removing the unfinished backup',
  as: 'root',
  risk: 'change',
  lock: 'host',
  job: false,
  parameters: [backup],
  script: new URL('./abandon-backup.sh', import.meta.url),
  uses: [functions],
  timeoutMs: 300_000,
  answer: nothing,
});
