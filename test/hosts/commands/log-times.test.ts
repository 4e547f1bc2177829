import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type HostClock, readLogTime, readOffset } from '../../../src/hosts/commands/check-health/log-times.ts';

const utc = (iso: string) => Date.parse(iso) / 1000;
const clock = (now: string, offset = 0, earlierOffset = offset): HostClock => ({
  now: utc(now),
  offset,
  earlierOffset,
});
const hour = 3600;

describe('readLogTime', () => {
  it.each<[string, string, HostClock, string]>([
    ['classic syslog', 'Nov 22 23:00:01 pve1 sshd[1]: x', clock('2026-11-22T23:30:00Z'), '2026-11-22T23:00:01Z'],
    ['a day of one digit', 'Nov  2 03:00:01 pve1 sshd[1]: x', clock('2026-11-22T23:30:00Z'), '2026-11-02T03:00:01Z'],
    ['east of Greenwich', 'Nov 22 23:00:01 pve1 x', clock('2026-11-22T22:30:00Z', hour), '2026-11-22T22:00:01Z'],
    ['last year', 'Dec 31 23:59:59 pve1 x', clock('2027-01-01T00:10:00Z'), '2026-12-31T23:59:59Z'],
    [
      'last year, by the host clock',
      'Jan  1 00:10:00 pve1 x',
      clock('2026-12-31T23:30:00Z', hour),
      '2026-12-31T23:10:00Z',
    ],
    ['a leap day', 'Feb 29 12:00:00 pve1 x', clock('2028-03-01T00:00:00Z'), '2028-02-29T12:00:00Z'],
    ["sudo's own log", 'Nov 22 23:00:01 : claude-user : x', clock('2026-11-22T23:30:00Z'), '2026-11-22T23:00:01Z'],
    [
      "sudo's own log with log_year",
      'Nov 22 23:00:01 2025 : claude-user : x',
      clock('2026-11-22T23:30:00Z'),
      '2025-11-22T23:00:01Z',
    ],
    [
      'rsyslog since Debian 12',
      '2026-11-22T23:00:01.123456+05:30 pve1 x',
      clock('2026-11-22T23:30:00Z'),
      '2026-11-22T17:30:01Z',
    ],
    ['ISO in UTC', '2026-11-22T23:00:01Z pve1 x', clock('2026-11-22T23:30:00Z', hour), '2026-11-22T23:00:01Z'],
    ['ISO without a zone', '2026-11-22 23:00:01,5 x', clock('2026-11-22T23:30:00Z', hour), '2026-11-22T22:00:01Z'],
    [
      'journalctl short-unix',
      '1795388401.123456 pve1 x',
      clock('2026-11-22T23:30:00Z'),
      new Date(1795388401_000).toISOString(),
    ],
    [
      "sudo's JSON log",
      '{ "reject": { "server_time": { "seconds": 1795388401, "nanoseconds": 1',
      clock('2026-11-22T23:30:00Z'),
      new Date(1795388401_000).toISOString(),
    ],
    // Summer time ended at 01:00 UTC: 02:30 was twice. The later one counts, so that nothing is missed.
    [
      'the hour that is repeated',
      'Oct 25 02:30:00 pve1 x',
      clock('2026-10-25T08:00:00Z', hour, 2 * hour),
      '2026-10-25T01:30:00Z',
    ],
    ['before summer time began', 'Mar 29 01:30:00 pve1 x', clock('2026-03-29T00:40:00Z', hour), '2026-03-29T00:30:00Z'],
  ])('reads %s', (_what, line, host, expected) => {
    expect(new Date((readLogTime(line, host) ?? 0) * 1000).toISOString()).toBe(new Date(expected).toISOString());
  });

  it.each(['', 'command not allowed', 'Foo 22 23:00:01 x', '22/11/2026 23:00:01 x', '   wrapped ; TTY=x'])(
    'says that %j has none',
    (line) => {
      expect(readLogTime(line, clock('2026-11-22T23:30:00Z'))).toBeUndefined();
    },
  );

  it('finds every moment of the last 300 days again, in any zone, from a line without year and zone', () => {
    const moment = fc.integer({ min: 0, max: 300 * 86_400 });
    const offset = fc.integer({ min: -48, max: 56 }).map((quarters) => quarters * 900);
    const start = fc.integer({ min: utc('2026-01-01T00:00:00Z'), max: utc('2030-01-01T00:00:00Z') });
    fc.assert(
      fc.property(start, moment, offset, (now, ago, zone) => {
        const local = new Date((now - ago + zone) * 1000);
        const [, month, day, , time] =
          /^\w+ (\w+) (\d+) (\d+) ([\d:]+)/.exec(local.toUTCString().replace(/^(\w+), (\d+) (\w+)/, '$1 $3 $2')) ?? [];
        const line = `${month} ${String(Number(day)).padStart(2)} ${time} pve1 sshd[1]: x`;
        expect(readLogTime(line, { now, offset: zone, earlierOffset: zone })).toBe(now - ago);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('readOffset', () => {
  it.each([
    ['+0000', 0],
    ['+0530', 19_800],
    ['-03:30', -12_600],
    ['UTC', undefined],
  ])('%s is %s seconds', (text, seconds) => expect(readOffset(text)).toBe(seconds));
});
