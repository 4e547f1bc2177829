import type { Keep } from '../../../src/backups/retention.ts';
import type { History } from './histories.ts';

/** Histories that people think of: each at a place where calendars are odd. */
export function oddHistories(): readonly History[] {
  const every = (from: string, hours: number, count: number) =>
    Array.from({ length: count }, (_, index) => String(Date.parse(from) / 1000 + index * hours * 3600));
  const history = (timeZone: string, keep: Keep, backups: readonly string[]): History => ({ timeZone, keep, backups });
  return [
    // Week 53 is one week in two years, and belongs to the first.
    history('UTC', { 'keep-weekly': 3 }, every('2020-12-20T02:00Z', 24, 24)),
    history('Europe/Berlin', { 'keep-weekly': 2, 'keep-yearly': 2 }, every('2026-12-25T22:30Z', 24, 14)),
    history('UTC', { 'keep-weekly': 4 }, every('2024-12-16T02:00Z', 24, 24)),
    // Leap days.
    history('UTC', { 'keep-daily': 3, 'keep-monthly': 2 }, every('2024-02-25T02:00Z', 12, 14)),
    history('Asia/Tokyo', { 'keep-daily': 3, 'keep-monthly': 2 }, every('2028-02-25T20:00Z', 12, 14)),
    // The hour that comes twice, the one that doesn't come, and the day that Samoa left out.
    history('Europe/Berlin', { 'keep-hourly': 4 }, every('2026-10-24T22:10Z', 0.5, 12)),
    history('Europe/Berlin', { 'keep-hourly': 4 }, every('2026-03-28T23:10Z', 0.5, 12)),
    history('Australia/Lord_Howe', { 'keep-hourly': 5 }, every('2026-04-04T13:00Z', 0.25, 20)),
    history('Pacific/Apia', { 'keep-daily': 4 }, every('2011-12-28T08:00Z', 12, 10)),
    // Nothing set, all zero, and what is protected takes no place.
    history('UTC', {}, every('2026-01-01T02:00Z', 24, 3)),
    history('UTC', { 'keep-last': 0, 'keep-daily': 0 }, every('2026-01-01T02:00Z', 24, 3)),
    history('UTC', { 'keep-last': 2 }, ['p1767232800', '1767232800', '1767232800', '1767319200', 'p1767405600']),
    // Rules go on where the ones before have ended.
    history(
      'UTC',
      { 'keep-last': 3, 'keep-daily': 13, 'keep-weekly': 8, 'keep-monthly': 11, 'keep-yearly': 9 },
      every('2024-01-01T02:00Z', 24, 800),
    ),
  ];
}
