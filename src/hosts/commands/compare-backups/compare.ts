import { z } from 'zod';
import { count, form, listing, many, one, time } from '../answer.ts';
import { backup, copying, functions, hostPaths, seal } from '../back-up/parameters.ts';
import { defineCommand, type ExitMeaning, type PatternParameter, vmid } from '../command.ts';
import { unverified } from '../shared/exits.ts';
import { stop } from '../shared/functions.ts';

// What differs between two archives of a host, or an archive and the host, and what an archive holds: by their sealed
// manifests. Content is looked at only here, on the host, and only the masked lines of harmless files leave it.

const shared = (name: string) => new URL(`./${name}.sh`, import.meta.url);
const entries = shared('entries');

const later = {
  name: 'later',
  pattern: `(now|${backup.pattern})`,
  maxLength: backup.maxLength,
  examples: ['now', ...backup.examples],
  description: 'Id of a later backup, or now: the host as it is',
} as const satisfies PatternParameter;

const folder = {
  name: 'folder',
  pattern: 'f([A-Za-z0-9_-]{1,200}){0,4}',
  maxLength: 801,
  examples: ['f', 'faG9zdC9ldGM'],
  description: 'A folder of an archive, in base64url behind an f',
} as const satisfies PatternParameter;

const from = {
  name: 'from',
  pattern: '(0|[1-9][0-9]{0,6})',
  maxLength: 7,
  examples: ['0', '200'],
  description: 'Behind how many names to go on',
} as const satisfies PatternParameter;

const exits = {
  9: {
    ...unverified,
    remedy: 'Its manifest is no proof of it, so nothing is told of it: npx proxmox-mcp list-backups.',
  },
  10: { code: 'not-found', remedy: 'See which archives there are: npx proxmox-mcp list-backups.' },
  11: { code: 'not-found', remedy: 'Begin at the top, without a folder.' },
  12: { code: 'invalid-input' },
} as const satisfies Readonly<Record<number, ExitMeaning>>;

/** Takes a line apart at its first spaces, and leaves the last part whole. */
function fields(text: string, parts: number): string[] {
  const words = text.split(' ');
  return [...words.slice(0, parts - 1), words.slice(parts - 1).join(' ')];
}

const line = <const Parts extends readonly [z.ZodType, ...z.ZodType[]]>(...parts: Parts) =>
  z.preprocess((text) => fields(String(text), parts.length), z.tuple(parts));

const name = z.string().min(1);
const type = z.enum(['f', 'd', 'l', 'p', 'b', 'c', 's']);
const mode = z.string().regex(/^[0-7]{1,5}$/);
const owner = z.string().regex(/^\d+:\d+$/);
const lone = line(type, count, name).transform(([of, bytes, path]) => ({ type: of, bytes, path }));
const differs = z.enum(['type', 'content', 'mode', 'owner', 'attributes', 'target']);

export const compareBackups = defineCommand({
  name: 'compare-backups',
  summary:
    'What differs between two archives, or an archive and the host: names, masked lines of harmless files, packages, guests',
  doing: ({ backup: former }) => `Comparing the archive ${former}`,
  as: 'root',
  risk: 'read',
  job: true,
  becomesRoot: 'no',
  parameters: [backup, later],
  script: shared('compare-backups'),
  uses: [functions, stop, seal, ...copying, hostPaths, entries, shared('mask'), shared('differences'), shared('texts')],
  timeoutMs: 60 * 60_000,
  maxOutputBytes: 1024 * 1024,
  answer: listing({
    now: one(time),
    added: many(lone),
    removed: many(lone),
    changed: many(
      line(name, mode, mode, owner, owner, count, count, name).transform(
        ([what, modeBefore, modeAfter, ownerBefore, ownerAfter, bytesBefore, bytesAfter, path]) => ({
          what: what.split(',').filter((one): one is z.output<typeof differs> => differs.safeParse(one).success),
          mode: [modeBefore, modeAfter] as const,
          owner: [ownerBefore, ownerAfter] as const,
          bytes: [bytesBefore, bytesAfter] as const,
          path,
        }),
      ),
    ),
    count: many(
      line(count, count, count, count, count, name).transform(([added, removed, changed, touched, volatile, part]) => ({
        part,
        added,
        removed,
        changed,
        touched,
        volatile,
      })),
    ),
    only: many(line(z.enum(['a', 'b']), name, count)),
    text: many(line(count, name)),
    line: many(line(count, z.string().regex(/^[-+] /))),
    cut: many(count),
    guest: many(line(form(vmid), z.enum(['vm', 'container']), name, z.enum(['added', 'removed']))),
    setting: many(
      z
        .string()
        .transform((text) => text.split('\t'))
        .pipe(z.tuple([z.string().regex(/^\d+ .+/), z.string(), z.string()])),
    ),
    package: many(line(name, name, name)),
    packages: one(z.union([z.literal('unknown'), count])),
    end: one(z.literal('')),
  }),
  exits,
});

/** Of a difference between archives: `output` of {@link compareBackups}. */
export type Differences = z.output<typeof compareBackups.answer>;

export const browseBackup = defineCommand({
  name: 'browse-backup',
  summary: 'What a folder of an archive holds, by its sealed manifest: names, sizes, modes, owners and times',
  doing: ({ backup: of }) => `Looking into the archive ${of}`,
  as: 'root',
  risk: 'read',
  job: false,
  becomesRoot: 'no',
  parameters: [backup, folder, from],
  script: shared('browse-backup'),
  uses: [functions, stop, seal, entries],
  timeoutMs: 60_000,
  maxOutputBytes: 512 * 1024,
  answer: listing({ total: one(count), entry: many(z.string().min(1)) }),
  exits,
});
