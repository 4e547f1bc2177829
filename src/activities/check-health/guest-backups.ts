import type { Finding, Verdict } from '../../operations/finding.ts';
import { type GuestArchive, type GuestBackups, readGuestBackups } from '../../proxmox/guest-backups.ts';
import type { ProxmoxReader } from '../../proxmox/reader.ts';
import type { ProxmoxTask } from '../../proxmox/schemas.ts';
import { cleanLine } from '../../reports/clean.ts';
import { readableBytes, readableDuration, readableTime } from '../../reports/units.ts';
import { finding, isOfTheCommand } from './finding.ts';
import { type NodeGuest, readGuests } from './guests.ts';
import { backupFailedHours, backupWarningHours, guestsOneByOne, weeklyBackupFailedHours } from './limits.ts';

const hour = 3_600_000;
/** How many logs of backup tasks of several guests are read. */
const logsRead = 6;

/** The last backup of each guest, as the storages hold it; where the API token may not see that, as the tasks tell. */
export async function inspectGuestBackups(reader: ProxmoxReader, timeZone: string): Promise<readonly Finding[]> {
  const [guests, backups, tasks] = await Promise.all([
    readGuests(reader),
    readGuestBackups(reader),
    reader.read('backup-tasks').catch(unlessAsked),
  ]);
  const told = backups.isComplete ? new Map<number, number>() : await toldByTasks(reader, tasks);
  return [
    ...judgeGuestBackups(guests, backups, { timeZone, now: Date.now(), told }),
    ...judgeStorages(backups),
    ...judgeTasks(tasks, backups, { timeZone, now: Date.now() }),
  ];
}

/** A list that can't be had tells nothing; a host that is away, or a run that is cancelled, is thrown. */
function unlessAsked(error: unknown): [] {
  if (isOfTheCommand(error)) return [];
  throw error;
}

interface Context {
  readonly timeZone: string;
  /** Ms since 1970. */
  readonly now: number;
}

/** One that is dated later says nothing of when it was made. */
const clockToleranceMs = 10 * 60_000;

/**
 * Each guest's last backup by its age.
 *
 * @param told when tasks say that a guest was backed up, in ms since 1970
 */
export function judgeGuestBackups(
  guests: readonly NodeGuest[],
  backups: Pick<GuestBackups, 'archives' | 'storages' | 'isComplete'>,
  { timeZone, now, told }: Context & { readonly told: ReadonlyMap<number, number> },
): readonly Finding[] {
  const wanted = guests.filter(({ isTemplate }) => !isTemplate);
  if (wanted.length === 0) return [finding('Backups of guests', 'skipped', 'There are no guests on this node.')];
  const judged = wanted.map((guest) => {
    const own = backups.archives.filter(
      ({ vmid, isUnfinished, takenAt }) =>
        vmid === guest.vmid && !isUnfinished && Date.parse(takenAt) <= now + clockToleranceMs,
    );
    return { guest, found: judgeGuest(guest, own, told.get(guest.vmid), { timeZone, now }) };
  });
  const without = judged.filter(({ found }) => found === undefined).map(({ guest }) => guest);
  const found = judged.flatMap((one) => one.found ?? []);
  return [...folded(found), ...(without.length === 0 ? [] : [noBackup(without, backups)])];
}

function judgeGuest(
  guest: NodeGuest,
  archives: readonly GuestArchive[],
  told: number | undefined,
  { timeZone, now }: Context,
): Finding | undefined {
  const [last, before] = archives;
  const at = Math.max(last === undefined ? Number.NEGATIVE_INFINITY : Date.parse(last.takenAt), told ?? 0);
  if (!(at > 0)) return undefined;
  const check = `Backup of ${guest.label}`;
  const isStored = last !== undefined && Date.parse(last.takenAt) === at;
  const where = isStored
    ? ` in ${last.storage}${last.bytes === undefined ? '' : `, ${readableBytes(last.bytes)}`}`
    : '';
  const checked = isStored && last.verified === 'ok' ? ', verified' : '';
  const when = readableTime(new Date(at).toISOString(), timeZone);
  const summary = `Its last backup is ${readableDuration(Math.max(0, now - at))} old (${when}${where}${checked}).`;
  const remedy = `See on the host, or under Datacenter > Backup, why there is no newer one, then back it up: vzdump ${guest.vmid}`;
  if (isStored && last.verified === 'failed') {
    const bad = `${last.storage} found its last backup (${when}) damaged when it verified it.`;
    return finding(check, 'failed', bad, { remedy: `Make a new one: vzdump ${guest.vmid}`, evidence: last.volume });
  }
  const verdict = ageVerdict(now - at, last, before);
  return finding(check, verdict, summary, verdict === 'ok' ? {} : { remedy });
}

/** By the guest's own rhythm: what is backed up each week isn't late after two days. */
function ageVerdict(ageMs: number, last: GuestArchive | undefined, before: GuestArchive | undefined): Verdict {
  const gap = last && before ? Date.parse(last.takenAt) - Date.parse(before.takenAt) : Number.POSITIVE_INFINITY;
  const isNightly = gap < backupFailedHours * hour;
  if (!isNightly) return ageMs >= weeklyBackupFailedHours * hour ? 'failed' : 'ok';
  if (ageMs >= backupFailedHours * hour) return 'failed';
  return ageMs >= backupWarningHours * hour ? 'warning' : 'ok';
}

/** One by one; of many guests those that are well are one line, which names the oldest. */
function folded(found: readonly Finding[]): readonly Finding[] {
  const well = found.filter(({ verdict }) => verdict === 'ok');
  if (found.length <= guestsOneByOne) return found;
  const others = found.filter(({ verdict }) => verdict !== 'ok');
  const lines = well.map(({ check, summary }) => `${check.replace(/^Backup of /, '')}: ${summary}`).join('\n');
  return [
    ...others,
    ...(well.length === 0
      ? []
      : [
          finding('Backups of guests', 'ok', `${well.length} guests have a backup that is not old.`, {
            evidence: lines,
          }),
        ]),
  ];
}

function noBackup(guests: readonly NodeGuest[], backups: Pick<GuestBackups, 'storages' | 'isComplete'>): Finding {
  const named = namesOf(guests.map(({ label }) => label));
  const hidden = backups.storages.flatMap(({ missing }) =>
    missing.map(({ privilege, path }) => `${privilege} on ${path}`),
  );
  if (!backups.isComplete) {
    const rights = [...new Set(hidden)].join(', ');
    const why = rights === '' ? 'not every storage for backups can be read' : `the API token lacks ${rights}`;
    return finding('Guests without a backup', 'unknown', `No backup is known of ${named}, but ${why}.`, {
      remedy:
        rights === ''
          ? 'Bring the storage back that is named beside, or take it out of the definition.'
          : 'Give it a role with them, or configure SSH for this host, which needs none.',
    });
  }
  const where = backups.storages.length === 0 ? ' No storage of this node is there for backups.' : '';
  return finding('Guests without a backup', 'warning', `There is no backup of ${named}.${where}`, {
    remedy: `Set up a backup job under Datacenter > Backup, or back one up now on the host: vzdump ${guests[0]?.vmid}`,
  });
}

/** At most ten names, and how many more there are. */
function namesOf(names: readonly string[]): string {
  const shown = names.slice(0, 10).join(', ');
  return names.length > 10 ? `${shown} and ${names.length - 10} more` : shown;
}

/** Storages for backups whose archives can't be told, of those that should be there. */
function judgeStorages({ storages }: Pick<GuestBackups, 'storages'>): readonly Finding[] {
  return storages.flatMap(({ storage, state, why }) =>
    state === 'not-read'
      ? [finding(`Backups in ${storage}`, 'unknown', `The archives in ${storage} can't be listed.`, { evidence: why })]
      : [],
  );
}

/** The newest backup task of each kind, where it failed and nothing newer has made up for it. */
export function judgeTasks(
  tasks: readonly ProxmoxTask[],
  { archives }: Pick<GuestBackups, 'archives'>,
  { timeZone, now }: Context,
): readonly Finding[] {
  const ended = tasks
    .filter(({ type, endtime, status }) => type === 'vzdump' && endtime !== undefined && status !== undefined)
    .toSorted((a, b) => b.starttime - a.starttime);
  const newest = [...new Map(ended.toReversed().map((task) => [task.id, task])).values()];
  return newest.flatMap((task) => {
    const { id, starttime, status = '' } = task;
    const isWell = status === 'OK' || status.startsWith('WARNINGS');
    const isOld = now - starttime * 1000 > weeklyBackupFailedHours * hour;
    const later = archives.some(({ vmid, takenAt }) => String(vmid) === id && Date.parse(takenAt) > starttime * 1000);
    const laterJob = ended.some((one) => one.id === '' && one.starttime > starttime && one.status === 'OK');
    if (isWell || isOld || later || (id !== '' && laterJob)) return [];
    const what =
      id === '' ? 'The last backup job of several guests' : `The last backup task of guest ${cleanLine(id, 20)}`;
    const when = readableTime(new Date(starttime * 1000).toISOString(), timeZone);
    const summary = `${what} failed (${when}): ${cleanLine(status, 150)}.`;
    const remedy = `Read its log under the node's task history, or on the host: pvesh get /nodes/${cleanLine(task.node, 63)}/tasks/${cleanLine(task.upid, 200)}/log`;
    return [finding('Backup job', 'failed', summary, { remedy })];
  });
}

/** When tasks say that guests were backed up, in ms since 1970. */
async function toldByTasks(reader: ProxmoxReader, tasks: readonly ProxmoxTask[]): Promise<ReadonlyMap<number, number>> {
  const told = new Map<number, number>();
  const note = (vmid: number, { starttime }: ProxmoxTask) =>
    told.set(vmid, Math.max(told.get(vmid) ?? 0, starttime * 1000));
  const ended = tasks.filter(({ endtime }) => endtime !== undefined);
  for (const task of ended) {
    if (/^\d+$/.test(task.id) && (task.status === 'OK' || task.status?.startsWith('WARNINGS')))
      note(Number(task.id), task);
  }
  const ofSeveral = ended.filter(({ id }) => id === '').slice(0, logsRead);
  const logs = await Promise.all(ofSeveral.map((task) => reader.read('task-log', task.upid).catch(unlessAsked)));
  for (const [index, log] of logs.entries()) {
    const task = ofSeveral[index];
    for (const { t } of log) {
      const vmid = /^INFO: Finished Backup of VM (\d{3,9}) /.exec(t)?.[1];
      if (vmid !== undefined && task !== undefined) note(Number(vmid), task);
    }
  }
  return told;
}
