import { offsetOf } from '../clock-changes.ts';

// Which backups are to be kept, exactly as Proxmox VE and Proxmox Backup Server say it (`prune-backups`):
// https://pbs.proxmox.com/docs/maintenance.html#prune. test/backups/retention compares it with Proxmox's own code.

/** The rules in the order in which they are applied, from the shortest period to the longest. */
export const keepRules = [
  'keep-last',
  'keep-hourly',
  'keep-daily',
  'keep-weekly',
  'keep-monthly',
  'keep-yearly',
] as const;
export type KeepRule = (typeof keepRules)[number];

/** How many of each; a rule that is absent or 0 keeps nothing by itself. Where no rule keeps anything, all is kept. */
export type Keep = Readonly<Partial<Record<KeepRule, number>>>;

/** What a rule decides by. */
export interface Prunable {
  /** When it was made, in ms since 1970. Only whole seconds count. */
  readonly time: number;
  /** It stays, and no rule counts it. */
  readonly isProtected?: boolean;
}

/** What becomes of a backup, and by which rule it is kept. */
export type Mark =
  | { readonly mark: 'protected' | 'remove' }
  /** Without a rule: everything is kept. */
  | { readonly mark: 'keep'; readonly rule?: KeepRule };

/**
 * Of each backup of one group (one guest, one kind) what becomes of it, in the order in which they are given. Each rule
 * looks only at what the ones before it have neither kept nor covered: it keeps the newest backup of each of its last
 * periods, in which nothing is kept yet, and lets the others of those periods go.
 *
 * @param timeZone whose hours, days, weeks (ISO 8601), months and years they are
 */
export function markBackups(backups: readonly Prunable[], keep: Keep, timeZone: string): readonly Mark[] {
  const marks = backups.map(({ isProtected }): Mark | undefined => (isProtected ? { mark: 'protected' } : undefined));
  const rules = keepRules.filter((rule) => (keep[rule] ?? 0) > 0);
  if (rules.length === 0) return marks.map((mark) => mark ?? { mark: 'keep' });
  const offset = offsetOf(timeZone);
  const newestFirst = backups
    .map(({ time }, index) => ({ index, seconds: Math.floor(time / 1000), wall: new Date(time + offset(time)) }))
    // Of the same second the one that was named first stays first.
    .sort((a, b) => b.seconds - a.seconds);
  for (const rule of rules) {
    const periodOf = ({ seconds, wall }: (typeof newestFirst)[number]) =>
      rule === 'keep-last' ? String(seconds) : period(rule, wall);
    const covered = new Set(newestFirst.filter(({ index }) => marks[index]?.mark === 'keep').map(periodOf));
    const kept = new Set<string>();
    for (const one of newestFirst) {
      const its = periodOf(one);
      if (marks[one.index] !== undefined || covered.has(its)) continue;
      if (kept.has(its)) {
        marks[one.index] = { mark: 'remove' };
        continue;
      }
      if (kept.size >= (keep[rule] ?? 0)) break;
      kept.add(its);
      marks[one.index] = { mark: 'keep', rule };
    }
  }
  return marks.map((mark) => mark ?? { mark: 'remove' });
}

/** The period of a rule that a wall clock's time, written as if it were UTC's, lies in. */
function period(rule: Exclude<KeepRule, 'keep-last'>, wall: Date): string {
  switch (rule) {
    // In autumn an hour comes twice, and is one.
    case 'keep-hourly':
      return wall.toISOString().slice(0, 13);
    case 'keep-daily':
      return wall.toISOString().slice(0, 10);
    case 'keep-weekly':
      return isoWeek(wall);
    case 'keep-monthly':
      return wall.toISOString().slice(0, 7);
    case 'keep-yearly':
      return wall.toISOString().slice(0, 4);
  }
}

const dayMs = 86_400_000;

/** `2026-W53`: a week belongs to the year that its Thursday is in. */
function isoWeek(wall: Date): string {
  const weekday = (wall.getUTCDay() + 6) % 7;
  const thursday = new Date(wall.getTime() + (3 - weekday) * dayMs);
  const newYear = Date.UTC(thursday.getUTCFullYear(), 0, 1);
  return `${thursday.getUTCFullYear()}-W${Math.floor((thursday.getTime() - newYear) / (7 * dayMs)) + 1}`;
}

/** Reads Proxmox's own way to write it: `keep-last=3,keep-weekly=4`, or `keep-all=1`. Undefined where it isn't that. */
export function parseKeep(text: string): Keep | undefined {
  if (/^keep-all=(1|true|yes|on)$/.test(text)) return {};
  const keep: Partial<Record<KeepRule, number>> = {};
  for (const part of text.split(/\s*,\s*/)) {
    const [, name, count] = /^(keep-[a-z]+)=(\d{1,5})$/.exec(part) ?? [];
    const rule = keepRules.find((one) => one === name);
    if (rule === undefined || keep[rule] !== undefined) return undefined;
    keep[rule] = Number(count);
  }
  // Proxmox takes all zeros for "keep all"; who writes that most likely means the opposite.
  return Object.values(keep).some((count) => count > 0) ? keep : undefined;
}

/** `keep-last=3,keep-weekly=4` */
export function keepText(keep: Keep): string {
  const rules = keepRules.filter((rule) => (keep[rule] ?? 0) > 0);
  return rules.length === 0 ? 'keep-all=1' : rules.map((rule) => `${rule}=${keep[rule]}`).join(',');
}
