import { ServiceError } from '../errors.ts';
import { cleanLine } from '../reports/clean.ts';
import type { ProxmoxReader } from './reader.ts';
import type { MissingRight } from './rights.ts';
import type { ProxmoxArchive, ProxmoxStorage } from './schemas.ts';

/** A backup of a guest that a storage holds. */
export interface GuestArchive {
  /** `nas:backup/vzdump-qemu-100-2026_11_22-17_51_35.vma.zst` */
  readonly volume: string;
  readonly storage: string;
  readonly vmid: number;
  /** `qemu` or `lxc`; absent where the storage doesn't say. */
  readonly type?: 'qemu' | 'lxc';
  /** ISO 8601, UTC. */
  readonly takenAt: string;
  readonly bytes?: number;
  /** What a Proxmox Backup Server found when it verified it; `none`: nobody has, which other storages never do. */
  readonly verified: 'ok' | 'failed' | 'none';
  /** Only where it is encrypted: the fingerprint of the key, `12:34:…`; `unknown` where the storage doesn't say it. */
  readonly encryptedBy?: string;
  /** It is being written, or was cut off, or is empty: nothing can be restored from it. */
  readonly isUnfinished?: true;
  readonly isProtected: boolean;
  /** The first line of its notes. */
  readonly notes?: string;
}

/** A storage that is there for backups. `read`: its archives are listed. */
export interface BackupStorage {
  readonly storage: string;
  /** `dir`, `nfs`, `pbs` … */
  readonly type: string;
  readonly state: 'read' | 'switched-off' | 'not-active' | 'not-read';
  /** Why its archives aren't listed, or not all of them. */
  readonly why?: string;
  /** Without these, archives are left out of its list. */
  readonly missing: readonly MissingRight[];
}

/** The backups of guests that a host's storages hold. */
export interface GuestBackups {
  /** Newest first. */
  readonly archives: readonly GuestArchive[];
  readonly storages: readonly BackupStorage[];
  /** Whether the list holds every archive that there is: of each storage all could be seen. */
  readonly isComplete: boolean;
}

/**
 * The backups of guests in all storages of a host for backups. A storage that can't be read doesn't hide the others.
 *
 * @throws ServiceError when not even the storages can be listed
 */
export async function readGuestBackups(reader: ProxmoxReader): Promise<GuestBackups> {
  const listed = (await reader.read('storages')).filter(isForBackups);
  const seen = await Promise.all(listed.map((storage) => readStorage(reader, storage)));
  const archives = seen.flatMap((one) => one.archives);
  const storages = seen.map((one) => one.storage);
  return {
    archives: archives.toSorted((a, b) => b.takenAt.localeCompare(a.takenAt) || a.vmid - b.vmid),
    storages,
    isComplete: storages.every(
      ({ state, missing }) => state === 'switched-off' || (state === 'read' && missing.length === 0),
    ),
  };
}

function isForBackups({ content }: ProxmoxStorage): boolean {
  return content.split(',').includes('backup');
}

async function readStorage(
  reader: ProxmoxReader,
  { storage, type, enabled, active }: ProxmoxStorage,
): Promise<{ readonly storage: BackupStorage; readonly archives: readonly GuestArchive[] }> {
  const named = { storage: cleanLine(storage, 100), type: cleanLine(type, 30) };
  const without = (state: BackupStorage['state'], why: string) => ({
    storage: { ...named, state, why, missing: [] },
    archives: [],
  });
  if (!enabled) return without('switched-off', 'It is switched off in its definition.');
  if (!active) return without('not-active', 'It is not active on this node.');
  try {
    const [content, missing] = await Promise.all([reader.read('archives', storage), reader.hiding(storage)]);
    const rights = missing.map(({ privilege, path }) => `${privilege} on ${path}`).join(' and ');
    return {
      storage: {
        ...named,
        state: 'read',
        missing,
        ...(missing.length > 0 && {
          why: `The API token sees only the archives that it may restore: it lacks ${rights}.`,
        }),
      },
      archives: content.flatMap((archive) => guestArchive({ storage: named.storage, type }, archive)),
    };
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code === 'cancelled') throw error;
    return without('not-read', error.message);
  }
}

/** Nothing for what isn't of a guest, or has no time that a calendar knows. */
function guestArchive(
  { storage, type }: { readonly storage: string; readonly type: string },
  archive: ProxmoxArchive,
): readonly GuestArchive[] {
  const { vmid, ctime, volid, size, subtype, notes, encrypted } = archive;
  const isGuest = vmid !== undefined && Number.isInteger(vmid) && vmid >= 100 && vmid <= 999_999_999;
  if (!isGuest || ctime === undefined || !(ctime > 0 && ctime <= 253_402_300_799)) return [];
  const state = archive.verification?.state;
  return [
    {
      volume: cleanLine(volid, 300),
      storage,
      vmid,
      ...((subtype === 'qemu' || subtype === 'lxc') && { type: subtype }),
      takenAt: new Date(ctime * 1000).toISOString(),
      ...(size !== undefined && size >= 0 && { bytes: size }),
      verified: state === undefined ? 'none' : state === 'ok' ? 'ok' : 'failed',
      ...(encrypted !== undefined && {
        encryptedBy: `${encrypted}` === '1' ? 'unknown' : cleanLine(`${encrypted}`, 100),
      }),
      // A backup server's unfinished snapshot is listed with 1 byte.
      ...((size === 0 || (type === 'pbs' && (size ?? 0) <= 1)) && { isUnfinished: true }),
      isProtected: archive.protected ?? false,
      ...(notes !== undefined && notes !== '' && { notes: cleanLine(notes, 200) }),
    },
  ];
}
