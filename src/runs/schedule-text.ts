import { readableTime, relativeTime } from '../reports/units.ts';
import type { ScheduleSummary } from './schedules.ts';

/**
 * When a schedule runs next, by its host's clock, who has to approve that until when, and what has to be so then: in
 * sentences, for people and models alike.
 */
export function scheduleText(one: ScheduleSummary): string {
  const parts = [nextOf(one), ...(one.paused ? [] : waitsFor(one))];
  const name = `${one.id}: ${one.cron}${one.own?.at === undefined ? ` (${one.timeZone})` : ''}`;
  const clock = one.clockChange === undefined ? [] : [`Where the clock changes: ${one.clockChange}.`];
  const made = one.own === undefined ? [] : [`Made by ${one.own.madeBy}.`];
  const note = one.note ? [`Note: ${one.note}`] : [];
  return `${name}. ${[...parts, ...clock, ...made, ...note].join(' ')}`;
}

/** What has to come before its next run acts; empty for what runs just so. */
export function waitsFor({ own, target, timeZone }: ScheduleSummary): readonly string[] {
  if (own === undefined) return [];
  return [...approvalOf(own, timeZone), ...conditionOf(own, target)];
}

/** By the clock of its own time zone. */
export function nextRun({ nextRuns: [next], timeZone, own }: ScheduleSummary): string {
  if (next !== undefined) return `${readableTime(next, timeZone)}, ${relativeTime(next)}`;
  return own?.isDone ? 'done' : 'never';
}

function nextOf(one: ScheduleSummary): string {
  if (one.paused) return 'It is paused.';
  if (one.own?.isDone) return 'Its time has come, and it does not run again.';
  return one.nextRuns[0] === undefined ? 'It never runs: the calendar has no such day.' : `Runs next ${nextRun(one)}.`;
}

function approvalOf({ approval }: NonNullable<ScheduleSummary['own']>, timeZone: string): readonly string[] {
  if (approval?.asksAt === undefined || approval.until === undefined) return [];
  const { count, approvers, asksAt, until, why } = approval;
  const [from, to] = [readableTime(asksAt, timeZone), readableTime(until, timeZone)];
  const asks = Date.parse(asksAt) > Date.now() ? `From ${from} on it asks` : 'It asks';
  return [`${asks} for an approval: ${count} of ${approvers.join(', ')} until ${to}, else it is not done. ${why}`];
}

function conditionOf({ condition, at }: NonNullable<ScheduleSummary['own']>, target: string): readonly string[] {
  if (condition === undefined) return [];
  const host = target.split('/')[0];
  const says = condition === 'healthy' ? 'says ok' : 'finds no failure';
  return [
    `Right before, the health of ${host} is checked: it is done only if that ${says}${at === undefined ? ', else at its next time' : ', else not at all'}.`,
  ];
}
