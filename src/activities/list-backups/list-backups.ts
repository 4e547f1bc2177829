import { Context } from '@temporalio/activity';
import { type Archive, listBackups } from '../../hosts/commands/back-up/archives.ts';
import { lastGood } from '../../hosts/commands/back-up/last-good.ts';
import type { Hosts } from '../../hosts/host.ts';
import { takenAt } from '../../operations/backup-id.ts';
import type { BackupEntry } from '../../operations/list-backups.ts';
import type { ProxmoxApis } from '../../proxmox/connect.ts';
import { type BackupStorage, type GuestArchive, readGuestBackups } from '../../proxmox/guest-backups.ts';
import { cleanLine } from '../../reports/clean.ts';
import { readGuests } from '../check-health/guests.ts';
import { proxmoxReader, type Ways } from '../lib/proxmox-reader.ts';

export const queue = 'host';

/** Part of the backups that are there. */
interface Listed {
  /** Newest first, at most as many as were asked for. */
  readonly backups: readonly BackupEntry[];
  readonly total: number;
}

/** The archives of the host itself. */
export interface HostArchives extends Listed {
  readonly lastGood?: BackupEntry;
  readonly folder: string;
  /** Ids of archives that were published and are gone, the newest first, at most five; and how many there are. */
  readonly gone: readonly string[];
  readonly goneCount: number;
  /** Lines of the host's list that nobody understands. */
  readonly notUnderstood: number;
}

/** The backups of guests. */
export interface GuestArchives extends Listed {
  /** Of each guest the newest that isn't damaged. */
  readonly lastGood: readonly BackupEntry[];
  /** Guests of the node that have none: `VM 100 (files)`. */
  readonly without: readonly { readonly vmid: number; readonly label: string }[];
  /** Names of the guests of the node. */
  readonly labels: readonly { readonly vmid: number; readonly label: string }[];
  /** Storages of which not everything could be seen. */
  readonly unseen: readonly Pick<BackupStorage, 'storage' | 'state' | 'why'>[];
  readonly isComplete: boolean;
}

export interface ListInput {
  readonly host: string;
  readonly limit: number;
}

/** What backups are there. Both only look, and may be asked again at any time. */
export interface ListBackupsActivities {
  /** Those of the host itself, from its own records. */
  listHostArchives(input: ListInput): Promise<HostArchives>;
  /** Those of its guests, in the storages of its Proxmox VE. @param vmid only this guest's */
  listGuestBackups(
    input: ListInput & { readonly ways: Ways; readonly vmid?: number | undefined },
  ): Promise<GuestArchives>;
  /** In which time zone the host's times are told. */
  timeZoneOf(input: { readonly host: string }): Promise<string>;
}

export function createListBackupsActivities({
  hosts,
  proxmox,
}: {
  readonly hosts: Hosts;
  readonly proxmox: ProxmoxApis;
}): ListBackupsActivities {
  const options = () => ({ signal: Context.current().cancellationSignal });
  return {
    async listHostArchives({ host: name, limit }) {
      const host = hosts.get(name);
      const found = await host.run(listBackups, {}, options());
      const { backups: folder } = host.config.layout;
      const good = lastGood(found);
      const entry = (archive: Archive) => hostEntry(archive, Date.parse(found.now), folder);
      const all = found.archives.map(entry);
      const elsewhere = found.elsewhere.flatMap(({ id, folder: former }) => {
        const at = takenAt(id);
        if (Number.isNaN(at)) return [];
        return [lying(id, at, Date.parse(found.now), cleanLine(former, 300))];
      });
      const gone = found.gone.toSorted().reverse();
      return {
        ...newest([...all, ...elsewhere], limit),
        ...(good !== undefined && { lastGood: entry(good) }),
        folder,
        gone: gone.slice(0, 5),
        goneCount: gone.length,
        notUnderstood: found.notUnderstood,
      };
    },

    async listGuestBackups({ host, ways, vmid, limit }) {
      const reader = proxmoxReader({ hosts, proxmox }, host, ways, options());
      if (reader === undefined) throw new Error(`${host} is reached by nothing`);
      const [found, guests] = await Promise.all([readGuestBackups(reader), readGuests(reader)]);
      const isMeant = (one: { readonly vmid: number }) => vmid === undefined || one.vmid === vmid;
      const all = found.archives.filter(isMeant).map((archive) => guestEntry(archive, Date.now()));
      const lastOf = new Map<number | undefined, BackupEntry>();
      for (const one of all) if (one.state !== 'damaged' && !lastOf.has(one.vmid)) lastOf.set(one.vmid, one);
      const labels = guests.filter(isMeant).map(({ vmid: number, label }) => ({ vmid: number, label }));
      const wanted = guests.filter((guest) => isMeant(guest) && !guest.isTemplate);
      return {
        ...newest(all, limit),
        lastGood: [...lastOf.values()].slice(0, 500),
        without: wanted
          .filter((guest) => !lastOf.has(guest.vmid))
          .map(({ vmid: number, label }) => ({ vmid: number, label })),
        labels,
        unseen: found.storages
          .filter(({ state, missing }) => state !== 'switched-off' && (state !== 'read' || missing.length > 0))
          .map(({ storage, state, why }) => ({
            storage,
            state,
            ...(why !== undefined && { why: cleanLine(why, 300) }),
          })),
        isComplete: found.isComplete,
      };
    },

    timeZoneOf: async ({ host }) => proxmox.hosts.find(({ name }) => name === host)?.timeZone ?? 'UTC',
  };
}

function newest(all: readonly BackupEntry[], limit: number): Listed {
  return { backups: all.toSorted((a, b) => b.takenAt.localeCompare(a.takenAt)).slice(0, limit), total: all.length };
}

function secondsSince(at: number, now: number): number {
  return Math.max(0, Math.round((now - at) / 1000));
}

function hostEntry(archive: Archive, now: number, where: string): BackupEntry {
  const { id, bytes, state, publishedAt, writtenAt } = archive;
  const at = publishedAt ?? writtenAt;
  return { kind: 'host', name: id, takenAt: at, ageSeconds: secondsSince(Date.parse(at), now), bytes, state, where };
}

/** One that was published and lies in a former folder, where nobody looks whether it is whole. */
function lying(id: string, at: number, now: number, where: string): BackupEntry {
  const time = new Date(at).toISOString();
  return { kind: 'host', name: id, takenAt: time, ageSeconds: secondsSince(at, now), state: 'not-verified', where };
}

const states = { ok: 'verified', failed: 'damaged', none: 'not-verified' } as const;

function guestEntry({ volume, vmid, takenAt: at, bytes, verified, storage }: GuestArchive, now: number): BackupEntry {
  return {
    kind: 'guest',
    name: volume,
    vmid,
    takenAt: at,
    ageSeconds: secondsSince(Date.parse(at), now),
    ...(bytes !== undefined && { bytes }),
    state: states[verified],
    where: storage,
  };
}
