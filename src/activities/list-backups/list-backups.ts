import { Context } from '@temporalio/activity';
import { type Client, ScheduleNotFoundError } from '@temporalio/client';
import { z } from 'zod';
import { type Copy, createCopyStore } from '../../backups/copies/store.ts';
import type { Config } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import { type Archive, listBackups } from '../../hosts/commands/back-up/archives.ts';
import { lastGood } from '../../hosts/commands/back-up/last-good.ts';
import type { Hosts } from '../../hosts/host.ts';
import { backUp } from '../../operations/back-up.ts';
import { backUpGuest } from '../../operations/back-up-guest.ts';
import { takenAt } from '../../operations/backup-id.ts';
import { changeGuests } from '../../operations/change-guests.ts';
import { copyBackups } from '../../operations/copy-backups.ts';
import type { BackupEntry } from '../../operations/list-backups.ts';
import { isFor } from '../../proxmox/backup-jobs.ts';
import type { ProxmoxClient } from '../../proxmox/client.ts';
import type { ProxmoxApis } from '../../proxmox/connect.ts';
import { type BackupStorage, type GuestArchive, readGuestBackups } from '../../proxmox/guest-backups.ts';
import type { ProxmoxReader } from '../../proxmox/reader.ts';
import { readServerBackups, type ServerBackup } from '../../proxmox/server-backups.ts';
import type { CallOptions } from '../../proxmox/transport.ts';
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
  /** Of each guest the newest that isn't known to be damaged or unfinished. */
  readonly lastGood: readonly BackupEntry[];
  /** Guests of the node that have none: `VM 100 (files)`. */
  readonly without: readonly { readonly vmid: number; readonly label: string }[];
  /** Names of the guests of the node. */
  readonly labels: readonly { readonly vmid: number; readonly label: string }[];
  /** When a job under Datacenter > Backup backs a guest up next. */
  readonly next?: readonly { readonly vmid: number; readonly at: string; readonly by: string }[];
  /** Storages of which not everything could be seen. */
  readonly unseen: readonly Pick<BackupStorage, 'storage' | 'state' | 'why'>[];
  readonly isComplete: boolean;
}

/** What a Proxmox Backup Server holds. */
export interface ServerArchives extends Listed {
  /** Of each group of each namespace the newest that is finished and not known to be damaged. */
  readonly lastGood: readonly BackupEntry[];
  readonly unseen: readonly { readonly where: string; readonly why: string }[];
}

/** When a schedule makes or copies the next backup. */
export interface NextBackup {
  /** `back-up/daily/pve1` */
  readonly schedule: string;
  /** ISO 8601. Absent where it is paused. */
  readonly at?: string;
  readonly paused: boolean;
}

export interface ListInput {
  readonly host: string;
  readonly limit: number;
}

/** What backups are there. All only look, and may be asked again at any time. */
export interface ListBackupsActivities {
  /** Those of the host itself, from its own records. */
  listHostArchives(input: ListInput): Promise<HostArchives>;
  /** Those of its guests, in the storages of its Proxmox VE. @param vmid only this guest's */
  listGuestBackups(
    input: ListInput & { readonly ways: Ways; readonly vmid?: number | undefined },
  ): Promise<GuestArchives>;
  /** The snapshots of the host's Proxmox Backup Server; nothing of a host that has none. */
  listServerBackups(input: ListInput & { readonly vmid?: number | undefined }): Promise<ServerArchives | undefined>;
  /** When the schedules of the host make the next ones; what nobody has made is left out. */
  nextBackups(input: { readonly host: string }): Promise<readonly NextBackup[]>;
  /** In which time zone the host's times are told. */
  timeZoneOf(input: { readonly host: string }): Promise<string>;
}

export function createListBackupsActivities({
  hosts,
  proxmox,
  client,
  config,
}: {
  readonly hosts: Hosts;
  readonly proxmox: ProxmoxApis;
  readonly client: Pick<Client, 'schedule'>;
  readonly config: Pick<Config, 'copies'>;
}): ListBackupsActivities {
  const store = createCopyStore(config.copies.folder);
  const options = () => ({ signal: Context.current().cancellationSignal });
  return {
    async listHostArchives({ host: name, limit }) {
      const host = hosts.get(name);
      const found = await host.run(listBackups, {}, options());
      const { backups: folder } = host.config.layout;
      const good = lastGood(found);
      const copies = new Map(store.list(name).map((copy) => [copy.backup, copy]));
      const entry = (archive: Archive) => ({
        ...hostEntry(archive, Date.parse(found.now), folder),
        ...copied(copies.get(archive.id)),
      });
      const all = found.archives.map(entry);
      const elsewhere = found.elsewhere.flatMap(({ id, folder: former }) => {
        const at = takenAt(id);
        if (Number.isNaN(at)) return [];
        return [{ ...lying(id, at, Date.parse(found.now), cleanLine(former, 300)), ...copied(copies.get(id)) }];
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
      const [found, guests, jobs] = await Promise.all([
        readGuestBackups(reader),
        readGuests(reader),
        ways.api ? readJobs(reader) : [],
      ]);
      const node = jobs.some((job) => job.node !== undefined) ? await proxmox.node(host, options()) : undefined;
      const pools = jobs.some((job) => job.pool !== undefined)
        ? await readPools(proxmox.get(host), options())
        : noPools;
      const isMeant = (one: { readonly vmid: number }) => vmid === undefined || one.vmid === vmid;
      const now = Date.now();
      const all = found.archives.filter(isMeant).map((archive) => guestEntry(archive, now));
      const lastOf = new Map<number | undefined, BackupEntry>();
      for (const one of all) if (mayBeGood(one, now) && !lastOf.has(one.vmid)) lastOf.set(one.vmid, one);
      const labels = guests.filter(isMeant).map(({ vmid: number, label }) => ({ vmid: number, label }));
      const wanted = guests.filter((guest) => isMeant(guest) && !guest.isTemplate);
      return {
        ...newest(all, limit),
        lastGood: [...lastOf.values()].slice(0, 500),
        without: wanted
          .filter((guest) => !lastOf.has(guest.vmid))
          .map(({ vmid: number, label }) => ({ vmid: number, label })),
        labels,
        next: labels.flatMap(({ vmid: number }) => nextOf(number, jobs, { node, now, pool: pools.get(number) }) ?? []),
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

    async listServerBackups({ host, vmid, limit }) {
      if (proxmox.hosts.find(({ name }) => name === host)?.backupServer === undefined) return undefined;
      const found = await readServerBackups(proxmox.backupServer(host), options());
      const now = Date.now();
      const wanted = found.backups.filter((one) => vmid === undefined || one.vmid === vmid);
      const all = wanted.map((one) => serverEntry(one, now));
      const lastOf = new Map<string, BackupEntry>();
      for (const [at, one] of all.entries()) {
        const group = `${one.where} ${wanted[at]?.group}`;
        if (mayBeGood(one, now) && !lastOf.has(group)) lastOf.set(group, one);
      }
      return {
        ...newest(all, limit),
        lastGood: [...lastOf.values()].slice(0, 500),
        unseen: found.unseen.slice(0, 50),
      };
    },

    async nextBackups({ host }) {
      const found = await Promise.all(
        [backUp, copyBackups].flatMap(({ name, schedules }) =>
          schedules.map(async ({ id }): Promise<NextBackup | undefined> => {
            const schedule = `${name}/${id}/${host}`;
            try {
              const { info, state } = await client.schedule.getHandle(schedule).describe();
              const [at] = info.nextActionTimes;
              return { schedule, paused: state.paused, ...(at && !state.paused && { at: at.toISOString() }) };
            } catch (error) {
              if (error instanceof ScheduleNotFoundError) return undefined;
              throw error;
            }
          }),
        ),
      );
      return [...found.filter((one) => one !== undefined), ...(await ownSchedules(client, host))];
    },

    timeZoneOf: async ({ host }) => proxmox.hosts.find(({ name }) => name === host)?.timeZone ?? 'UTC',
  };
}

function newest(all: readonly BackupEntry[], limit: number): Listed {
  return { backups: all.toSorted((a, b) => b.takenAt.localeCompare(a.takenAt)).slice(0, limit), total: all.length };
}

/** What is said to have taken longer was made while the clock was set. */
const longestSeconds = 7 * 86_400;

function secondsSince(at: number, now: number): number {
  return Math.max(0, Math.round((now - at) / 1000));
}

/** A copy beside the service, and where else it lies. */
function copied(copy: Copy | undefined): Pick<BackupEntry, 'copies'> {
  if (copy === undefined) return {};
  const { madeAt, state, checked, places } = copy;
  return {
    copies: [
      { where: 'service', at: madeAt, state, ...(checked && { checkedAt: checked.at, proves: checked.proves }) },
      ...Object.entries(places).map(([where, { at }]) => ({ where, at, state: 'whole' as const })),
    ],
  };
}

function hostEntry(archive: Archive, now: number, where: string): BackupEntry {
  const { id, bytes, state, publishedAt, checkedAt, writtenAt } = archive;
  const at = publishedAt ?? writtenAt;
  // A backup is named after the moment in which it was begun, by the host's own clock.
  const took = publishedAt === undefined ? undefined : (Date.parse(publishedAt) - takenAt(id)) / 1000;
  return {
    kind: 'host',
    name: id,
    takenAt: at,
    ageSeconds: secondsSince(Date.parse(at), now),
    bytes,
    state,
    where,
    ...(took !== undefined && took >= 0 && took < longestSeconds && { tookSeconds: Math.round(took) }),
    ...(checkedAt !== undefined && { checkedAt }),
  };
}

/** One that was published and lies in a former folder, where nobody looks whether it is whole. */
function lying(id: string, at: number, now: number, where: string): BackupEntry {
  const time = new Date(at).toISOString();
  return { kind: 'host', name: id, takenAt: time, ageSeconds: secondsSince(at, now), state: 'not-verified', where };
}

function serverEntry(one: ServerBackup, now: number): BackupEntry {
  const { name, vmid, takenAt: at, bytes, verified, isUnfinished, where } = one;
  return {
    ...{ kind: 'guest', name, takenAt: at, ageSeconds: secondsSince(Date.parse(at), now), where },
    ...(vmid !== undefined && { vmid }),
    ...(bytes !== undefined && { bytes }),
    state: isUnfinished && verified === 'none' ? 'unfinished' : states[verified],
  };
}

/** Of how many schedules that somebody made is asked when they are due. */
const mostOwn = 50;

const ownSchedule = z.object({
  own: z.object({ leadMs: z.number(), input: z.looseObject({ change: z.string().optional() }) }),
});

/** When schedules that somebody made for guests of the host are due, as far as they back up. */
async function ownSchedules(client: Pick<Client, 'schedule'>, host: string): Promise<readonly NextBackup[]> {
  const ids: string[] = [];
  for await (const { scheduleId, memo } of client.schedule.list()) {
    const [operation = '', , ...target] = scheduleId.split('/');
    const isOurs = memo?.managedBy === 'proxmox-mcp' && memo.own === true && target[0] === host;
    if (isOurs && (operation === backUpGuest.name || operation === changeGuests.name)) ids.push(scheduleId);
  }
  const found = await Promise.all(
    ids.slice(0, mostOwn).map(async (schedule): Promise<NextBackup | undefined> => {
      try {
        const { info, state, action } = await client.schedule.getHandle(schedule).describe();
        const made = ownSchedule.safeParse(action.memo).data?.own;
        if (made === undefined || (schedule.startsWith(`${changeGuests.name}/`) && made.input.change !== 'back-up'))
          return undefined;
        const [starts] = info.nextActionTimes;
        // What asks for an approval is started ahead of its time.
        const at = starts && new Date(starts.getTime() + made.leadMs).toISOString();
        return { schedule, paused: state.paused, ...(at !== undefined && !state.paused && { at }) };
      } catch (error) {
        if (error instanceof ScheduleNotFoundError) return undefined;
        throw error;
      }
    }),
  );
  return found.filter((one) => one !== undefined);
}

type Jobs = Awaited<ReturnType<typeof readJobs>>;

/** Without the right to see them, nothing is known of jobs, which is less than of backups. */
async function readJobs(reader: ProxmoxReader) {
  try {
    return await reader.read('backup-jobs');
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code === 'cancelled') throw error;
    return [];
  }
}

const noPools: ReadonlyMap<number, string> = new Map();

/** In which pool each guest is; of a job for a pool nobody else says for whom it is. */
async function readPools(client: ProxmoxClient, options: CallOptions): Promise<ReadonlyMap<number, string>> {
  try {
    const guests = await client.guests(options);
    return new Map(guests.flatMap(({ vmid, pool }) => (pool === undefined ? [] : [[vmid, pool]])));
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code === 'cancelled') throw error;
    return noPools;
  }
}

/** When the next job is for a guest. */
function nextOf(
  vmid: number,
  jobs: Jobs,
  { node, now, pool }: { readonly node: string | undefined; readonly now: number; readonly pool: string | undefined },
) {
  const [next] = jobs
    .filter((job) => job.enabled !== false && isFor(job, vmid, { node, pool }))
    .flatMap(({ id, 'next-run': at }) => (at === undefined || at * 1000 < now - clockToleranceMs ? [] : { id, at }))
    .sort((a, b) => a.at - b.at);
  return next && { vmid, at: new Date(next.at * 1000).toISOString(), by: cleanLine(next.id, 100) };
}

const states = { ok: 'verified', failed: 'damaged', none: 'not-verified' } as const;

/** A node's clock may be that much ahead of ours. */
const clockToleranceMs = 10 * 60_000;

/** What is damaged, unfinished, or dated in the future is no backup to rely on. */
function mayBeGood({ state, takenAt: at }: BackupEntry, now: number): boolean {
  return state !== 'damaged' && state !== 'unfinished' && Date.parse(at) <= now + clockToleranceMs;
}

function guestEntry(
  { volume, vmid, takenAt: at, bytes, verified, isUnfinished, storage }: GuestArchive,
  now: number,
): BackupEntry {
  return {
    kind: 'guest',
    name: volume,
    vmid,
    takenAt: at,
    ageSeconds: secondsSince(Date.parse(at), now),
    ...(bytes !== undefined && isUnfinished === undefined && { bytes }),
    state: isUnfinished === true ? 'unfinished' : states[verified],
    where: storage,
  };
}
