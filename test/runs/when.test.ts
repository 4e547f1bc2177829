import { describe, expect, it } from 'vitest';
import { cronOf, momentAhead } from '../../src/runs/when.ts';

// A Thursday, 13:00 in Berlin.
const now = Date.parse('2026-11-26T12:00:00Z');
const berlin = 'Europe/Berlin';
const at = (text: string, from = now, zone = berlin) => new Date(momentAhead(text, zone, from)).toISOString();

describe('a moment ahead', () => {
  it.each([
    ['2026-11-29 23:00', '2026-11-29T22:00:00.000Z'],
    ['2026-11-29T23:00:30', '2026-11-29T22:00:30.000Z'],
    ['2026-11-29T22:00:00Z', '2026-11-29T22:00:00.000Z'],
    ['2026-11-29T22:00:00.000Z', '2026-11-29T22:00:00.000Z'],
    ['2026-11-29 23:00 +02:00', '2026-11-29T21:00:00.000Z'],
    ['sun 23:00', '2026-11-29T22:00:00.000Z'],
    ['Sunday 23:00', '2026-11-29T22:00:00.000Z'],
    ['thu 14:00', '2026-11-26T13:00:00.000Z'],
    ['thu 12:00', '2026-12-03T11:00:00.000Z'],
    ['today 23:00', '2026-11-26T22:00:00.000Z'],
    ['tomorrow 2:00', '2026-11-27T01:00:00.000Z'],
    ['23:00', '2026-11-26T22:00:00.000Z'],
    ['02:00', '2026-11-27T01:00:00.000Z'],
    ['in 90m', '2026-11-26T13:30:00.000Z'],
    ['in 3d', '2026-11-29T12:00:00.000Z'],
  ])('%s', (text, moment) => expect(at(text)).toBe(moment));

  it('is a full minute, so that a repeat of the request means the same', () => {
    expect(at('in 2h', now - 59_000)).toBe(at('in 2h', now - 1_000));
  });

  it('comes once where the clock is changed: when the time that is skipped or comes twice is over', () => {
    const march = Date.parse('2027-03-27T12:00:00Z');
    expect(at('2027-03-28 02:30', march)).toBe('2027-03-28T01:00:00.000Z');
    expect(at('sun 02:30', march)).toBe('2027-03-28T01:00:00.000Z');
    const october = Date.parse('2027-10-30T12:00:00Z');
    expect(at('2027-10-31 02:30', october)).toBe('2027-10-31T02:00:00.000Z');
    // With a zone of its own it is that very moment.
    expect(at('2027-10-31 02:30 +02:00', october)).toBe('2027-10-31T00:30:00.000Z');
  });

  it.each([
    ['2026-11-25 23:00', /2026-11-25 23:00:00 CET is over: it is 2026-11-26 13:00:00 CET there now/],
    ['today 12:59', /is over/],
    ['2029-01-01 00:00', /more than a year ahead/],
    ['2027-02-30 10:00', /no time that can be understood/],
    ['soon', /no time that can be understood/],
    ['funday 10:00', /no time that can be understood/],
    ['24:00', /no time that can be understood/],
  ])('is refused with the reason: %s', (text, why) => {
    expect(() => momentAhead(text, berlin, now)).toThrow(
      expect.objectContaining({ code: 'invalid-input', message: expect.stringMatching(why), details: { field: 'at' } }),
    );
  });
});

describe('what repeats', () => {
  it.each([
    ['daily 02:00', '0 2 * * *'],
    ['weekdays 6:30', '30 6 * * 1-5'],
    ['weekends 23:05', '5 23 * * 0,6'],
    ['sun 23:00', '0 23 * * 0'],
    ['Mon,Thursday 04:00', '0 4 * * 1,4'],
    ['monthly 03:00', '0 3 1 * *'],
    ['monthly 15 03:00', '0 3 15 * *'],
    ['hourly', '0 * * * *'],
    ['0  23 * * SUN', '0 23 * * SUN'],
  ])('%s', (text, cron) => expect(cronOf(text)).toBe(cron));

  it.each(['nightly', 'daily', 'daily 25:00', 'monthly 31 03:00', 'sun,funday 23:00', '0 25 * * *', '* * * *'])(
    'is refused: %s',
    (text) => expect(() => cronOf(text)).toThrow(expect.objectContaining({ code: 'invalid-input' })),
  );
});
