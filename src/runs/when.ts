import { clockChanges, fromWall, offsetOf } from '../clock-changes.ts';
import { ServiceError } from '../errors.ts';
import { readableTime } from '../reports/units.ts';
import { parseCron } from './cron.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const unitMs = { m: minuteMs, h: hourMs, d: dayMs } as const;

/** How far ahead something may be scheduled once. */
const mostAheadMs = 366 * dayMs;

const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
const dayNames = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] as const;

/** What {@link momentAhead} takes. */
export const aheadForm =
  'a date with a time (2026-11-29 23:00, 2026-11-29T22:00:00Z), a weekday with one (sun 23:00), today or tomorrow with one, a time alone (23:00), or a time from now (in 90m, in 2h, in 3d)';

/** What {@link cronOf} takes. */
export const everyForm =
  'five fields (minute hour day month weekday: "0 23 * * 0"), or words: daily 02:00, weekdays 06:30, sun 23:00, mon,thu 04:00, monthly 1 03:00, hourly';

/**
 * The moment ahead that a person means, ms since the epoch: in `timeZone`, where it names no zone of its own. What falls
 * into time that a clock change skips or repeats is when that time is over, as with everything that is scheduled. Throws
 * `invalid-input`.
 */
export function momentAhead(text: string, timeZone: string, now = Date.now()): number {
  const moment = aheadOf(text.trim().toLowerCase(), timeZone, now);
  if (moment === undefined || Number.isNaN(moment)) {
    throw invalid('at', `"${text}" is no time that can be understood`, `Give ${aheadForm}.`);
  }
  const shown = readableTime(new Date(moment).toISOString(), timeZone);
  if (moment <= now) {
    const clock = readableTime(new Date(now).toISOString(), timeZone);
    throw invalid('at', `${shown} is over: it is ${clock} there now`, 'Give a time ahead.');
  }
  if (moment > now + mostAheadMs) {
    throw invalid('at', `${shown} is more than a year ahead`, 'Schedule it later, or give a cron expression.');
  }
  return moment;
}

function aheadOf(text: string, timeZone: string, now: number): number | undefined {
  const [, count, unit] = /^in (\d{1,4}) ?([mhd])$/.exec(text) ?? [];
  if (count !== undefined) {
    // Full minutes, so that the same request some seconds later means the same.
    return Math.ceil((now + Number(count) * unitMs[unit as keyof typeof unitMs]) / minuteMs) * minuteMs;
  }
  const offset = offsetOf(timeZone);
  const onDay = (day: number, clock: string) => atWall(day + clockMs(clock), timeZone, offset);
  const today = Math.floor((now + offset(now)) / dayMs) * dayMs;
  const [, word = '', clock] = /^(?:([a-z]+) )?([01]?\d:[0-5]\d|2[0-3]:[0-5]\d)$/.exec(text) ?? [];
  if (clock !== undefined) {
    if (word === 'today') return onDay(today, clock);
    if (word === 'tomorrow') return onDay(today + dayMs, clock);
    if (word === '')
      return firstAhead(
        [0, 1].map((more) => onDay(today + more * dayMs, clock)),
        now,
      );
    const weekday = weekdayOf(word);
    if (weekday === undefined) return undefined;
    const ahead = (weekday - new Date(today).getUTCDay() + 7) % 7;
    return firstAhead(
      [ahead, ahead + 7].map((more) => onDay(today + more * dayMs, clock)),
      now,
    );
  }
  const [, date, time, zone] =
    /^(\d{4}-\d\d-\d\d)[t ](\d\d:\d\d(?::\d\d)?)(?:\.\d{1,3})? ?(z|[+-]\d\d:\d\d)?$/.exec(text) ?? [];
  if (date === undefined) return undefined;
  const wall = Date.parse(`${date}T${time}Z`);
  // `2026-02-30` would be taken for a day of March.
  if (Number.isNaN(wall) || new Date(wall).toISOString().slice(0, 10) !== date) return undefined;
  return zone === undefined ? atWall(wall, timeZone, offset) : Date.parse(`${date}T${time}${zone.toUpperCase()}`);
}

function firstAhead(moments: readonly number[], now: number): number | undefined {
  return moments.find((moment) => moment > now);
}

function clockMs(clock: string): number {
  const [hours, minutes] = clock.split(':').map(Number);
  return (hours ?? 0) * hourMs + (minutes ?? 0) * minuteMs;
}

/** When a wall clock shows a time; of one that is skipped or comes twice: when that time is over. */
function atWall(wall: number, timeZone: string, offset: (time: number) => number): number {
  const change = clockChanges(timeZone, wall - 8 * dayMs, wall + 8 * dayMs).find(
    ({ from, to }) => wall >= from && wall < to,
  );
  return fromWall(change?.to ?? wall, offset);
}

/** The cron expression of what a person wrote: one, or a few words. Throws `invalid-input`. */
export function cronOf(text: string): string {
  const words = text.trim().toLowerCase().replace(/\s+/g, ' ');
  const cron = words.split(' ').length === 5 ? text.trim().replace(/\s+/g, ' ') : cronOfWords(words);
  if (cron === undefined) {
    throw invalid('every', `"${text}" is nothing that repeats and can be understood`, `Give ${everyForm}.`);
  }
  parseCron(cron);
  return cron;
}

function cronOfWords(text: string): string | undefined {
  if (text === 'hourly') return '0 * * * *';
  const [, what = '', day, hour, minute] = /^([a-z,]+)(?: (\d{1,2}))? ([01]?\d|2[0-3]):([0-5]\d)$/.exec(text) ?? [];
  if (hour === undefined) return undefined;
  const time = `${Number(minute)} ${Number(hour)}`;
  if (what === 'monthly') {
    const number = Number(day ?? 1);
    // Every month has it.
    return number >= 1 && number <= 28 ? `${time} ${number} * *` : undefined;
  }
  if (day !== undefined) return undefined;
  if (what === 'daily') return `${time} * * *`;
  if (what === 'weekdays') return `${time} * * 1-5`;
  if (what === 'weekends') return `${time} * * 0,6`;
  const numbers = what.split(',').map(weekdayOf);
  return numbers.includes(undefined) ? undefined : `${time} * * ${[...new Set(numbers)].sort().join(',')}`;
}

function weekdayOf(word: string): number | undefined {
  const found = days.findIndex((day, at) => word === day || word === dayNames[at]);
  return found === -1 ? undefined : found;
}

function invalid(field: string, what: string, remedy: string): ServiceError {
  return new ServiceError({
    code: 'invalid-input',
    message: `${field}: ${what}, and nothing was scheduled`,
    remedy,
    details: { field },
  });
}
