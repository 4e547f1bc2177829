import { describe, expect, it } from 'vitest';
import { calendarsOf, occurrences, shortestGap } from '../../src/runs/occurrences.ts';

const dayMs = 24 * 3_600_000;
const iso = (moments: readonly number[]) => moments.map((moment) => new Date(moment).toISOString().slice(0, 16));
const between = (cron: string, zone: string, from: string, until: string) => [
  ...occurrences(cron, zone, Date.parse(from), Date.parse(until)),
];

describe('the moments of a cron expression', () => {
  it('follow the clock of their zone, and come once where that changes', () => {
    const spring = between('30 2 * * *', 'Europe/Berlin', '2027-03-27T00:00Z', '2027-03-30T00:00Z');
    expect(iso(spring)).toEqual(['2027-03-27T01:30', '2027-03-28T01:00', '2027-03-29T00:30']);
    const autumn = between('30 2 * * *', 'Europe/Berlin', '2027-10-30T00:00Z', '2027-11-02T00:00Z');
    expect(iso(autumn)).toEqual(['2027-10-30T00:30', '2027-10-31T02:00', '2027-11-01T01:30']);
    const both = between('0,30 2 * * *', 'Europe/Berlin', '2027-10-30T12:00Z', '2027-10-31T12:00Z');
    expect(iso(both)).toEqual(['2027-10-31T02:00']);
  });

  it('hold weekdays, days of months and leap days', () => {
    expect(iso(between('0 23 * * 0', 'America/New_York', '2026-11-26T00:00Z', '2026-12-10T00:00Z'))).toEqual([
      '2026-11-30T04:00',
      '2026-12-07T04:00',
    ]);
    const [leap] = occurrences('0 0 29 2 *', 'UTC', Date.parse('2026-03-01T00:00Z'));
    expect(iso([leap ?? 0])).toEqual(['2028-02-29T00:00']);
    expect([...occurrences('0 0 30 2 *', 'UTC', Date.parse('2026-03-01T00:00Z'))]).toEqual([]);
  });

  it('count hours where they come in every hour', () => {
    const times = between('15 * * * *', 'Asia/Kolkata', '2027-03-28T00:00Z', '2027-03-28T03:00Z');
    expect(iso(times)).toEqual(['2027-03-28T00:45', '2027-03-28T01:45', '2027-03-28T02:45']);
  });

  it('have a shortest gap', () => {
    const times = between('0 2,4 * * *', 'UTC', '2026-01-01T00:00Z', '2026-01-05T00:00Z');
    expect(shortestGap(times)).toBe(2 * 3_600_000);
    expect(shortestGap([1])).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('calendars', () => {
  it('say exactly the moments, few of them for many', () => {
    const from = Date.parse('2026-01-01T00:00Z');
    const moments = [...occurrences('30 2,14 * * *', 'Europe/Berlin', from, from + 5 * 366 * dayMs)];
    const calendars = calendarsOf(moments);
    expect(moments.length).toBeGreaterThan(3_600);
    expect(calendars.length).toBeLessThan(150);
    const months = 'JANUARY FEBRUARY MARCH APRIL MAY JUNE JULY AUGUST SEPTEMBER OCTOBER NOVEMBER DECEMBER'.split(' ');
    const told = calendars.flatMap(({ year, month, dayOfMonth, hour, minute, second }) =>
      (dayOfMonth as number[]).flatMap((day) =>
        (hour as number[]).map((one) =>
          Date.UTC(Number(year), months.indexOf(String(month)), day, one, Number(minute), Number(second)),
        ),
      ),
    );
    expect(told.sort((a, b) => a - b)).toEqual(moments);
  });
});
