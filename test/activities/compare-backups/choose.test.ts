import { expect, it } from 'vitest';
import { choose } from '../../../src/activities/compare-backups/choose.ts';
import type { Archive, Backups } from '../../../src/hosts/commands/back-up/archives.ts';

const now = '2026-11-27T12:00:00.000Z';
const archive = (day: string, more: Partial<Archive> = {}): Archive => ({
  id: `daily-backup-202611${day}-020000`,
  bytes: 1,
  writtenAt: `2026-11-${day}T02:01:00.000Z`,
  state: 'verified',
  sha256: 'a'.repeat(64),
  publishedAt: `2026-11-${day}T02:01:00.000Z`,
  checkedAt: `2026-11-${day}T02:01:00.000Z`,
  manifestSha256: 'b'.repeat(64),
  ...more,
});
const { manifestSha256: _, ...unsealed } = archive('26');
const all: Backups = {
  now,
  archives: [archive('23'), archive('24'), archive('25', { state: 'doubted' }), unsealed],
  gone: [],
  elsewhere: [],
  protected: [],
  proven: [],
  notUnderstood: 0,
};
const chosen = (wanted: object, found = all) => choose({ host: 'pve1', ...wanted }, found, 'Europe/Berlin');

it('compares the last good backup that has a manifest with the host now', () => {
  expect(chosen({})).toEqual({
    from: 'daily-backup-20261124-020000',
    fromAt: '2026-11-24T02:00:00.000Z',
    to: 'now',
    toAt: now,
  });
});

it('takes the last one before a moment, in the time of the host', () => {
  expect(chosen({ since: '2026-11-24' }).from).toBe('daily-backup-20261123-020000');
  // 02:00 UTC is 03:00 there.
  expect(chosen({ since: '2026-11-24 02:59' }).from).toBe('daily-backup-20261123-020000');
  expect(chosen({ since: '2026-11-24 03:00' }).from).toBe('daily-backup-20261124-020000');
  // The 27th is a Friday.
  expect(chosen({ since: 'Tuesday' }).from).toBe('daily-backup-20261123-020000');
  expect(chosen({ since: 'thursday' }).from).toBe('daily-backup-20261124-020000');
  expect(chosen({ since: 'friday' }).note).toBeDefined();
  expect(chosen({ since: '1d' }).from).toBe('daily-backup-20261124-020000');
  expect(chosen({ since: '30d' })).toMatchObject({
    from: 'daily-backup-20261123-020000',
    note: 'No good backup is as old as that; the oldest one is daily-backup-20261123-020000.',
  });
});

it('takes those that are named, the older one first', () => {
  expect(chosen({ from: 'daily-backup-20261123-020000', to: 'daily-backup-20261125-020000' })).toMatchObject({
    from: 'daily-backup-20261123-020000',
    to: 'daily-backup-20261125-020000',
    toAt: '2026-11-25T02:00:00.000Z',
  });
  expect(chosen({ to: 'daily-backup-20261124-020000' }).from).toBe('daily-backup-20261123-020000');
});

it.each([
  [{ since: '1d', from: 'daily-backup-20261123-020000' }, 'invalid-input'],
  [{ since: 'some day' }, 'invalid-input'],
  [{ from: 'daily-backup-20261124-020000', to: 'daily-backup-20261123-020000' }, 'invalid-input'],
  [{ from: 'daily-backup-20261101-020000' }, 'not-found'],
  [{ to: 'daily-backup-20261123-020000' }, 'not-found'],
])('refuses %j with a reason', (wanted, code) => {
  expect(() => chosen(wanted)).toThrow(expect.objectContaining({ code }));
});
