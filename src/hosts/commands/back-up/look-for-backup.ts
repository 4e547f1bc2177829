import { z } from 'zod';
import { count, listing, many, one, optional, words } from '../answer.ts';
import { defineCommand } from '../command.ts';
import { backup, functions } from './parameters.ts';

const leftover = z
  .string()
  .regex(new RegExp(`^[.]${backup.pattern}([.]tar[.]gz([.]sha256)?)?[.]partial$`))
  .transform((name) => name.slice(1, 1 + backup.maxLength));

/** File systems that count no inodes (btrfs, ZFS) print 0 or `-`. */
const inodes = z.union([count, z.literal('-')]).transform((free) => (free === '-' || free === 0 ? undefined : free));

/**
 * What a backup would hold. Sizes are in bytes, `leftover` names the ids of unfinished backups; which lines somebody else
 * may have put there isn't known before they are read.
 */
export const lookForBackup = defineCommand({
  name: 'look-for-backup',
  summary: 'What a backup would hold, the space it needs and what dead runs left',
  doing: 'Looking at what to back up',
  as: 'root',
  risk: 'read',
  job: false,
  parameters: [],
  script: new URL('./look-for-backup.sh', import.meta.url),
  uses: [functions],
  forms: [backup],
  timeoutMs: 120_000,
  answer: listing({
    installation: one(z.union([z.enum(['missing', 'unreadable']), count])),
    entries: optional(count),
    unreadable: many(z.string().startsWith('/')),
    sudoers: one(z.enum(['there', 'missing', 'unreadable'])),
    backups: one(z.enum(['writable', 'readonly'])),
    free: one(words(count, inodes)),
    'state-free': one(count),
    leftover: many(words(count, leftover)),
    docker: one(z.enum(['unneeded', 'absent', 'silent', 'there'])),
    volume: many(words(z.string().min(1), z.union([count, z.literal('missing')]))),
  }).transform(({ installation, entries = 0, free: [bytes, freeInodes], ...look }) => ({
    installation: typeof installation === 'number' ? { bytes: installation, entries } : installation,
    /** Some of the paths in the installation that can't be read, at most five. */
    unreadable: look.unreadable,
    sudoers: look.sudoers,
    backupsAreWritable: look.backups === 'writable',
    free: { bytes, inodes: freeInodes, stateBytes: look['state-free'] },
    leftovers: look.leftover.map(([size, id]) => ({ id, bytes: size })),
    docker: look.docker,
    volumes: look.volume.flatMap(([name, size]) => (size === 'missing' ? [] : [{ name, bytes: size }])),
    notUnderstood: look.notUnderstood,
  })),
});
