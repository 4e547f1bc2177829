import { describe, expect, it } from 'vitest';
import { readableTime, relativeTime } from '../../src/reports/units.ts';

describe('times for people', () => {
  it.each([
    ['UTC', '2026-11-22 08:00:03 UTC'],
    ['Europe/Berlin', '2026-11-22 09:00:03 CET'],
    ['America/New_York', '2026-11-22 03:00:03 GMT-5'],
    ['No/Where', '2026-11-22 08:00:03 UTC'],
  ])('are those of the clock in %s', (zone, shown) => {
    expect(readableTime('2026-11-22T08:00:03.120Z', zone)).toBe(shown);
  });

  it('are left as they are where they are none', () => {
    expect(readableTime('yesterday', 'Europe/Berlin')).toBe('yesterday');
  });

  it('are told from now, both ways', () => {
    const now = Date.parse('2026-11-22T10:00:00Z');
    expect(relativeTime('2026-11-22T07:50:00Z', now)).toBe('2 h 10 min ago');
    expect(relativeTime('2026-11-22T10:00:12Z', now)).toBe('in 12 s');
  });
});
