import { ServiceError } from '../../errors.ts';
import type { Finding } from '../../operations/finding.ts';
import { type BackupJob, isFor } from '../../proxmox/backup-jobs.ts';
import type { GuestArchive, GuestBackups } from '../../proxmox/guest-backups.ts';
import type { ProxmoxReader } from '../../proxmox/reader.ts';
import { cleanLine } from '../../reports/clean.ts';
import { readableBytes, readableList } from '../../reports/units.ts';
import type { NodeGuest } from '../check-health/guests.ts';

// What the jobs, sizes and marks of guests' backups say, beside their age.

export const onlyByApi: readonly Finding[] = [
  {
    check: 'Guests without a job',
    verdict: 'skipped',
    summary: 'Which guests no backup job is for is told by the Proxmox API alone, and none is configured.',
  },
];

/** Guests that no job under Datacenter > Backup is for, and those that only jobs are for which are switched off. */
export async function inspectJobs(
  reader: ProxmoxReader,
  guests: readonly NodeGuest[],
  nodeOf: () => Promise<string>,
): Promise<readonly Finding[]> {
  try {
    const [uncovered, jobs] = await Promise.all([reader.read('not-backed-up'), reader.read('backup-jobs')]);
    const node = jobs.some((job) => job.node !== undefined) ? await nodeOf() : undefined;
    return [judgeUncovered(uncovered), ...judgeSwitchedOff(guests, jobs, node)];
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code === 'cancelled') throw error;
    return [{ check: 'Guests without a job', verdict: 'unknown', summary: error.message, remedy: error.remedy }];
  }
}

function judgeUncovered(guests: readonly { readonly vmid: number; readonly name?: string | undefined }[]): Finding {
  const check = 'Guests without a job';
  if (guests.length === 0) return { check, verdict: 'ok', summary: 'A backup job is for each guest.', value: 0 };
  const names = guests.map(({ vmid, name }) => (name === undefined ? `${vmid}` : `${vmid} (${cleanLine(name, 60)})`));
  return {
    check,
    verdict: 'warning',
    summary: `No backup job is for ${readableList(names, 20)}.`,
    remedy: 'Add them to one under Datacenter > Backup.',
    value: guests.length,
  };
}

/** Proxmox's own list of guests without a job takes one that is switched off for one. */
function judgeSwitchedOff(
  guests: readonly NodeGuest[],
  jobs: readonly BackupJob[],
  node: string | undefined,
): readonly Finding[] {
  const isOn = (job: BackupJob) => job.enabled !== false;
  // For whom it is nobody says here: it may be for each of them.
  if (jobs.some((job) => isOn(job) && job.pool !== undefined)) return [];
  const off = guests.filter(({ vmid, isTemplate }) => {
    const own = jobs.filter((job) => isFor(job, vmid, { node }));
    return !isTemplate && own.length > 0 && !own.some(isOn);
  });
  if (off.length === 0) return [];
  return [
    {
      check: 'Jobs that are switched off',
      verdict: 'warning',
      summary: `Only backup jobs that are switched off are for ${readableList(
        off.map(({ label }) => label),
        20,
      )}.`,
      remedy: 'Switch them on under Datacenter > Backup, or add these guests to another one.',
      value: off.length,
    },
  ];
}

/** Of so many earlier ones of a guest in a storage its usual size is told. */
const earlier = 5;

/** The last backup of a guest is less than half of what is usual in that storage: a job ended well, and a disk isn't in it any more. */
export function judgeSizes(
  guests: readonly NodeGuest[],
  { archives }: Pick<GuestBackups, 'archives'>,
): readonly Finding[] {
  const shrunken = guests.flatMap(({ vmid, label }) => {
    const own = archives.filter((one) => one.vmid === vmid && !one.isUnfinished && one.bytes !== undefined);
    const [last] = own;
    const sizes = own
      .filter(({ storage }) => storage === last?.storage)
      .slice(1, earlier + 1)
      .map(({ bytes = 0 }) => bytes)
      .sort((a, b) => a - b);
    const usual = sizes[Math.floor(sizes.length / 2)];
    if (last?.bytes === undefined || usual === undefined || last.bytes * 2 >= usual) return [];
    return `${label}: ${readableBytes(last.bytes)}, and ${readableBytes(usual)} are usual`;
  });
  if (shrunken.length === 0) return [];
  return [
    {
      check: 'Sizes of guest backups',
      verdict: 'warning',
      summary: `Less than half of what is usual in the last one of ${readableList(shrunken, 10)}.`,
      remedy: 'Look whether something is gone from the guest, or a disk from its backup, before older ones go.',
      value: shrunken.length,
    },
  ];
}

/** Storages that aren't there now: that a task ended well says nothing of where its archive is. */
export function judgeAway({ storages }: Pick<GuestBackups, 'storages'>): readonly Finding[] {
  return storages
    .filter(({ state }) => state === 'not-active')
    .map(({ storage }) => ({
      check: `Backups in ${storage}`,
      verdict: 'unknown',
      summary: `${storage} is not active on this node, so nothing is known of the backups in it.`,
      remedy: 'Bring it back (pvesm status), or switch it off in its definition.',
    }));
}

/** Encrypted backups of which this node's storages don't have the key: nothing restores them here. The API alone tells that. */
export async function inspectKeys(
  reader: ProxmoxReader,
  guests: readonly NodeGuest[],
  { archives }: Pick<GuestBackups, 'archives'>,
): Promise<readonly Finding[]> {
  const check = 'Keys of encrypted backups';
  const encrypted = archives.filter(({ encryptedBy, isUnfinished }) => encryptedBy !== undefined && !isUnfinished);
  if (encrypted.length === 0) return [];
  try {
    const definitions = await reader.read('storage-definitions');
    const keys = new Map(definitions.map((one) => [one.storage, one['encryption-key']]));
    const states = encrypted.map((one) => (keys.has(one.storage) ? keyState(keys.get(one.storage), one) : 'unknown'));
    const locked = encrypted.filter((_, index) => states[index] === 'none' || states[index] === 'other');
    if (locked.length === 0) return [haveKeys(check, states)];
    const last = new Set(guests.map(({ vmid }) => archives.find((one) => one.vmid === vmid && !one.isUnfinished)));
    const newest = locked.filter((one) => last.has(one));
    const named = (newest.length > 0 ? newest : locked).map(({ volume, storage, encryptedBy }) => {
      const other = keys.get(storage) === undefined ? `${storage} has no key` : `${storage} has another key`;
      // So much of a fingerprint is what Proxmox VE shows.
      return `${volume} (by ${encryptedBy === 'unknown' ? 'a key' : `key ${encryptedBy?.slice(0, 23)}`}; ${other})`;
    });
    return [
      {
        check,
        verdict: newest.length > 0 ? 'failed' : 'warning',
        summary: `${newest.length > 0 ? 'Not even the newest backup can be decrypted here' : 'Older backups can not be decrypted here'}: ${readableList(named, 5)}.`,
        remedy:
          'Give the storage that key again: pvesm set STORAGE --encryption-key FILE. Your own copy has it, or an archive of this host from before: /etc/pve/priv/storage/STORAGE.enc; with a master key: proxmox-backup-client key import-with-master-key. Without it they are lost.',
        value: locked.length,
      },
    ];
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code === 'cancelled') throw error;
    return [{ check, verdict: 'unknown', summary: error.message, remedy: error.remedy }];
  }
}

type KeyState = 'same' | 'other' | 'none' | 'unknown';

/** What a storage's key is to a backup in it; `unknown`: one of them has no fingerprint. */
function keyState(key: string | number | undefined, { encryptedBy }: GuestArchive): KeyState {
  if (key === undefined) return 'none';
  if (`${key}` === '1' || encryptedBy === 'unknown') return 'unknown';
  return `${key}`.toLowerCase() === encryptedBy?.toLowerCase() ? 'same' : 'other';
}

function haveKeys(check: string, states: readonly KeyState[]): Finding {
  const sure = states.filter((state) => state === 'same').length;
  const summary = `${sure} of ${states.length} were encrypted by the key that their storage has`;
  if (sure === states.length) return { check, verdict: 'ok', summary: `${summary}.` };
  return {
    check,
    verdict: 'unknown',
    summary: `${summary}; by which the others were nothing says.`,
    remedy: 'Restore one of them into a new guest, which proves it (restore-guest).',
  };
}

/** What a Proxmox Backup Server found when it verified them, and what it hasn't. */
export function judgeDamaged({ archives }: Pick<GuestBackups, 'archives'>): readonly Finding[] {
  const damaged = archives.filter(({ verified }) => verified === 'failed').map(({ volume }) => volume);
  const verified = archives.filter(({ verified: state }) => state === 'ok').length;
  if (damaged.length > 0)
    return [
      {
        check: 'Damaged backups of guests',
        verdict: 'failed',
        summary: `The backup server found them damaged: ${readableList(damaged, 10)}.`,
        remedy:
          'Back these guests up again: the next backup stores the damaged parts anew. Then verify on the backup server.',
        value: damaged.length,
      },
    ];
  if (verified === 0) return [];
  return [{ check: 'Backups of guests', verdict: 'ok', summary: `${verified} were verified by their backup server.` }];
}
