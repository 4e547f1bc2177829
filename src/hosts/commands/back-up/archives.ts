import { z } from 'zod';
import { count, flag, form, keyValues, listing, many, nothing, one, optional, time, words } from '../answer.ts';
import { defineCommand } from '../command.ts';
import { unverified } from '../shared/exits.ts';
import { stop } from '../shared/functions.ts';
import { backup, functions, removals, seal, sealForm, sha256 } from './parameters.ts';

/**
 * What the host itself knows of an archive, from the record that it made when the archive was published:
 *
 * - `verified`: it read the archive back whole, and the file is as it was then
 * - `doubted`: the same, but what it holds is less than the last good one held, and no administrator has accepted that
 * - `changed`: the file isn't what was published any more
 * - `unsealed`: the file is, but its manifest, or the host's seal of that, isn't there or isn't what was published
 * - `unproven`: it has no record: made by somebody else, or before there were records
 */
export type ArchiveState = z.output<typeof archiveState>;

const archiveState = z.enum(['verified', 'doubted', 'changed', 'unsealed', 'unproven']);

/** An archive that is there. */
export interface Archive {
  /** The file's name without `.tar.gz` or `.tar.zst`. */
  readonly id: string;
  readonly bytes: number;
  /** ISO 8601, UTC: when the file was last written. */
  readonly writtenAt: string;
  readonly state: ArchiveState;
  /** Checksum of the archive that was verified; absent for one that is `unproven`. */
  readonly sha256?: string;
  /** ISO 8601, UTC, by the host's clock: when it was published. Absent for one that is `unproven`. */
  readonly publishedAt?: string;
  /** ISO 8601, UTC, by the host's clock: when it was last read back whole. Absent for one that is `unproven`. */
  readonly checkedAt?: string;
  /** Checksum of its manifest. Absent for one that was published before there were any. */
  readonly manifestSha256?: string;
}

const absent = z.literal('-').transform(() => undefined);

const archive = words(
  z
    .string()
    .regex(/[.]tar[.](gz|zst)$/)
    .transform((name) => name.replace(/[.]tar[.][a-z]+$/, ''))
    .pipe(form(backup)),
  count,
  time,
  archiveState,
  z.union([absent, form(sha256)]),
  z.union([absent, time]),
  z.union([absent, time]),
  // An older helper's list has none.
  z.union([absent, form(sha256)]).optional(),
).transform(
  ([id, bytes, writtenAt, state, sum, publishedAt, checkedAt, manifestSha256]): Archive => ({
    id,
    bytes,
    writtenAt,
    state,
    ...(sum !== undefined && { sha256: sum }),
    ...(publishedAt !== undefined && { publishedAt }),
    ...(checkedAt !== undefined && { checkedAt }),
    ...(manifestSha256 !== undefined && { manifestSha256 }),
  }),
);

/** `ID FOLDER`: the folder's name may hold spaces. */
const elsewhere = z
  .string()
  .transform((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)] as const)
  .pipe(z.tuple([form(backup), z.string().startsWith('/')]))
  .transform(([id, folder]) => ({ id, folder }));

/** `ID SECONDS` */
const proven = words(form(backup), time).transform(([id, at]) => ({ id, at }));

/** What the host has of backups: `output` of {@link listBackups}. */
export type Backups = z.output<typeof listBackups.answer>;

export const listBackups = defineCommand({
  name: 'list-backups',
  summary: 'The archives that are there, with size, age and what the host knows of each; those that are gone',
  doing: 'Listing the backups',
  as: 'root',
  risk: 'read',
  job: false,
  becomesRoot: 'no',
  parameters: [],
  script: new URL('./list-backups.sh', import.meta.url),
  uses: [functions, seal],
  forms: [backup, sha256],
  timeoutMs: 60_000,
  maxOutputBytes: 1024 * 1024,
  answer: listing({
    now: one(time),
    archive: many(archive),
    gone: many(form(backup)),
    elsewhere: many(elsewhere),
    protected: many(form(backup)),
    proven: many(proven),
    unsafe: optional(z.string().startsWith('/')),
    seal: optional(z.string().regex(sealForm)),
  }).transform(({ archive: archives, elsewhere: moved, unsafe, seal: key, notUnderstood, ...rest }) => ({
    /**
     * `now`: the host's clock, ISO 8601, UTC. `gone`: ids of archives that were published and are in no folder any more.
     * `protected`: ids of those that an administrator keeps. `proven`: those that were restored, and worked, and when.
     */
    ...rest,
    archives,
    /** Archives that were published and lie in a folder that isn't the host's backup folder now. */
    elsewhere: moved,
    /** A folder on the way to the archives in which others than root may remove them. */
    ...(unsafe !== undefined && { unsafe }),
    /** The public half of the key with which the host seals manifests; absent where it has none yet. */
    ...(key !== undefined && { sealKey: key }),
    notUnderstood,
  })),
});

export const checkArchive = defineCommand({
  name: 'check-archive',
  summary:
    'Read a published archive and its manifest again, compare them with their checksums and the seal, and note the result',
  doing: ({ backup }) => `Reading the archive ${backup} again`,
  as: 'root',
  risk: 'change',
  lock: 'host',
  job: true,
  becomesRoot: 'no',
  parameters: [backup],
  script: new URL('./check-archive.sh', import.meta.url),
  uses: [functions, stop, seal],
  forms: [backup],
  timeoutMs: 120 * 60_000,
  /** `broken`: it isn't what was published. `unsealed`: its manifest isn't, or not what this host has sealed. */
  answer: keyValues({ broken: flag, unsealed: flag }),
  exits: { 9: unverified },
});

export const removeBackup = defineCommand({
  name: 'remove-backup',
  summary:
    'Remove an archive that is older than seven days while verified ones of its kind of three newer days are there',
  doing: ({ backup }) => `Removing the old archive ${backup}`,
  as: 'root',
  risk: 'change',
  lock: 'host',
  job: true,
  becomesRoot: 'no',
  parameters: [backup],
  script: new URL('./remove-backup.sh', import.meta.url),
  uses: [functions, stop, removals],
  forms: [backup],
  timeoutMs: 60 * 60_000,
  answer: nothing,
  exits: { 9: unverified },
});

/** As {@link acceptBackup}: whoever has the service's key could fill the disk by protecting, and remove by lifting it. */
export const protectBackup = defineCommand({
  name: 'protect-backup',
  summary: 'Keep an archive whatever retention says, or no longer',
  doing: ({ backup, protection }) =>
    `${protection === 'lift' ? 'Lifting the protection of' : 'Protecting'} the archive ${backup}`,
  as: 'administrator',
  risk: 'change',
  job: false,
  parameters: [backup, { name: 'protection', choices: ['set', 'lift'], description: 'Whether it is to be protected' }],
  script: new URL('./protect-backup.sh', import.meta.url),
  uses: [functions, stop],
  timeoutMs: 60_000,
  answer: nothing,
});

/**
 * Makes the key with which the host seals manifests, where it has none yet, and answers its public half. What a first backup
 * does too; `host install` does it so that the service knows the key by an administrator's login before it could be another's.
 */
export const makeSeal = defineCommand({
  name: 'make-seal',
  summary: 'Make the key that seals what the host says of its archives, where there is none, and show its public half',
  doing: 'Looking for the key that seals manifests',
  as: 'administrator',
  risk: 'change',
  job: false,
  parameters: [],
  script: new URL('./make-seal.sh', import.meta.url),
  uses: [stop, seal],
  timeoutMs: 60_000,
  answer: keyValues({ seal: one(z.string().regex(sealForm)) }).transform(({ seal: key }) => key),
});

/**
 * Lets a backup count that the host doubts. Only an administrator who is root on the host may execute it: the policy
 * of sudo doesn't admit it, so neither the service nor who has its key can.
 */
export const acceptBackup = defineCommand({
  name: 'accept-backup',
  summary: 'Let an archive count that holds less than the last good one',
  doing: ({ backup }) => `Accepting the archive ${backup}`,
  as: 'administrator',
  risk: 'change',
  job: false,
  parameters: [backup],
  script: new URL('./accept-backup.sh', import.meta.url),
  uses: [functions, stop],
  timeoutMs: 60_000,
  answer: nothing,
});
