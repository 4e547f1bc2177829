import { expect, it } from 'vitest';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import { canonicalTimeZone, nearestTimeZone, zoneOfTarget } from '../../src/time-zone.ts';

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

it.each([
  ['pve1', 'Europe/Berlin'],
  ['pve1/100', 'Europe/Berlin'],
  ['pve1,pve2', 'Europe/Berlin'],
  ['pve1, pve2/100', 'Europe/Berlin'],
  // Of several zones, none of which is right for all.
  ['pve1,far', 'UTC'],
  ['fleet', 'UTC'],
  ['service', 'UTC'],
  ['far', 'Asia/Tokyo'],
])('of %s is %s', (target, zone) => {
  const host = (name: string, timeZone: string) => ({ name, timeZone, layout: defaultLayout });
  const hosts = [host('pve1', 'Europe/Berlin'), host('pve2', 'Europe/Berlin'), host('far', 'Asia/Tokyo')];
  expect(zoneOfTarget({ hosts }, target)).toBe(zone);
  expect(zoneOfTarget({ hosts: hosts.slice(0, 2) }, 'fleet')).toBe('Europe/Berlin');
  expect(zoneOfTarget({ hosts: [] }, target)).toBe('UTC');
});
