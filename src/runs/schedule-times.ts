import { type CalendarSpec, MONTHS, type Month, type ScheduleSpec } from '@temporalio/client';
import { type ClockChange, clockChanges, offsetOf } from '../clock-changes.ts';
import { ServiceError } from '../errors.ts';
import { canonicalTimeZone, nearestTimeZone } from '../time-zone.ts';
import { type Cron, cronForm, parseCron } from './cron.ts';

/** A clock change that skips or repeats a time of a schedule. */
interface TouchedTime extends ClockChange {
  /** The first such time, as {@link ClockChange.from}. */
  readonly first: number;
}

/** When a schedule fires. */
export interface ScheduleTimes {
  /** What Temporal is told. */
  readonly spec: ScheduleSpec;
  /** The zone by the name that Temporal knows. */
  readonly timeZone: string;
  /** The clock changes of five years that matter to it, in their order. */
  readonly changes: readonly TouchedTime[];
}

/** For how many years the clock changes are told to Temporal; every start of the service tells them anew. */
const years = 5;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/**
 * A cron expression in a time zone, with the rule for the nights when its clock changes: what falls into the time that
 * is skipped or comes twice runs once, at the end of that time. Left to itself Temporal skips such a time or runs it
 * twice, differently from zone to zone. What runs in every hour of every day counts hours, not the clock.
 *
 * Throws `invalid-input` for a cron expression that can't be read and for a zone that there is not.
 */
export function scheduleTimes(text: string, zone: string, now = new Date()): ScheduleTimes {
  const cron = parseCron(text);
  const timeZone = canonicalTimeZone(zone);
  if (timeZone === undefined) throw noZone(zone);
  // The same all the year, so that a schedule isn't changed at every start.
  const from = Date.UTC(now.getUTCFullYear(), 0, 1);
  if (isHourly(cron)) return { spec: hourly(cron, offsetOf(timeZone)(from)), timeZone, changes: [] };
  const calendars: CalendarSpec[] = [];
  const skip: CalendarSpec[] = [];
  const changes: TouchedTime[] = [];
  for (const change of clockChanges(timeZone, from, Date.UTC(now.getUTCFullYear() + years, 0, 1))) {
    if (cron.weekdays.length < 7) {
      const day = dayWithoutMidnight(change);
      if (day !== undefined) {
        const times = { ...dateOf(day), hour: [...cron.hours], minute: [...cron.minutes] };
        (matchesDay(cron, day) ? calendars : skip).push(times);
      }
    }
    const first = minutesBetween(change.from, change.to).find((time) => matches(cron, time));
    if (first !== undefined) {
      changes.push({ ...change, first });
      calendars.push({ ...dateOf(change.to), hour: hourOf(change.to), minute: minuteOf(change.to) });
    }
    skip.push(...notDue(cron, change));
  }
  return { spec: { cronExpressions: [text], timezone: timeZone, calendars, skip }, timeZone, changes };
}

/** What the next clock change makes of a schedule, in words; undefined where none touches a time of it. */
export function describeClockChange({ changes }: ScheduleTimes, now = Date.now()): string | undefined {
  // Within a day of it, as the wall clock of the one and UTC are compared.
  const next = changes.find(({ to }) => to > now - dayMs);
  if (next === undefined) return undefined;
  const [at, first] = [next.to, next.first].map((time) => new Date(time).toISOString().slice(0, 16).replace('T', ' '));
  return `${at} instead of ${first?.slice(11)}, which ${next.kind === 'skipped' ? 'is skipped' : 'comes twice'}`;
}

function noZone(zone: string): ServiceError {
  const nearest = nearestTimeZone(zone);
  return new ServiceError({
    code: 'invalid-input',
    message: `There is no time zone "${zone}"${nearest === undefined ? '' : `; did you mean ${nearest}?`}`,
    remedy: cronForm,
    details: { field: 'timeZone' },
  });
}

/** Whether it runs in every hour of every day, and so counts hours and not the clock. */
export function isHourly({ hours, days, months: allMonths, weekdays }: Cron): boolean {
  return hours.length === 24 && days.length === 31 && allMonths.length === 12 && weekdays.length === 7;
}

/** Not every zone is whole hours from UTC. */
function hourly({ minutes }: Cron, offset: number): ScheduleSpec {
  const shift = offset / minuteMs;
  const minute = minutes.map((value) => (((value - shift) % 60) + 60) % 60).sort((a, b) => a - b);
  return { calendars: [{ hour: '*', minute }], timezone: 'UTC' };
}

/**
 * The day that begins with a gap, if there is one. Temporal takes the weekday of the day before for its own there (in
 * America/Santiago), and would leave out or add a weekly run: such a day's times are told by its date.
 */
function dayWithoutMidnight({ kind, from, to }: ClockChange): number | undefined {
  const day = Math.floor((to - 1) / dayMs) * dayMs;
  return kind === 'skipped' && from <= day ? day : undefined;
}

/**
 * What Temporal is to leave out around a change: the time that is skipped or comes twice, and in the hour after it what
 * isn't due then, because it counts an hour too far where an hour is repeated.
 */
function notDue(cron: Cron, { from, to }: ClockChange): CalendarSpec[] {
  const some = (start: number) => minutesBetween(start, to).some((time) => matches(cron, time));
  if (!some(from - hourMs)) return [];
  const isDue = (time: number) => time >= to && (matches(cron, time) || (time === to && some(from)));
  return byHour(minutesBetween(from, to + hourMs).filter((time) => !isDue(time)));
}

/** One calendar for each hour. */
function byHour(times: readonly number[]): CalendarSpec[] {
  const hours = new Map<number, number[]>();
  for (const time of times) {
    const hour = Math.floor(time / hourMs) * hourMs;
    hours.set(hour, [...(hours.get(hour) ?? []), minuteOf(time)]);
  }
  return [...hours].map(([hour, minute]) => ({ ...dateOf(hour), hour: hourOf(hour), minute: ranges(minute) }));
}

function ranges(values: readonly number[]): { start: number; end: number }[] {
  const found: { start: number; end: number }[] = [];
  for (const value of values) {
    const last = found.at(-1);
    if (last?.end === value - 1) last.end = value;
    else found.push({ start: value, end: value });
  }
  return found;
}

function minutesBetween(from: number, to: number): number[] {
  return Array.from({ length: (to - from) / minuteMs }, (_, index) => from + index * minuteMs);
}

function matches(cron: Cron, time: number): boolean {
  return matchesDay(cron, time) && cron.hours.includes(hourOf(time)) && cron.minutes.includes(minuteOf(time));
}

/** Whether a day, as a wall clock counts it, is one of the expression. */
export function matchesDay(cron: Cron, time: number): boolean {
  const date = new Date(time);
  return (
    cron.days.includes(date.getUTCDate()) &&
    cron.months.includes(date.getUTCMonth() + 1) &&
    cron.weekdays.includes(date.getUTCDay())
  );
}

function dateOf(time: number): { year: number; month: Month; dayOfMonth: number } {
  const date = new Date(time);
  const month = MONTHS[date.getUTCMonth()] as Month;
  return { year: date.getUTCFullYear(), month, dayOfMonth: date.getUTCDate() };
}

function hourOf(time: number): number {
  return new Date(time).getUTCHours();
}

function minuteOf(time: number): number {
  return new Date(time).getUTCMinutes();
}
