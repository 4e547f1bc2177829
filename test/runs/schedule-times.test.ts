import { expect, it } from 'vitest';
import { clockChanges } from '../../src/clock-changes.ts';
import { cronForm } from '../../src/runs/cron.ts';
import { operations } from '../../src/runs/find-operation.ts';
import { describeClockChange, scheduleTimes } from '../../src/runs/schedule-times.ts';

const year2027 = Date.UTC(2027, 0, 1);
const wall = (time: number) => new Date(time).toISOString().slice(0, 16);

it.each([
  ['Europe/Berlin', ['skipped 2027-03-28T02:00 2027-03-28T03:00', 'repeated 2027-10-31T02:00 2027-10-31T03:00']],
  ['Australia/Lord_Howe', ['repeated 2027-04-04T01:30 2027-04-04T02:00', 'skipped 2027-10-03T02:00 2027-10-03T02:30']],
  ['America/Santiago', ['repeated 2027-04-03T23:00 2027-04-04T00:00', 'skipped 2027-09-05T00:00 2027-09-05T01:00']],
  ['Asia/Kolkata', []],
])('knows the clock changes of %s', (zone, expected) => {
  const changes = clockChanges(zone, year2027, Date.UTC(2028, 0, 1));
  expect(changes.map(({ kind, from, to }) => `${kind} ${wall(from)} ${wall(to)}`)).toEqual(expected);
});

it('says what becomes of a time that a clock change touches, and nothing of one that none touches', () => {
  const now = new Date('2026-11-26T00:00:00Z');
  const said = (cron: string, zone: string, at = now) =>
    describeClockChange(scheduleTimes(cron, zone, at), at.getTime());
  expect(said('0 2 * * *', 'Europe/Berlin')).toBe('2027-03-28 03:00 instead of 02:00, which is skipped');
  expect(said('*/20 1-3 * * *', 'Europe/Berlin', new Date('2027-06-01T00:00:00Z'))).toBe(
    '2027-10-31 03:00 instead of 02:00, which comes twice',
  );
  expect(said('45 23 * * *', 'America/Santiago')).toBe('2027-04-04 00:00 instead of 23:45, which comes twice');
  expect(said('0 2 * * *', 'Asia/Kolkata')).toBeUndefined();
  expect(said('0 8 * * *', 'Europe/Berlin')).toBeUndefined();
  expect(said('0 * * * *', 'Europe/Berlin')).toBeUndefined();
});

it('is the same at every start of a year, so that nothing is changed for nothing', () => {
  const spec = (at: string) => scheduleTimes('0 2 * * *', 'Europe/Berlin', new Date(at)).spec;
  expect(spec('2027-01-01T00:00:00Z')).toEqual(spec('2027-12-31T23:59:59Z'));
});

it('takes a zone by the name that Temporal knows, or refuses it by name', () => {
  expect(scheduleTimes('0 2 * * *', 'europe/berlin').timeZone).toBe('Europe/Berlin');
  expect(scheduleTimes('0 2 * * *', 'utc').spec.timezone).toBe('UTC');
  expect(() => scheduleTimes('0 2 * * *', 'Europe/Berln')).toThrow('"Europe/Berln"; did you mean Europe/Berlin?');
});

it('no remedy suggests a time that a clock change touches', () => {
  const suggested = [...cronForm.matchAll(/"(\d[^"]*)"/g)].map(([, cron = '']) => cron);
  expect(suggested).not.toEqual([]);
  for (const zone of Intl.supportedValuesOf('timeZone')) {
    for (const cron of suggested) expect(scheduleTimes(cron, zone).changes, zone).toEqual([]);
  }
  // Of the catalogue the guide's own time alone.
  const touched = Object.values(operations).flatMap(({ name, schedules }) =>
    schedules
      .filter(({ cron }) => scheduleTimes(cron, 'Europe/Berlin').changes.length > 0)
      .map(({ id }) => `${name}/${id}`),
  );
  expect(touched).toEqual(['back-up/daily']);
});
