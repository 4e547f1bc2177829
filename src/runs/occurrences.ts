import { type CalendarSpec, MONTHS, type Month } from '@temporalio/client';
import { clockChanges, fromWall, offsetOf } from '../clock-changes.ts';
import { parseCron } from './cron.ts';
import { isHourly, matchesDay } from './schedule-times.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** How far ahead times are looked for: a leap day comes within eight years. */
const aheadMs = 9 * 366 * dayMs;

/**
 * The moments (ms) at which a cron expression fires in a time zone, each once and in their order, from `from` on: by the
 * same rule as `scheduleTimes` for the nights when clocks change.
 *
 * @param until before that; default: nine years on
 */
export function* occurrences(
  text: string,
  timeZone: string,
  from: number,
  until = from + aheadMs,
): Generator<number, undefined> {
  const cron = parseCron(text);
  const offset = offsetOf(timeZone);
  if (isHourly(cron)) {
    const shift = offset(from);
    for (let hour = Math.floor((from + shift) / hourMs) * hourMs - shift; hour < until; hour += hourMs) {
      for (const minute of cron.minutes) {
        const time = hour + minute * minuteMs;
        if (time >= from && time < until) yield time;
      }
    }
    return;
  }
  const changes = clockChanges(timeZone, from - 8 * dayMs, until + 8 * dayMs);
  const times = cron.hours.flatMap((hour) => cron.minutes.map((minute) => hour * hourMs + minute * minuteMs));
  let last = Number.NEGATIVE_INFINITY;
  for (let day = Math.floor(from / dayMs) * dayMs - 2 * dayMs; day < until + 2 * dayMs; day += dayMs) {
    if (!matchesDay(cron, day)) continue;
    for (const time of times) {
      const wall = day + time;
      const change = changes.find((one) => wall >= one.from && wall < one.to);
      const moment = fromWall(change?.to ?? wall, offset);
      if (moment < from || moment >= until || moment <= last) continue;
      last = moment;
      yield moment;
    }
  }
}

/** The least time between two of some moments; infinite for fewer than two. */
export function shortestGap(moments: readonly number[]): number {
  return moments.slice(1).reduce((least, moment, at) => Math.min(least, moment - (moments[at] ?? 0)), Infinity);
}

/** Exactly these moments, to the second, as Temporal is told of them in UTC; those alike in one calendar. */
export function calendarsOf(moments: readonly number[]): CalendarSpec[] {
  const days = grouped(
    moments.map((moment) => new Date(moment)),
    (date) => [
      date.getUTCFullYear(),
      date.getUTCMonth(),
      date.getUTCHours(),
      date.getUTCMinutes(),
      date.getUTCSeconds(),
    ],
  );
  const alike = grouped(
    days.map(([key, dates]) => ({ key, dayOfMonth: [...new Set(dates.map((date) => date.getUTCDate()))] })),
    ({ key: [year, month, , minute, second], dayOfMonth }) => [year, month, minute, second, ...dayOfMonth],
  );
  return alike.map(([, same]) => {
    const [
      {
        key: [year = 0, month = 0, , minute = 0, second = 0],
        dayOfMonth,
      },
    ] = same as [(typeof same)[number]];
    const hour = same.map(({ key }) => key[2] ?? 0);
    return { year, month: MONTHS[month] as Month, dayOfMonth, hour, minute, second };
  });
}

function grouped<T>(items: readonly T[], keyOf: (item: T) => readonly (number | undefined)[]): [number[], T[]][] {
  const groups = new Map<string, [number[], T[]]>();
  for (const item of items) {
    const key = keyOf(item).map((part) => part ?? 0);
    const group = groups.get(key.join());
    if (group === undefined) groups.set(key.join(), [key, [item]]);
    else group[1].push(item);
  }
  return [...groups.values()];
}
