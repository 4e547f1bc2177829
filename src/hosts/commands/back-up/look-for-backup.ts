import { z } from 'zod';
import { count, flag, listing, many, one, optional, time, words } from '../answer.ts';
import { defineCommand } from '../command.ts';
import { part, pathOfPart } from './host-parts.ts';
import { backup, functions, hostPaths, mountPoints, seal, sealForm, volume, volumes } from './parameters.ts';

const leftover = z
  .string()
  .regex(new RegExp(`^[.]${backup.pattern}([.]tar[.](gz|zst)([.]sha256)?|[.]manifest([.]sig)?)?[.]partial$`))
  .transform((name) => name.slice(1).replace(/[.].*/, ''));

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
  becomesRoot: 'no',
  parameters: [],
  script: new URL('./look-for-backup.sh', import.meta.url),
  uses: [functions, seal, volumes, mountPoints, hostPaths],
  forms: [backup, volume],
  timeoutMs: 180_000,
  maxOutputBytes: 256 * 1024,
  answer: listing({
    now: one(time),
    seal: optional(z.string().regex(sealForm)),
    packer: optional(z.literal('absent')),
    part: many(part),
    absent: many(pathOfPart),
    closed: many(pathOfPart),
    installation: one(z.union([z.enum(['missing', 'unreadable']), count])),
    entries: optional(count),
    unreadable: many(z.string().startsWith('/')),
    sudoers: one(z.enum(['there', 'missing', 'unreadable'])),
    backups: one(z.enum(['writable', 'readonly'])),
    free: one(words(count, inodes)),
    'state-free': one(count),
    nested: flag,
    ownerless: flag,
    target: one(z.string().min(1)),
    unmounted: optional(z.string().startsWith('/')),
    unsafe: optional(z.string().startsWith('/')),
    staged: optional(z.literal('apart')),
    leftover: many(words(count, leftover)),
    docker: one(z.enum(['unneeded', 'absent', 'silent', 'there'])),
    unmeasured: many(z.string().min(1)),
    beside: many(z.string().regex(/^(volume|folder) ./)),
    volume: many(words(z.string().min(1), z.union([count, z.enum(['missing', 'unreadable'])]), z.string().min(1))),
  }).transform(({ installation, entries = 0, free: [bytes, freeInodes], volume, ...look }) => ({
    /** ISO 8601, UTC: the host's clock. */
    now: look.now,
    installation: typeof installation === 'number' ? { bytes: installation, entries } : installation,
    /** The host's own configuration; see {@link HostConfiguration}. */
    host: { parts: look.part, absent: look.absent, closed: look.closed },
    /** The backup folder, as it really is, is somewhere below a folder of the installation. */
    isNested: look.nested,
    /** Root may not set owners here, and there are files of others. */
    losesOwners: look.ownerless,
    /** Some of the paths in the installation that can't be read, at most five. */
    unreadable: look.unreadable,
    sudoers: look.sudoers,
    backupsAreWritable: look.backups === 'writable',
    /** See `listBackups`. */
    ...(look.seal !== undefined && { sealKey: look.seal }),
    /** The program that is to compress archives isn't there. */
    lacksPacker: look.packer !== undefined,
    target: {
      /** As `stat -f` names it: `ext2/ext3`, `tmpfs`. */
      fileSystem: look.target,
      /** The mount point that the archives should lie on, where nothing is mounted now. */
      ...(look.unmounted !== undefined && { unmounted: look.unmounted }),
      /** A folder on the way in which others than root may remove archives. */
      ...(look.unsafe !== undefined && { unsafe: look.unsafe }),
      /** It keeps no owners, so that the copy is made in the helper's state folder. */
      stagedApart: look.staged !== undefined,
    },
    free: { bytes, inodes: freeInodes, stateBytes: look['state-free'] },
    leftovers: look.leftover.map(([size, id]) => ({ id, bytes: size })),
    docker: look.docker,
    /** `named`: what the volume is called that the containers have mounted. */
    volumes: volume.flatMap(([name, size, named]) => (typeof size === 'number' ? [{ name, bytes: size, named }] : [])),
    /** Volumes whose data isn't on this host, or not mounted now. */
    unreadableVolumes: volume.flatMap(([name, size]) => (size === 'unreadable' ? [name] : [])),
    /** What the installation's containers have mounted and the backup doesn't hold: `volume NAME`, `folder PATH`. */
    beside: look.beside,
    /** What is so large that its size, here 0, could not be had in time. */
    unmeasured: look.unmeasured,
    notUnderstood: look.notUnderstood,
  })),
});
