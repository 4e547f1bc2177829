import { expect, it } from 'vitest';
import { canonicalTimeZone, nearestTimeZone } from '../../src/time-zone.ts';

it.each([
  ['Europe/Berlin', 'Europe/Berlin'],
  ['europe/berlin', 'Europe/Berlin'],
  ['AMERICA/NEW_YORK', 'America/New_York'],
  ['utc', 'UTC'],
  ['Etc/UTC', 'UTC'],
  ['gmt', 'UTC'],
  ['us/eastern', 'America/New_York'],
  ['europe/kyiv', 'Europe/Kyiv'],
  ['Etc/GMT+5', 'Etc/GMT+5'],
  ['SystemV/PST8PDT', undefined],
  ['Mars/Phobos', undefined],
  ['+02:00', undefined],
  ['Local', undefined],
  ['', undefined],
])('%s is %s', (text, zone) => {
  expect(canonicalTimeZone(text)).toBe(zone);
});

it('leaves its own names as they are', () => {
  for (const name of Intl.supportedValuesOf('timeZone')) {
    const zone = canonicalTimeZone(name) ?? '';
    expect(canonicalTimeZone(zone)).toBe(zone);
    expect(canonicalTimeZone(name.toLowerCase())).toBe(zone);
  }
});

it.each([
  ['Europe/Berln', 'Europe/Berlin'],
  ['Europe/Viena', 'Europe/Vienna'],
  ['vienna', 'Europe/Vienna'],
  ['New York', 'America/New_York'],
  ['UTCC', 'UTC'],
  ['Eurpoe/Berlin', 'Europe/Berlin'],
  ['Europe/Zürich', 'Europe/Zurich'],
  ['America/Argentina/Buenos_Airs', 'America/Argentina/Buenos_Aires'],
  ['Europe/Wien', undefined],
  ['nowhere at all', undefined],
])('%s is nearest to %s', (text, zone) => {
  expect(nearestTimeZone(text)).toBe(zone);
});
