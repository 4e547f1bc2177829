import type { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import type { HostConfiguration } from '../../hosts/commands/back-up/host-parts.ts';
import { clockToleranceMs } from '../../hosts/commands/back-up/last-good.ts';
import { lookForBackup } from '../../hosts/commands/back-up/look-for-backup.ts';
import type { Host, RunOptions } from '../../hosts/host.ts';
import { type BackupKind, holdsVolume } from '../../operations/backup-id.ts';
import type { Finding } from '../../operations/finding.ts';
import { readableBytes } from '../../reports/units.ts';

/** What a backup would hold, and what it needs. */
export interface BackupContents {
  /** Whether there is an installation, with something in it. */
  readonly isInstalled: boolean;
  readonly installation: string;
  /** The host's own configuration. */
  readonly own: HostConfiguration;
  /** Files and folders of the installation; 0 where there is none. */
  readonly entries: number;
  readonly bytes: number;
  readonly sudoers: { readonly path: string; readonly there: boolean };
  /** Docker volumes that will be in it. */
  readonly volumes: readonly { readonly name: string; readonly bytes: number; readonly named: string }[];
  /** Docker volumes that won't, each with the reason; a warning where they could be expected to. */
  readonly skippedVolumes: readonly {
    readonly name: string;
    readonly why: string;
    readonly verdict: 'skipped' | 'warning' | 'failed';
  }[];
  readonly folder: string;
  readonly freeBytes: number;
  /** What the copy, the archive and the margin take while it is made. */
  readonly neededBytes: number;
  /** What of the target and the clocks an administrator should know. */
  readonly concerns: readonly Finding[];
  /** ISO 8601, UTC: the host's clock. */
  readonly now: string;
  /** Ids of unfinished backups whose runs are gone; the next `collectBackup` removes them. */
  readonly leftovers: readonly string[];
  /** Lines of what the host listed that are not understood. */
  readonly notUnderstood: number;
}

type Seen = z.output<typeof lookForBackup.answer>;

export interface LookOptions extends RunOptions {
  readonly kind: BackupKind;
  /** Archives are wanted where they are lost at a restart, or land on another disk than they should. */
  readonly anyTarget: boolean;
}

/** Beside the data itself: folder entries, the manifest, and room for what grows while it is copied. */
const marginBytes = 16 * 1024 * 1024;
const marginShare = 0.1;

/**
 * Looks at what is to be backed up. Throws `command-refused` (a helper that knows no host's configuration), `unreadable`,
 * `configuration` and `disk-full`, all before anything is written.
 */
export async function lookBeforeBackup(host: Host, options: LookOptions): Promise<BackupContents> {
  const { installation, backups, sudoersFile, volumes } = host.config.layout;
  if (backups === installation) throw nested(host);
  const { kind, anyTarget, ...reading } = options;
  const seen = ofKind(kind, await host.run(lookForBackup, {}, reading));
  const { parts, absent, closed } = seen.host;
  if (parts.length + absent.length + closed.length === 0) throw olderHelper(host);
  if (seen.isNested) throw nested(host);
  if (seen.installation === 'unreadable') throw unreadable(host, installation);
  const [first] = seen.unreadable;
  if (first !== undefined) throw unreadable(host, first, seen.unreadable.length - 1);
  const there = seen.installation === 'missing' ? undefined : seen.installation;
  const isInstalled = there !== undefined && there.entries > 0;
  const { bytes, entries } = isInstalled ? there : { bytes: 0, entries: 0 };
  if (seen.sudoers === 'unreadable') throw unreadable(host, sudoersFile);
  if (!seen.backupsAreWritable) {
    throw new ServiceError({
      code: 'unreadable',
      message: `The backup folder ${backups} on ${host.name} can't be written`,
      remedy: 'Check its owner, its mode and whether its disk is mounted read-only.',
    });
  }

  if (seen.lacksPacker) throw lacksPacker(host);
  if (seen.losesOwners && isInstalled) throw losesOwners(host);
  const target = targetConcerns(host, seen.target, anyTarget);
  const own = { bytes: sumOf(parts, ({ bytes }) => bytes), files: sumOf(parts, ({ files }) => files) };
  const { neededBytes } = requireAllSpace(host, seen, { bytes: bytes + own.bytes, entries: entries + own.files });
  return {
    isInstalled,
    installation,
    own: seen.host,
    entries,
    bytes,
    sudoers: { path: sudoersFile, there: seen.sudoers === 'there' },
    volumes: seen.volumes,
    skippedVolumes: (isInstalled ? volumes : [])
      .filter((name) => holdsVolume(kind, name) && !seen.volumes.some((one) => one.name === name))
      .map((name) => ({ name, ...whySkipped(seen, name) })),
    concerns: [
      ...target,
      ...clockConcerns(seen.now, new Date()),
      ...(there?.entries === 0 ? [emptyInstallation(host)] : []),
      ...besideConcerns(seen.beside),
      ...otherPaths(host, seen.host),
      ...unmeasured(seen.unmeasured),
    ],
    now: seen.now,
    folder: backups,
    freeBytes: seen.free.bytes,
    neededBytes,
    leftovers: [...new Set(seen.leftovers.map(({ id }) => id))].sort(),
    notUnderstood: seen.notUnderstood,
  };
}

/** What a backup of this kind would hold of what is there. */
function ofKind(kind: BackupKind, seen: Seen): Seen {
  return {
    ...seen,
    volumes: seen.volumes.filter(({ name }) => holdsVolume(kind, name)),
    unreadableVolumes: seen.unreadableVolumes.filter((name) => holdsVolume(kind, name)),
    // That a volume is in none of this kind is meant so.
    beside: kind === 'monthly' ? [] : seen.beside,
  };
}

function sumOf<T>(all: readonly T[], of: (one: T) => number): number {
  return all.reduce((sum, one) => sum + of(one), 0);
}

function olderHelper({ name }: Host): ServiceError {
  return new ServiceError({
    code: 'command-refused',
    message: `The helper on ${name} is older than this service: it doesn't know how to back up the host's own configuration; nothing was written`,
    remedy: `Run host install again: npx proxmox-mcp host install ${name}`,
    details: { host: name },
  });
}

function emptyInstallation({ config }: Host): Finding {
  const { installation } = config.layout;
  return {
    check: 'Installation',
    verdict: 'warning',
    summary: `${installation} is empty, so the backup holds nothing of an installation.`,
    remedy: `Remove the folder if there is none; else look whether its disk is mounted (mount, /etc/fstab), or set INSTALLATION_DIR.`,
  };
}

/** The folders are chosen in the configuration, and taken by the host's helper as they were when it was installed. */
function otherPaths({ name, config }: Host, { parts, absent, closed }: HostConfiguration): readonly Finding[] {
  const taken = [...parts, ...absent, ...closed].flatMap(({ kind, path }) => (kind === 'chosen' ? [path] : []));
  const wanted = config.layout.backupPaths;
  const missing = wanted.filter((path) => !taken.includes(path));
  const more = taken.filter((path) => !wanted.includes(path));
  if (missing.length + more.length === 0) return [];
  const words = [
    ...(missing.length === 0 ? [] : [`doesn't take ${missing.join(', ')}`]),
    ...(more.length === 0 ? [] : [`takes ${more.join(', ')} still`]),
  ];
  return [
    {
      check: 'Chosen folders',
      verdict: 'warning',
      summary: `BACKUP_PATHS was changed, and the helper on ${name} ${words.join(' and ')}.`,
      remedy: `Run host install again: npx proxmox-mcp host install ${name}`,
    },
  ];
}

function whySkipped(
  { docker, unreadableVolumes }: Seen,
  name: string,
): { readonly why: string; readonly verdict: 'skipped' | 'warning' | 'failed' } {
  if (docker === 'absent') return { why: 'Docker is not installed on this host', verdict: 'skipped' };
  if (docker === 'silent') return { why: 'Docker is installed but does not answer', verdict: 'warning' };
  if (unreadableVolumes.includes(name))
    return { why: "its data isn't mounted on this host now: start the containers that use it", verdict: 'failed' };
  return { why: 'there is no such volume', verdict: 'warning' };
}

/** A folder inside the installation would be copied into itself, unless the copy leaves it out as a whole. */
function nested({ name, config }: Host): ServiceError {
  const { installation, backups } = config.layout;
  return new ServiceError({
    code: 'configuration',
    message: `The backup folder ${backups} of ${name} is inside the installation ${installation}, so backups would hold themselves`,
    remedy: 'Set BACKUP_DIR to a folder outside of it.',
    details: { key: 'BACKUP_DIR' },
  });
}

function lacksPacker({ name }: Host): ServiceError {
  return new ServiceError({
    code: 'configuration',
    message: `BACKUP_COMPRESSION is zstd, and the program zstd is not on ${name}; nothing was written`,
    remedy: 'Install it there (apt-get install zstd), or set BACKUP_COMPRESSION to gzip and run host install again.',
    details: { host: name, key: 'BACKUP_COMPRESSION' },
  });
}

function losesOwners({ name }: Host): ServiceError {
  return new ServiceError({
    code: 'configuration',
    message: `Root on ${name} may not set owners there (it lacks CAP_CHOWN), so a copy of the installation would lose those of its files; nothing was written`,
    remedy: 'Give the host or container that capability, then start the backup again.',
    details: { host: name },
  });
}

/** File systems in memory: what is written there is gone after a restart. */
const inMemory: ReadonlySet<string> = new Set(['tmpfs', 'ramfs']);

/** Throws `configuration` where the archives would not lie where they should, unless that is wanted. */
function targetConcerns({ name, config }: Host, target: Seen['target'], anyTarget: boolean): readonly Finding[] {
  const { backups } = config.layout;
  const wrong = inMemory.has(target.fileSystem)
    ? `The backup folder ${backups} of ${name} is in memory (${target.fileSystem}): archives there are lost when the host restarts`
    : target.unmounted === undefined
      ? undefined
      : `The backup folder ${backups} of ${name} should lie on the disk of ${target.unmounted}, which is not mounted now: archives would land on another disk`;
  if (wrong !== undefined && !anyTarget) {
    throw new ServiceError({
      code: 'configuration',
      message: `${wrong}; nothing was written`,
      remedy: `${target.unmounted === undefined ? 'Set BACKUP_DIR to a disk' : `Mount it (mount ${target.unmounted})`}, then start the backup again. If it is meant so, start it with anyTarget.`,
      details: { host: name, key: 'BACKUP_DIR' },
    });
  }
  return [
    ...(wrong === undefined ? [] : [{ check: 'Target', verdict: 'warning', summary: `${wrong}.` } as const]),
    ...(target.unsafe === undefined ? [] : [unsafeTarget(target.unsafe)]),
    ...(target.stagedApart && target.unsafe === undefined
      ? [
          {
            check: 'Target',
            verdict: 'ok',
            summary: `${target.fileSystem} keeps no owners, so the copy is made in ${config.layout.state}; the archive itself keeps them.`,
          } as const,
        ]
      : []),
  ];
}

function unsafeTarget(folder: string): Finding {
  return {
    check: 'Target',
    verdict: 'warning',
    summary: `Others than root can remove archives, because ${folder} isn't root's alone to write; so the copy is made elsewhere.`,
    remedy: `On the host: chown root: '${folder}' && chmod go-w '${folder}'`,
  };
}

/** What doesn't fit is found while it is written, then. */
function unmeasured(paths: readonly string[]): readonly Finding[] {
  if (paths.length === 0) return [];
  return [
    {
      check: 'Size',
      verdict: 'warning',
      summary: `Within two minutes it could not be measured how much these hold, so whether there is room for them isn't known: ${paths.join(', ')}.`,
    },
  ];
}

/** Data of the installation's containers that nobody asked to be backed up. */
function besideConcerns(beside: readonly string[]): readonly Finding[] {
  if (beside.length === 0) return [];
  return [
    {
      check: 'Not in the backup',
      verdict: 'warning',
      summary: "The installation's containers have more mounted than the backup holds.",
      remedy: 'Add volumes to VOLUMES; what lies in other folders needs a backup of its own.',
      evidence: beside.join('\n'),
    },
  ];
}

/** Archives are named and dated by the host's clock. */
function clockConcerns(hostNow: string, now: Date): readonly Finding[] {
  if (Math.abs(Date.parse(hostNow) - now.getTime()) <= clockToleranceMs) return [];
  return [
    {
      check: 'Clock',
      verdict: 'warning',
      summary: `The clock of the host says ${hostNow}, and that of this service ${now.toISOString()}: archives get wrong dates.`,
      remedy: 'Set the clock that is wrong (timedatectl set-ntp true); until then no old archive is removed.',
    },
  ];
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

/** The helper's records of one backup's jobs; and a line for each file, which the next backup is compared with. */
const stateBytes = 1024 * 1024;
const stateBytesPerEntry = 200;

/** Throws `disk-full`. */
function requireAllSpace(
  host: Host,
  seen: Seen,
  { bytes, entries }: { readonly bytes: number; readonly entries: number },
): { readonly neededBytes: number } {
  const sizes = seen.volumes.map((one) => one.bytes);
  const data = bytes + sizes.reduce((sum, one) => sum + one, 0);
  const margin = (size: number) => Math.ceil(size * (1 + marginShare)) + marginBytes;
  // The copy and the archive are there at the same time, and what doesn't compress stays as large as it is.
  const neededBytes = margin(seen.target.stagedApart ? data : data * 2);
  const leftBytes = seen.leftovers.reduce((sum, one) => sum + one.bytes, 0);
  requireStateSpace(
    host,
    seen.free.stateBytes,
    stateBytes + entries * stateBytesPerEntry + (seen.target.stagedApart ? margin(data) : 0),
  );
  requireSpace(host, neededBytes, seen.free.bytes + leftBytes, entries, seen.free.inodes);
  return { neededBytes };
}

function requireStateSpace(host: Host, free: number, needed: number): void {
  const { state } = host.config.layout;
  if (free >= needed) return;
  throw new ServiceError({
    code: 'disk-full',
    message: `The disk of ${state} on ${host.name}, where the helper keeps its jobs and records, has ${readableBytes(free)} free; nothing was written`,
    remedy: `Free at least ${readableBytes(needed)} there, then start the backup again.`,
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
