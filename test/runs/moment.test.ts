import { describe, expect, it } from 'vitest';
import { momentOf } from '../../src/moment.ts';

const now = Date.parse('2026-11-26T03:00:00.000Z');
const at = (text: string, zone = 'Europe/Berlin') => momentOf(text, 'since', zone, now);

describe('the moment that a person means', () => {
  it.each([
    ['90m', '2026-11-26T01:30:00.000Z'],
    ['24h', '2026-11-25T03:00:00.000Z'],
    ['7d', '2026-11-19T03:00:00.000Z'],
    ['2w', '2026-11-12T03:00:00.000Z'],
    ['now', '2026-11-26T03:00:00.000Z'],
    ['today', '2026-11-25T23:00:00.000Z'],
    ['yesterday', '2026-11-24T23:00:00.000Z'],
    // It is a Thursday: the last one is a week ago.
    ['wednesday', '2026-11-24T23:00:00.000Z'],
    ['Thursday', '2026-11-18T23:00:00.000Z'],
    ['friday', '2026-11-19T23:00:00.000Z'],
    ['2026-11-25', '2026-11-24T23:00:00.000Z'],
    ['2026-07-25 02:00', '2026-07-25T00:00:00.000Z'],
    ['2026-11-25T02:00:00Z', '2026-11-25T02:00:00.000Z'],
    ['2026-11-25T02:00:00-05:00', '2026-11-25T07:00:00.000Z'],
    // The clock goes back from 03:00 to 02:00: the first of the two.
    ['2026-10-25 02:30', '2026-10-25T00:30:00.000Z'],
  ])('%s', (text, moment) => {
    expect(at(text)).toBe(moment);
  });

  it('is that of the zone', () => {
    expect(at('today', 'America/New_York')).toBe('2026-11-25T05:00:00.000Z');
    expect(at('today', 'UTC')).toBe('2026-11-26T00:00:00.000Z');
  });

  it.each(['', 'last tuesday', '2026-02-30', '2026-11-25 25:00', '24', '1e5h', "x' OR 1=1"])('is not "%s"', (text) => {
    expect(() => at(text)).toThrow('since: it is no time that can be understood');
  });
});
