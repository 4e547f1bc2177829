import { z } from 'zod';
import { count, form, listing, many, nothing, time, words } from '../answer.ts';
import { defineCommand, named } from '../command.ts';
import { unverified } from '../shared/exits.ts';
import { stop } from '../shared/functions.ts';
import { backup, sha256 } from './parameters.ts';

/** An archive that is there. */
export interface Archive {
  /** The file's name without `.tar.gz`. */
  readonly id: string;
  readonly bytes: number;
  /** ISO 8601, UTC: when the file was last written. */
  readonly writtenAt: string;
  /** Checksum recorded when it was verified; absent for one that never was. */
  readonly sha256?: string;
}

const archive = words(
  z
    .string()
    .endsWith('.tar.gz')
    .transform((name) => name.slice(0, -'.tar.gz'.length))
    .pipe(form(backup)),
  count,
  time,
  z.union([z.literal('-'), form(sha256)]),
).transform(
  ([id, bytes, writtenAt, sum]): Archive => ({ id, bytes, writtenAt, ...(sum === '-' ? {} : { sha256: sum }) }),
);

export const listBackups = defineCommand({
  name: 'list-backups',
  summary: 'The archives that are there, with size, age and recorded checksum',
  doing: 'Listing the backups',
  as: 'root',
  risk: 'read',
  job: false,
  parameters: [],
  script: new URL('./list-backups.sh', import.meta.url),
  forms: [backup, sha256],
  timeoutMs: 30_000,
  maxOutputBytes: 1024 * 1024,
  answer: listing({ archive: many(archive) }).transform(({ archive: archives, notUnderstood }) => ({
    archives,
    notUnderstood,
  })),
});

export const removeBackup = defineCommand({
  name: 'remove-backup',
  summary: 'Remove an archive while a newer one is there whose checksum is right',
  doing: ({ backup }) => `Removing the old archive ${backup}`,
  as: 'root',
  risk: 'change',
  lock: 'host',
  job: true,
  parameters: [backup, named('keeping', backup)],
  script: new URL('./remove-backup.sh', import.meta.url),
  uses: [stop],
  timeoutMs: 60 * 60_000,
  answer: nothing,
  exits: { 9: unverified },
});
