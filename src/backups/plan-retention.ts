import { type BackupKind, backupKinds, kindOfBackup, takenAt } from '../operations/backup-id.ts';
import { type Keep, keepText, markBackups } from './retention.ts';

// What is removed of the backups of a host, in one place where they lie: its own backup folder, or copies of them elsewhere.
// Proxmox's rules say what is not needed any more; what stands here is why it stays nevertheless.

/** A backup that is there. */
export interface KeptBackup {
  readonly id: string;
  readonly bytes: number;
  /** `verified`: read back whole, and as it was then. Nothing else counts. */
  readonly state: 'verified' | 'doubted' | 'changed' | 'unsealed' | 'unproven';
  /** ISO 8601: when the file was last written. */
  readonly writtenAt: string;
  /** ISO 8601: when it was published. Absent where nobody recorded that. */
  readonly publishedAt?: string;
  /** Somebody said that it stays. */
  readonly isProtected?: boolean;
  /** ISO 8601: when it was last restored, and what was restored worked. */
  readonly provenAt?: string;
}

/** All of one place. */
export interface KeptBackups {
  /** ISO 8601: the clock of who recorded the times. */
  readonly now: string;
  readonly backups: readonly KeptBackup[];
  /** Ids of those that were published and are gone, though nobody's retention has removed them. */
  readonly gone: readonly string[];
}

/** How many of each kind. */
export type KeepOfKinds = Readonly<Record<BackupKind, Keep>>;

/** The guide's. */
export const defaultKeep: KeepOfKinds = {
  daily: { 'keep-daily': 7 },
  full: { 'keep-last': 8 },
  monthly: { 'keep-last': 12 },
};

export interface RetentionPlan {
  /** Ids, oldest first. */
  readonly remove: readonly string[];
  /** Ids with the reason, oldest first. */
  readonly keep: readonly { readonly id: string; readonly why: string }[];
  /** Why something stays although it is old enough: what is there doesn't look as it should. */
  readonly refused?: string;
}

/** No younger one goes, whatever the rules say. The host refuses it too, by its own clock. */
export const keepDays = 7;
/**
 * So many of the last good ones of each kind stay however old they are; and nothing goes that not so many are newer than,
 * each of another day, so that a flood of new ones pushes nothing out. The host refuses to remove them, too.
 */
export const keepGood = 3;
/** So many go at most in one run, so that a clock or a rule that is wrong once can't cost a whole history. */
export const atOnce = 2;
/** More of a kind on one day are no one's schedule, unless hours are kept. */
const manyOfADay = 10;
/** How far the clocks of who keeps them and of this service may differ, ms. */
const toleranceMs = 5 * 60_000;

const dayMs = 86_400_000;

/**
 * Which backups are to go: what the rules of its kind don't keep, and nothing here holds back. What counts is what was
 * verified; what is doubted goes when it is old and good ones are newer. Nothing of a kind goes where its clocks, number,
 * sizes or newest ones look wrong; nothing at all where that is about all of them.
 *
 * @param now - the service's clock
 * @param timeZone - whose days and weeks the rules mean: the host's
 */
export function planRetention(
  all: KeptBackups,
  { keep, timeZone, now }: { readonly keep: KeepOfKinds; readonly timeZone: string; readonly now: Date },
): RetentionPlan {
  const kinds = backupKinds.map((kind) => planKind(kind, all, keep[kind], timeZone));
  const wrong = whatLooksWrong(all, now);
  const refused = kinds.flatMap(({ kind, due, looksWrong }) => {
    const why = wrong ?? looksWrong;
    return due.length === 0 || why === undefined ? [] : [{ kind, why }];
  });
  const old = inOrder(kinds.flatMap((one) => one.due));
  const due = old.filter(({ id }) => !refused.some(({ kind }) => kind === kindOfBackup(id)));
  const remove = due.slice(0, atOnce);
  const left = old
    .filter((one) => !remove.includes(one))
    .map((one) => ({
      id: one.id,
      why: due.includes(one) ? `it goes next time: at most ${atOnce} go at once` : 'nothing goes now',
    }));
  return {
    remove: remove.map(({ id }) => id),
    keep: [...left, ...kinds.flatMap((one) => one.keep).sort((a, b) => takenAt(a.id) - takenAt(b.id))],
    ...(refused.length > 0 && { refused: [...new Set(refused.map(({ why }) => why))].join('; ') }),
  };
}

interface KindPlan {
  readonly kind: BackupKind;
  readonly due: readonly KeptBackup[];
  readonly keep: RetentionPlan['keep'];
  readonly looksWrong: string | undefined;
}

function planKind(kind: BackupKind, all: KeptBackups, keep: Keep, timeZone: string): KindPlan {
  const ours = inOrder(all.backups.filter(({ id }) => kindOfBackup(id) === kind));
  const good = ours.filter(({ state }) => state === 'verified').reverse();
  const proven = ours
    .filter(({ provenAt }) => provenAt !== undefined)
    .sort((a, b) => (a.provenAt ?? '').localeCompare(b.provenAt ?? ''))
    .at(-1);
  // What doesn't count takes nothing's place.
  const marks = markBackups(
    good.map(({ id, isProtected = false }) => ({ time: takenAt(id), isProtected })),
    keep,
    timeZone,
  );
  const ruleOf = new Map(good.map((backup, index) => [backup, marks[index]]));
  const times = good.map(timeOf);
  const due: KeptBackup[] = [];
  const kept: { id: string; why: string }[] = [];
  for (const backup of ours) {
    const mark = ruleOf.get(backup);
    const why =
      (backup.isProtected ? 'it is protected' : undefined) ??
      (mark?.mark === 'keep' ? (mark.rule ?? keepText(keep)) : undefined) ??
      (backup === proven ? 'it is the last one that was restored to prove it' : undefined) ??
      reasonToKeep(backup, good.indexOf(backup), times, Date.parse(all.now));
    if (why === undefined) due.push(backup);
    else kept.push({ id: backup.id, why });
  }
  return {
    kind,
    due,
    keep: kept,
    looksWrong: whatLooksWrongOf(kind, ours, good, all, (keep['keep-hourly'] ?? 0) > 0),
  };
}

/**
 * @param place among the good ones, the newest first; -1: it is none
 * @param times of the good ones
 */
function reasonToKeep(backup: KeptBackup, place: number, times: readonly number[], now: number): string | undefined {
  if (backup.state === 'unproven') return 'there is no record of it: who made it decides about it';
  if (times.length === 0) return 'there is no verified one yet';
  if (place >= 0 && place < keepGood) return `it is one of the last ${keepGood} verified ones`;
  const youngest = Math.max(timeOf(backup), takenAt(backup.id), Date.parse(backup.writtenAt) || 0);
  if (now - youngest < keepDays * dayMs) return `it is younger than ${keepDays} days`;
  const days = new Set<number>();
  for (const time of times) {
    if (time <= youngest) break;
    days.add(Math.floor(time / dayMs));
    if (days.size >= keepGood) return undefined;
  }
  return `verified ones of fewer than ${keepGood} days are newer`;
}

/** When it was published; of one without a record, what its name or its file says, whichever is later. */
function timeOf({ id, writtenAt, publishedAt }: KeptBackup): number {
  return publishedAt === undefined ? Math.max(takenAt(id), Date.parse(writtenAt) || 0) : Date.parse(publishedAt);
}

/** The oldest first; each time is read once, for there may be many. */
function inOrder(backups: readonly KeptBackup[]): readonly KeptBackup[] {
  return backups
    .map((backup) => ({ backup, time: timeOf(backup) }))
    .sort((a, b) => a.time - b.time)
    .map(({ backup }) => backup);
}

const names = (backups: readonly KeptBackup[]) => backups.map(({ id }) => id).join(', ');

/** What is about all of them. */
function whatLooksWrong({ now: theirs, backups }: KeptBackups, now: Date): string | undefined {
  const clock = Date.parse(theirs);
  if (!(Math.abs(clock - now.getTime()) <= toleranceMs))
    return `the clock of the host says ${theirs}, and that of this service ${now.toISOString()}`;
  const ours = backups.filter(({ id }) => kindOfBackup(id) !== undefined);
  const future = ours.filter((one) => Math.max(timeOf(one), takenAt(one.id)) > clock + toleranceMs);
  if (future.length > 0) return `by the host's clock these are of the future: ${names(future)}`;
  const changed = ours.filter(({ state }) => state === 'changed' || state === 'unsealed');
  if (changed.length > 0) return `these are not what was published any more: ${names(changed)}`;
  return undefined;
}

/** What is about those of a kind. */
function whatLooksWrongOf(
  kind: BackupKind,
  ours: readonly KeptBackup[],
  good: readonly KeptBackup[],
  { now: clock, gone }: KeptBackups,
  keepsHours: boolean,
): string | undefined {
  const now = Date.parse(clock);
  const missing = gone.filter((id) => kindOfBackup(id) === kind);
  if (missing.length > ours.length)
    return `${missing.length} ${kind} backups that were published are gone, and ${ours.length} are there`;
  // What is older is no flood that goes on; and it could never go, were it counted.
  const [day = '', made = 0] = busiestDay(ours.filter((one) => now - timeOf(one) < keepDays * dayMs));
  if (made > manyOfADay && !keepsHours) return `${made} ${kind} backups were made on ${day}`;
  const last = ours.filter(({ publishedAt }) => publishedAt !== undefined).at(-1);
  if (last?.state === 'doubted') return `the last archive, ${last.id}, holds less than the one before`;
  const [newest, ...others] = good;
  const usual = median(others.map(({ bytes }) => bytes));
  if (newest !== undefined && usual !== undefined && newest.bytes * 2 < usual)
    return `the last archive, ${newest.id}, has ${newest.bytes} bytes, less than half of what is usual (${usual})`;
  return undefined;
}

/** The day (UTC) on which most of them were published, and how many. */
function busiestDay(backups: readonly KeptBackup[]): readonly [day: string, count: number] | readonly [] {
  const counts = new Map<string, number>();
  for (const { publishedAt } of backups) {
    const day = publishedAt?.slice(0, 10);
    if (day !== undefined) counts.set(day, (counts.get(day) ?? 0) + 1);
  }
  return [...counts].sort(([, one], [, other]) => other - one)[0] ?? [];
}

function median(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}
