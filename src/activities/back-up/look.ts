import type { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import { lookForBackup } from '../../hosts/commands/back-up/look-for-backup.ts';
import type { Host, RunOptions } from '../../hosts/host.ts';
import { readableBytes } from '../../reports/units.ts';

/** What a backup would hold, and what it needs. */
export interface BackupContents {
  readonly isInstalled: true;
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
  /** Lines of what the host listed that are not understood. */
  readonly notUnderstood: number;
}

/** There is no installation at that path. */
export interface NoInstallation {
  readonly isInstalled: false;
  readonly installation: string;
  readonly notUnderstood: number;
}

type Seen = z.output<typeof lookForBackup.answer>;

/** Beside the data itself: folder entries, the manifest, and room for what grows while it is copied. */
const marginBytes = 16 * 1024 * 1024;
const marginShare = 0.1;

/**
 * Looks at what is to be backed up. Throws `not-found` (an empty installation), `unreadable`, `configuration` and
 * `disk-full`, all before anything is written.
 */
export async function lookBeforeBackup(host: Host, options: RunOptions): Promise<BackupContents | NoInstallation> {
  const { installation, backups, sudoersFile, volumes } = host.config.layout;
  refuseNesting(host);
  const seen = await host.run(lookForBackup, {}, options);
  const { notUnderstood } = seen;
  if (seen.installation === 'missing') return { isInstalled: false, installation, notUnderstood };
  if (seen.installation === 'unreadable') throw unreadable(host, installation);
  const [first] = seen.unreadable;
  if (first !== undefined) throw unreadable(host, first, seen.unreadable.length - 1);
  const { bytes, entries } = seen.installation;
  if (entries === 0) {
    throw new ServiceError({
      code: 'not-found',
      message: `The installation ${installation} on ${host.name} is empty, so there is nothing to back up`,
      remedy: 'Check INSTALLATION_DIR, or whether its disk is mounted.',
    });
  }
  if (seen.sudoers === 'unreadable') throw unreadable(host, sudoersFile);
  if (!seen.backupsAreWritable) {
    throw new ServiceError({
      code: 'unreadable',
      message: `The backup folder ${backups} on ${host.name} can't be written`,
      remedy: 'Check its owner, its mode and whether its disk is mounted read-only.',
    });
  }

  requireStateSpace(host, seen.free.stateBytes);
  const data = bytes + seen.volumes.reduce((sum, one) => sum + one.bytes, 0);
  // Twice: the copy and the archive are there at the same time, and what doesn't compress stays as large as it is.
  const neededBytes = Math.ceil(2 * data * (1 + marginShare)) + marginBytes;
  const leftBytes = seen.leftovers.reduce((sum, one) => sum + one.bytes, 0);
  requireSpace(host, neededBytes, seen.free.bytes + leftBytes, entries, seen.free.inodes);
  return {
    isInstalled: true,
    installation,
    entries,
    bytes,
    sudoers: { path: sudoersFile, there: seen.sudoers === 'there' },
    volumes: seen.volumes,
    skippedVolumes: volumes
      .filter((name) => !seen.volumes.some((one) => one.name === name))
      .map((name) => ({ name, ...whySkipped(seen.docker) })),
    folder: backups,
    freeBytes: seen.free.bytes,
    neededBytes,
    leftovers: [...new Set(seen.leftovers.map(({ id }) => id))].sort(),
    notUnderstood,
  };
}

/** It was there, since it was backed up. */
export function installationIsGone(host: Host): ServiceError {
  return new ServiceError({
    code: 'not-found',
    message: `There is no installation at ${host.config.layout.installation} on ${host.name}`,
    remedy: 'Set INSTALLATION_DIR to where it is, or install it first.',
  });
}

function whySkipped(docker: Seen['docker']): { readonly why: string; readonly verdict: 'skipped' | 'warning' } {
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

function requireStateSpace(host: Host, free: number): void {
  const { state } = host.config.layout;
  if (free >= stateBytes) return;
  throw new ServiceError({
    code: 'disk-full',
    message: `The disk of ${state} on ${host.name}, where the helper keeps its jobs, has ${readableBytes(free)} free; nothing was written`,
    remedy: `Free at least ${readableBytes(stateBytes)} there, then start the backup again.`,
    details: { host: host.name, folder: state, freeBytes: free },
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
  if (inodes !== undefined && inodes < entries + 100) {
    throw new ServiceError({
      code: 'disk-full',
      message: `The disk of ${backups} on ${host.name} has ${inodes} inodes free, but the backup needs ${entries + 100}; nothing was written`,
      remedy,
      details: { host: host.name, folder: backups, freeInodes: inodes },
    });
  }
}
