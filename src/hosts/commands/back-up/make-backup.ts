import { z } from 'zod';
import { count, form, keyValues, many, nothing, one, optional } from '../answer.ts';
import { defineCommand, type ExitMeaning } from '../command.ts';
import { restore } from '../restore/restore.ts';
import { unverified } from '../shared/exits.ts';
import { part, pathOfPart } from './host-parts.ts';
import {
  backup,
  copying,
  hostPaths,
  making,
  mountPoints,
  packing,
  seal,
  sealForm,
  sha256,
  takingHost,
  volume,
  volumes,
} from './parameters.ts';

// The commands that make a backup, in their order. Each may be executed again at any time, and does nothing unless the one
// before it has ended: the host records that itself.

const taken: Readonly<Record<number, ExitMeaning>> = {
  17: {
    code: 'already-exists',
    message: ({ host, args }) =>
      `There is another archive ${args.backup}.tar.gz in ${host.layout.backups} on ${host.name}`,
    remedy: 'Start the backup again: it gets another name.',
  },
};

/** `failed TEXT` or `warning TEXT`. */
const doubt = z
  .string()
  .regex(/^(failed|warning) ./)
  .transform((line) => {
    const [verdict = '', ...words] = line.split(' ');
    return { verdict: verdict === 'failed' ? ('failed' as const) : ('warning' as const), summary: words.join(' ') };
  });

/** Why a backup counts for nothing until an administrator accepts it: a part of it that is less than it was, or no backup. */
export type Doubt = z.output<typeof doubt>;

/** Files that were written to until the last look, and are in the copy as they were at some moment of it. */
const changed = many(z.string().min(1));

const minutes = 60_000;

export const collectBackup = defineCommand({
  name: 'collect-backup',
  summary:
    'Begin a backup: copy the installation, where there is one, and the sudoers file into its hidden folder; remove those of dead runs',
  doing: 'Beginning the backup',
  as: 'root',
  risk: 'change',
  lock: 'host',
  job: true,
  becomesRoot: 'no',
  parameters: [backup],
  script: new URL('./collect-backup.sh', import.meta.url),
  uses: [
    ...making,
    ...copying,
    new URL('./installation.sh', import.meta.url),
    volumes,
    mountPoints,
    new URL('./forget.sh', import.meta.url),
    new URL('../restore/record.sh', import.meta.url),
    new URL('../restore/old.sh', import.meta.url),
  ],
  forms: [backup, volume, restore],
  fills: 'backups',
  timeoutMs: 120 * minutes,
  answer: keyValues({
    /** Files and folders that are in the installation, and those that were copied; 0 where there is none. */
    source: one(count),
    copied: one(count),
    /** Names in the installation that gave way to the archive's own. */
    replaced: many(z.string()),
    sudoers: one(z.enum(['copied', 'missing'])),
    /** The Docker volumes that the backup is to hold; it can't go on without each of them. */
    volume: many(z.string().min(1)),
    /** Containers whose own dump is in it. */
    dump: many(z.string().min(1)),
    changed,
    /** What of attributes, ACLs or capabilities could not be copied, in the host's words. */
    lost: many(z.string()),
  }),
  exits: { 9: unverified, ...taken },
});

export const collectHost = defineCommand({
  name: 'collect-host',
  summary: "Copy the host's own configuration into the hidden folder of a backup",
  doing: "Copying the host's configuration",
  as: 'root',
  risk: 'change',
  lock: 'host',
  job: true,
  becomesRoot: 'no',
  parameters: [backup],
  script: new URL('./collect-host.sh', import.meta.url),
  uses: [...making, ...copying, hostPaths, ...takingHost],
  fills: 'backups',
  timeoutMs: 120 * minutes,
  answer: keyValues({
    part: many(part),
    absent: many(pathOfPart),
    /** What could not be read: a doubt where root could not, else only said. */
    closed: many(pathOfPart),
    /** What copied the database of /etc/pve; absent where there is none. `files`: nothing that understands it. */
    database: optional(z.enum(['sqlite3', 'python3', 'perl', 'files'])),
    changed,
    lost: many(z.string()),
  }),
  exits: { 9: unverified },
});

export const archiveVolume = defineCommand({
  name: 'archive-volume',
  summary: "Copy one of the installation's Docker volumes into the hidden folder of a backup",
  doing: ({ volume }) => `Copying the Docker volume ${volume}`,
  as: 'root',
  risk: 'change',
  lock: 'host',
  job: true,
  becomesRoot: 'no',
  parameters: [backup, volume],
  script: new URL('./archive-volume.sh', import.meta.url),
  uses: [...making, ...copying, volumes],
  forms: [volume],
  fills: 'backups',
  timeoutMs: 360 * minutes,
  answer: keyValues({
    bytes: one(count),
    /** The name of the volume that its containers have mounted, where compose gave it another. */
    named: optional(z.string().min(1)),
    changed,
    lost: many(z.string()),
  }),
  exits: { 9: unverified },
});

export const describeBackup = defineCommand({
  name: 'describe-backup',
  summary: 'Note what a backup holds, and compare it with the last good one',
  doing: 'Comparing the backup with the last good one',
  as: 'root',
  risk: 'change',
  lock: 'host',
  job: true,
  becomesRoot: 'no',
  parameters: [backup],
  script: new URL('./describe-backup.sh', import.meta.url),
  uses: [...making, ...copying, new URL('./compare.sh', import.meta.url)],
  forms: [backup],
  fills: 'backups',
  timeoutMs: 120 * minutes,
  answer: keyValues({
    files: one(count),
    /** The last good backup, with which it was compared. */
    last: optional(form(backup)),
    doubt: many(doubt),
    /** What configured guests that the last good backup had and the host has no more; at most 20. */
    gone: many(z.string().min(1)),
    /** What would be doubted, had an administrator not accepted it in the last good one. */
    accepted: many(doubt),
  }),
  exits: { 9: unverified },
});

export const packBackup = defineCommand({
  name: 'pack-backup',
  summary: 'Pack a backup under a hidden temporary name beside the archives',
  doing: 'Packing the backup',
  as: 'root',
  risk: 'change',
  lock: 'host',
  job: true,
  becomesRoot: 'no',
  parameters: [backup],
  script: new URL('./pack-backup.sh', import.meta.url),
  uses: [...making, packing],
  fills: 'backups',
  timeoutMs: 360 * minutes,
  answer: keyValues({ bytes: one(count) }),
  exits: { 9: unverified },
});

export const verifyBackup = defineCommand({
  name: 'verify-backup',
  summary: 'Read a packed backup back, compare every file with what was collected, write its manifest and seal it',
  doing: 'Reading the backup back',
  as: 'root',
  risk: 'change',
  lock: 'host',
  job: true,
  becomesRoot: 'no',
  parameters: [backup],
  script: new URL('./verify-backup.sh', import.meta.url),
  uses: [
    ...making,
    ...copying,
    packing,
    seal,
    new URL('./manifest.sh', import.meta.url),
    new URL('./first-of.sh', import.meta.url),
  ],
  fills: 'backups',
  timeoutMs: 360 * minutes,
  /** `entries`: files and folders in the archive; `files`: those whose checksum was compared. */
  answer: keyValues({ entries: one(count), files: one(count), bytes: one(count), sha256: one(form(sha256)) }),
  exits: { 9: unverified },
});

export const publishBackup = defineCommand({
  name: 'publish-backup',
  summary: 'Give a verified backup its name, beside its checksum, its manifest and the seal of that, durably',
  doing: 'Giving the archive its name',
  as: 'root',
  risk: 'change',
  lock: 'host',
  job: true,
  becomesRoot: 'no',
  parameters: [backup, sha256],
  script: new URL('./publish-backup.sh', import.meta.url),
  uses: [...making, seal],
  fills: 'backups',
  timeoutMs: 120 * minutes,
  /** `doubted`: it has its name, but doesn't count; see the manifest's answer. */
  answer: keyValues({
    /** The archive's file. */
    name: one(z.string().regex(/^[a-z0-9-]+[.]tar[.](gz|zst)$/)),
    bytes: one(count),
    state: one(z.enum(['verified', 'doubted'])),
    /** The public half of the key that sealed its manifest. */
    seal: one(z.string().regex(sealForm)),
  }),
  exits: { 9: unverified, ...taken },
});

export const abandonBackup = defineCommand({
  name: 'abandon-backup',
  summary: 'Remove what an unfinished backup left; never an archive that has its name',
  doing: 'Removing the unfinished backup',
  as: 'root',
  risk: 'change',
  lock: 'host',
  undo: true,
  job: false,
  becomesRoot: 'no',
  parameters: [backup],
  script: new URL('./abandon-backup.sh', import.meta.url),
  uses: [...making, ...copying],
  timeoutMs: 300_000,
  answer: nothing,
});
