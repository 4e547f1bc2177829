import type { Archive, Backups } from '../../hosts/commands/back-up/archives.ts';
import { clockToleranceMs } from '../../hosts/commands/back-up/last-good.ts';
import { isBackupId, takenAt } from '../../operations/backup-id.ts';

export interface RetentionPlan {
  /** Ids, oldest first. */
  readonly remove: readonly string[];
  /** Ids with the reason, oldest first. */
  readonly keep: readonly { readonly id: string; readonly why: string }[];
  /** Why nothing is removed although something is old enough: what is there doesn't look as it should. */
  readonly refused?: string;
}

/** The guide's. The host refuses to remove a younger one, by its own clock. */
export const keepDays = 7;
/** So many of the last good archives stay however old they are. The host refuses to remove them. */
export const keepGood = 3;
/** So many go at most in one run, so that a clock or a rule that is wrong once can't cost a whole history. */
export const atOnce = 2;

const dayMs = 86_400_000;

/**
 * Which archives are to go. What counts is what the host itself has verified (`verified`), in the order in which it
 * published it. Kept are: the last {@link keepGood} that count; what is younger than {@link keepDays} by its name, its
 * file or its record, whichever is latest; what fewer than {@link keepGood} that count are newer than; what the host has no
 * record of, which may be another host's that shares the folder.
 * Nothing goes at all where the clocks, the sizes or the archives themselves look wrong.
 *
 * @param now - the service's clock
 */
export function planRetention(backups: Backups, now: Date): RetentionPlan {
  const ours = backups.archives.filter(({ id }) => isBackupId(id)).sort((a, b) => timeOf(a) - timeOf(b));
  const good = ours.filter(({ state }) => state === 'verified').reverse();
  const due: string[] = [];
  const keep: { id: string; why: string }[] = [];
  for (const archive of ours) {
    const why = reasonToKeep(archive, good, Date.parse(backups.now));
    if (why === undefined) due.push(archive.id);
    else keep.push({ id: archive.id, why });
  }
  const refused = due.length === 0 ? undefined : whatLooksWrong(backups, ours, good, now);
  const remove = refused === undefined ? due.slice(0, atOnce) : [];
  const left = due.slice(remove.length).map((id) => ({
    id,
    why: refused === undefined ? `it goes next time: at most ${atOnce} go at once` : 'nothing goes now',
  }));
  return { remove, keep: [...left, ...keep], ...(refused !== undefined && { refused }) };
}

/** When it was published; of one without a record, what its name or its file says, whichever is later. */
function timeOf({ id, writtenAt, publishedAt }: Archive): number {
  return publishedAt === undefined ? Math.max(takenAt(id), Date.parse(writtenAt) || 0) : Date.parse(publishedAt);
}

function reasonToKeep(archive: Archive, good: readonly Archive[], now: number): string | undefined {
  if (archive.state === 'unproven') return 'the host has no record of it: who made it decides about it';
  if (good.length === 0) return 'there is no verified archive yet';
  if (good.slice(0, keepGood).includes(archive)) return `it is one of the last ${keepGood} verified archives`;
  const youngest = Math.max(timeOf(archive), takenAt(archive.id), Date.parse(archive.writtenAt) || 0);
  if (now - youngest < keepDays * dayMs) return `it is younger than ${keepDays} days`;
  if (good.filter((one) => timeOf(one) > youngest).length < keepGood)
    return `fewer than ${keepGood} verified archives are newer`;
  return undefined;
}

function whatLooksWrong(
  { now: hostNow }: Backups,
  ours: readonly Archive[],
  good: readonly Archive[],
  now: Date,
): string | undefined {
  const host = Date.parse(hostNow);
  const names = (archives: readonly Archive[]) => archives.map(({ id }) => id).join(', ');
  if (Math.abs(host - now.getTime()) > clockToleranceMs)
    return `the clock of the host says ${hostNow}, and that of this service ${now.toISOString()}`;
  const future = ours.filter((one) => Math.max(timeOf(one), takenAt(one.id)) > host + clockToleranceMs);
  if (future.length > 0) return `by the host's clock these are of the future: ${names(future)}`;
  const changed = ours.filter(({ state }) => state === 'changed');
  if (changed.length > 0) return `these are not what was published any more: ${names(changed)}`;
  const last = ours.filter(({ publishedAt }) => publishedAt !== undefined).at(-1);
  if (last?.state === 'doubted') return `the last archive, ${last.id}, holds less than the one before`;
  const [newest, ...others] = good;
  const usual = median(others.map(({ bytes }) => bytes));
  if (newest !== undefined && usual !== undefined && newest.bytes * 2 < usual)
    return `the last archive, ${newest.id}, has ${newest.bytes} bytes, less than half of what is usual (${usual})`;
  return undefined;
}

function median(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}
