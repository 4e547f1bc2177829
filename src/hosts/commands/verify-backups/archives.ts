import { z } from 'zod';
import { count, flag, keyValues, many, one, optional, words } from '../answer.ts';
import { backup, functions, hostPaths, packing, seal, volume, volumes } from '../back-up/parameters.ts';
import { defineCommand, named } from '../command.ts';
import { unverified } from '../shared/exits.ts';
import { stop } from '../shared/functions.ts';

const lists = new URL('./lists.sh', import.meta.url);
const copying = new URL('../back-up/copy.sh', import.meta.url);

/** `missing|extra|content PATH` */
const wrong = z
  .string()
  .regex(/^(missing|extra|content) ./)
  .transform((line) => ({
    how: line.slice(0, line.indexOf(' ')) as 'missing' | 'extra' | 'content',
    path: line.slice(line.indexOf(' ') + 1),
  }));

/**
 * Reads an archive from its beginning to its end, once. It notes nothing on the host: the nightly `check-archive` does
 * that, and so this takes no lock and can be done by anybody at any time.
 */
export const readArchive = defineCommand({
  name: 'read-archive',
  summary: 'Read a published archive whole, and compare each name and checksum in it with its sealed manifest',
  doing: ({ backup }) => `Reading the archive ${backup} whole`,
  as: 'root',
  risk: 'read',
  job: true,
  becomesRoot: 'no',
  parameters: [backup],
  script: new URL('./read-archive.sh', import.meta.url),
  uses: [functions, stop, seal, packing, copying, lists],
  forms: [backup],
  timeoutMs: 6 * 3_600_000,
  answer: keyValues({
    /** Its checksum isn't the one that was recorded. */
    changed: flag,
    /** It can't be read to its end. */
    torn: flag,
    /** Its manifest isn't the one that was sealed, or isn't of it. */
    unsealed: flag,
    /** The manifest is the one that was published, and bears the seal of this key, which isn't one that the host knows for its own. */
    'sealed-by': optional(z.string().regex(/^SHA256:[A-Za-z0-9+/]{43}$/)),
    bytes: one(count),
    entries: one(count),
    /** Files whose checksum was compared; absent where there is no manifest to compare with. */
    files: optional(count),
    differing: optional(count),
    /** At most 20. */
    wrong: many(wrong),
  }),
  exits: { 9: unverified },
});

/** `NUMBER NUMBER PATH`, where that may hold spaces. */
const twoOf = z
  .string()
  .regex(/^\d{1,9} \d{1,9} ./)
  .transform((line) => {
    const [one = '', other = ''] = line.split(' ', 2);
    return { one: Number(one), other: Number(other), path: line.slice(one.length + other.length + 2) };
  });

/** `ARCHIVED LIVE PATH`: a path of the host, or `volumes/NAME`. */
const part = twoOf.transform(({ one, other, path }) => ({ archived: one, live: other, path }));

/** `FILES MOVED PART`: of a part of the host (its path), the `installation`, `volumes/NAME`. */
const group = twoOf.transform(({ one, other, path }) => ({ files: one, moved: other, path }));

export const spotCheck = defineCommand({
  name: 'spot-check',
  summary:
    'Compare what an archive holds with the files that it is of, and with an older archive: by numbers and a sample',
  doing: ({ backup }) => `Comparing the archive ${backup} with what it is of`,
  as: 'root',
  risk: 'read',
  job: true,
  becomesRoot: 'no',
  parameters: [backup, named('older', backup)],
  script: new URL('./spot-check.sh', import.meta.url),
  uses: [functions, stop, seal, copying, hostPaths, volumes, lists, new URL('./sampling.sh', import.meta.url)],
  forms: [backup, volume],
  timeoutMs: 30 * 60_000,
  answer: keyValues({
    part: many(part),
    /** Volumes that could not be looked at: Docker doesn't answer, or their data isn't mounted. */
    unseen: many(z.string()),
    /** Files that the archive has, and of them: the same by size and time, changed since, gone since. */
    compared: one(words(count, count, count, count)).transform(([files, same, changed, gone]) => ({
      files,
      same,
      changed,
      gone,
    })),
    /** The same of each part by itself. */
    moved: many(group),
    sampled: one(count),
    /** Size and time are as they were, and the content isn't; at most 5. */
    rotten: many(z.string()),
    /** Files that the older archive has, too, and how many of them hold something else. */
    before: optional(words(count, count).transform(([common, changed]) => ({ common, changed }))),
    /** The same of each part by itself. */
    other: many(group),
  }),
  exits: { 9: unverified },
});
