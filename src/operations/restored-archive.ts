import { type Refusal, refuse } from './api-change.ts';
import type { ArchivedConfig, GuestArchive, GuestArchives } from './guest-backup.ts';
import { roughly } from './guest-disks.ts';
import { said } from './said.ts';
import type { GuestPlace } from './target.ts';

// The archive that a restore is given: what its volume id says, and whether it is one to restore.

/** Storage, kind and guest of an archive, by its volume id. */
export function archiveIn(archive: string): {
  readonly storage: string;
  readonly type: GuestPlace['type'];
  readonly vmid: number;
} {
  const [, storage = '', file, fileVmid, kind, vmidOf] =
    /^([^:]+):backup\/(?:vzdump-(qemu|lxc)-(\d+)-|(?:ns\/.+\/)?(vm|ct)\/(\d+)\/)/.exec(archive) ?? [];
  return { storage, type: file === 'lxc' || kind === 'ct' ? 'lxc' : 'qemu', vmid: Number(fileVmid ?? vmidOf) };
}

/** One line of the plan: which it is, how big, and whether somebody has verified it. */
export function archiveText({ volid, size, verification }: GuestArchive): string {
  return `${volid} (${roughly(size)}, ${verification?.state === 'ok' ? 'verified' : 'not verified'})`;
}

/** Why an archive can't be restored: it isn't there, it is damaged, or nothing is in it. */
export function refuseArchive(
  found: GuestArchive | undefined,
  {
    archive,
    archives,
    archived,
    node,
    of,
  }: {
    readonly archive: string;
    readonly archives: GuestArchives;
    readonly archived: ArchivedConfig | undefined;
    readonly node: string;
    readonly of: number;
  },
): Refusal | undefined {
  if (found === undefined) {
    const newest = archives.toSorted((a, b) => (b.ctime ?? 0) - (a.ctime ?? 0)).slice(0, 5);
    return refuse(
      'not-found',
      `${node} has no backup ${archive} that the API token may see, and nothing was done`,
      newest.length === 0
        ? `There is none of the guest ${of} on that storage, or the API token lacks VM.Backup on the guest or Datastore.AllocateSpace on the storage.`
        : `There are: ${newest.map(({ volid }) => said(volid)).join(', ')}.`,
      'archive',
    );
  }
  if (found.verification?.state !== undefined && found.verification.state !== 'ok') {
    return refuse(
      'conflict',
      `The backup server found ${archive} damaged, and nothing was done`,
      'Take another one; the next backup uploads again what is missing.',
      'archive',
    );
  }
  if (found.size <= 1 || archived === undefined || Object.keys(archived.config).length === 0) {
    return refuse(
      'conflict',
      `The archive ${archive} is empty or not finished, or its configuration can't be read, and nothing was done`,
      'Take another one.',
      'archive',
    );
  }
  return undefined;
}
