import { ServiceError } from '../../errors.ts';
import type { Host, RunOptions } from '../../hosts/host.ts';
import { readableBytes } from '../../reports/units.ts';
import { readLines, requireSuccess } from '../lib/output.ts';

/** What a backup would hold, and what it needs. */
export interface BackupLook {
  /** The id that the backup gets. */
  readonly id: string;
  readonly installation: string;
  /** Files and folders of the installation. */
  readonly entries: number;
  readonly bytes: number;
  readonly sudoers: { readonly path: string; readonly there: boolean };
  /** Docker volumes that will be in it. */
  readonly volumes: readonly { readonly name: string; readonly bytes: number }[];
  /** Docker volumes that won't, each with the reason; a warning where they could be expected to. */
  readonly skippedVolumes: readonly {
    readonly name: string;
    readonly why: string;
    readonly verdict: 'skipped' | 'warning';
  }[];
  readonly folder: string;
  readonly freeBytes: number;
  /** What the copy, the archive and the margin take while it is made. */
  readonly neededBytes: number;
  /** Ids of unfinished backups whose runs are gone; the next `collectBackup` removes them. */
  readonly leftovers: readonly string[];
}

/** Beside the data itself: folder entries, the manifest, and room for what grows while it is copied. */
const marginBytes = 16 * 1024 * 1024;
const marginShare = 0.1;

/**
 * Looks at what is to be backed up. Throws `not-found` (no installation, or an empty one), `unreadable`,
 * `configuration` and `disk-full`, all before anything is written.
 */
export async function lookBeforeBackup(host: Host, options: RunOptions): Promise<Omit<BackupLook, 'id'>> {
  const { installation, backups, sudoersFile, volumes } = host.config.layout;
  refuseNesting(host);
  const result = await host.run('lookForBackup', {}, options);
  requireSuccess(result, 'Looking at what to back up', { host: host.name, folder: backups });
  const read = readLines(result.stdout);
  const first = (key: string) => read(key)[0] ?? '';

  requireInstallation(host, first('installation'), read('unreadable'));
  const entries = Number(first('entries'));
  if (entries === 0) {
    throw new ServiceError({
      code: 'not-found',
      message: `The installation ${installation} on ${host.name} is empty, so there is nothing to back up`,
      remedy: 'Check INSTALLATION_DIR, or whether its disk is mounted.',
    });
  }
  if (first('sudoers') === 'unreadable') throw unreadable(host, sudoersFile);
  if (first('backups') !== 'writable') {
    throw new ServiceError({
      code: 'unreadable',
      message: `The backup folder ${backups} on ${host.name} can't be written`,
      remedy: 'Check its owner, its mode and whether its disk is mounted read-only.',
    });
  }

  requireStateSpace(host, first('state-free').trim());
  const bytes = Number(first('installation'));
  const found = read('volume').map((line) => line.split(' ') as [string, string]);
  const there = found.filter(([, size]) => size !== 'missing').map(([name, size]) => ({ name, bytes: Number(size) }));
  const data = bytes + there.reduce((sum, one) => sum + one.bytes, 0);
  // Twice: the copy and the archive are there at the same time, and what doesn't compress stays as large as it is.
  const neededBytes = Math.ceil(2 * data * (1 + marginShare)) + marginBytes;
  const [freeBytes, freeInodes] = first('free').trim().split(/\s+/).map(Number);
  const leftovers = read('leftover')
    .map((line) => line.split(/\s+/, 1)[0])
    .reduce((sum, size) => sum + Number(size), 0);
  requireSpace(host, neededBytes, (freeBytes ?? 0) + leftovers, entries, freeInodes);
  return {
    installation,
    entries,
    bytes,
    sudoers: { path: sudoersFile, there: first('sudoers') === 'there' },
    volumes: there,
    skippedVolumes: volumes
      .filter((name) => !there.some((one) => one.name === name))
      .map((name) => ({ name, ...whySkipped(first('docker')) })),
    folder: backups,
    freeBytes: freeBytes ?? 0,
    neededBytes,
    leftovers: [...new Set(read('leftover').map((name) => /daily-backup-\d{8}-\d{6}/.exec(name)?.[0] ?? ''))]
      .filter((id) => id !== '')
      .sort(),
  };
}

function whySkipped(docker: string): { readonly why: string; readonly verdict: 'skipped' | 'warning' } {
  if (docker === 'absent') return { why: 'Docker is not installed on this host', verdict: 'skipped' };
  if (docker === 'silent') return { why: 'Docker is installed but does not answer', verdict: 'warning' };
  return { why: 'there is no such volume', verdict: 'warning' };
}

/** A folder inside the installation would be copied into itself, unless the copy leaves it out as a whole. */
function refuseNesting(host: Host): void {
  const { installation, backups } = host.config.layout;
  const inside = backups.startsWith(`${installation}/`) ? backups.slice(installation.length + 1) : '';
  if (backups !== installation && !inside.includes('/')) return;
  throw new ServiceError({
    code: 'configuration',
    message: `The backup folder ${backups} of ${host.name} is inside the installation ${installation}, so backups would hold themselves`,
    remedy: 'Set BACKUP_DIR to a folder outside of it.',
    details: { key: 'BACKUP_DIR' },
  });
}

function requireInstallation(host: Host, state: string, unreadablePaths: readonly string[]): void {
  const { installation } = host.config.layout;
  if (state === 'missing') {
    throw new ServiceError({
      code: 'not-found',
      message: `There is no installation at ${installation} on ${host.name}`,
      remedy: 'Set INSTALLATION_DIR to where it is, or install it first.',
    });
  }
  if (state === 'unreadable') throw unreadable(host, installation);
  const [first] = unreadablePaths;
  if (first !== undefined) throw unreadable(host, first, unreadablePaths.length - 1);
  if (!/^\d+$/.test(state)) {
    throw new ServiceError({
      code: 'unexpected-answer',
      message: `The size of ${installation} on ${host.name} could not be determined`,
      remedy: `Run "du -s ${installation}" there and look.`,
    });
  }
}

function unreadable(host: Host, path: string, more = 0): ServiceError {
  const others = more > 0 ? ` and ${more === 4 ? 'at least ' : ''}${more} more` : '';
  return new ServiceError({
    code: 'unreadable',
    message: `${path}${others} on ${host.name} can't be read, so a backup would not be whole; nothing was written`,
    remedy: "Give the service's user read access to it, then start the backup again.",
    details: { host: host.name, path },
  });
}

/** The helper's records of one backup's jobs. */
const stateBytes = 1024 * 1024;

/** A helper of an earlier version doesn't say it. */
function requireStateSpace(host: Host, free: string): void {
  const { state } = host.config.layout;
  if (!/^\d+$/.test(free) || Number(free) >= stateBytes) return;
  throw new ServiceError({
    code: 'disk-full',
    message: `The disk of ${state} on ${host.name}, where the helper keeps its jobs, has ${readableBytes(Number(free))} free; nothing was written`,
    remedy: `Free at least ${readableBytes(stateBytes)} there, then start the backup again.`,
    details: { host: host.name, folder: state, freeBytes: Number(free) },
  });
}

function requireSpace(host: Host, needed: number, free: number, entries: number, inodes: number | undefined): void {
  const { backups } = host.config.layout;
  const remedy = 'Free space there or set BACKUP_DIR to a larger disk, then start the backup again.';
  if (free < needed) {
    throw new ServiceError({
      code: 'disk-full',
      message: `The disk of ${backups} on ${host.name} has ${readableBytes(free)} free, but the backup needs up to ${readableBytes(needed)}; nothing was written`,
      remedy,
      details: { host: host.name, folder: backups, freeBytes: free, neededBytes: needed },
    });
  }
  // Some file systems (btrfs, ZFS) count none and print 0 or "-".
  if (inodes !== undefined && inodes > 0 && inodes < entries + 100) {
    throw new ServiceError({
      code: 'disk-full',
      message: `The disk of ${backups} on ${host.name} has ${inodes} inodes free, but the backup needs ${entries + 100}; nothing was written`,
      remedy,
      details: { host: host.name, folder: backups, freeInodes: inodes },
    });
  }
}
