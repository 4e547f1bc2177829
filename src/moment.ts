import { fromWall, offsetOf } from './clock-changes.ts';
import { ServiceError } from './errors.ts';

const minuteMs = 60_000;
const unitMs = { m: minuteMs, h: 60 * minuteMs, d: 24 * 60 * minuteMs, w: 7 * 24 * 60 * minuteMs } as const;
const dayMs = unitMs.d;

const weekdays = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];

/** What {@link momentOf} takes, for a message or a schema's description. */
export const momentForm =
  'a time before now (90m, 24h, 7d, 2w), today, yesterday, a weekday (tuesday: the last one before today), a date (2026-11-25), or a date with a time (2026-11-25 02:00, 2026-11-25T02:00:00Z)';

/**
 * The moment that a person means, as ISO 8601: a duration before now, the beginning of a day, or a date with a time, which
 * without a zone of its own is that of `timeZone`. Throws `invalid-input`, naming `field`.
 */
export function momentOf(text: string, field: string, timeZone: string, now = Date.now()): string {
  const time = timeOf(text.trim(), timeZone, now);
  if (time !== undefined && !Number.isNaN(time)) return new Date(time).toISOString();
  throw new ServiceError({
    code: 'invalid-input',
    message: `${field}: it is no time that can be understood`,
    remedy: `Give ${momentForm}.`,
    details: { field },
  });
}

function timeOf(text: string, timeZone: string, now: number): number | undefined {
  const [, count, unit] = /^(\d{1,5})([mhdw])$/.exec(text) ?? [];
  if (count !== undefined) return now - Number(count) * unitMs[unit as keyof typeof unitMs];
  if (text === 'now') return now;
  const offset = offsetOf(timeZone);
  const today = Math.floor((now + offset(now)) / dayMs) * dayMs;
  if (text === 'today') return fromWall(today, offset);
  if (text === 'yesterday') return fromWall(today - dayMs, offset);
  const weekday = weekdays.indexOf(text.toLowerCase());
  if (weekday !== -1) {
    const days = ((new Date(today).getUTCDay() - weekday + 6) % 7) + 1;
    return fromWall(today - days * dayMs, offset);
  }
  const [, date, clock = '00:00', zone] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)\s?(Z|[+-]\d\d:\d\d)?)?$/.exec(text) ?? [];
  if (date === undefined) return undefined;
  const wall = Date.parse(`${date}T${clock}Z`);
  // `2026-02-30` would be taken for a day of March.
  if (Number.isNaN(wall) || new Date(wall).toISOString().slice(0, 10) !== date) return undefined;
  return zone === undefined ? fromWall(wall, offset) : Date.parse(`${date}T${clock}${zone}`);
}
