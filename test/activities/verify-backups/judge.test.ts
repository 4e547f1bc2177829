import { describe, expect, it } from 'vitest';
import { judgeDamaged } from '../../../src/activities/verify-backups/guests.ts';
import {
  judgeArchives,
  judgeRead,
  judgeSpot,
  judgeTurns,
  turns,
  whichToCompare,
  whichToRead,
} from '../../../src/activities/verify-backups/judge.ts';
import type { Archive, Backups } from '../../../src/hosts/commands/back-up/archives.ts';
import { type BackupKind, freeBackupId } from '../../../src/operations/backup-id.ts';
import type { Finding } from '../../../src/operations/finding.ts';

const dayMs = 86_400_000;
const now = Date.parse('2026-11-22T04:00:00Z');

function archive(daysOld: number, more: Partial<Archive> = {}, kind: BackupKind = 'daily'): Archive {
  const time = now - daysOld * dayMs;
  const at = new Date(time).toISOString();
  const sums = { sha256: 'a'.repeat(64), manifestSha256: 'b'.repeat(64) };
  return {
    id: freeBackupId(kind, time, []),
    bytes: 1000,
    writtenAt: at,
    publishedAt: at,
    state: 'verified',
    ...sums,
    ...more,
  };
}
const nights = (...all: readonly number[]) => all.map((old) => archive(old + 0.08));
const week = nights(0, 1, 2, 3, 4, 5, 6);

function judged(archives: readonly Archive[], more: Partial<Backups> = {}): readonly Finding[] {
  const none = { gone: [], elsewhere: [], protected: [], proven: [], notUnderstood: 0 };
  return judgeArchives(
    { now: new Date(now).toISOString(), archives: [...archives], ...none, ...more } as Backups,
    'pve1',
  );
}
const bad = (findings: readonly Finding[]) =>
  findings.filter(({ verdict }) => verdict !== 'ok').map(({ check, verdict }) => `${verdict}: ${check}`);

describe('what the list of archives hides behind success', () => {
  it('finds nothing where all is well', () => {
    const all = [...week, ...[0.1, 7, 14, 21].map((old) => archive(old, {}, 'full'))];
    expect(bad(judged(all))).toEqual([]);
  });

  const other = (at: number, more: Partial<Archive>) =>
    week.map((one, index) => (index === at ? { ...one, ...more } : one));
  it.each<[string, readonly Archive[], Partial<Backups>, readonly string[]]>([
    ['there is none', [], {}, ['failed: Archives']],
    [
      'none counts',
      other(0, { state: 'doubted' }).slice(0, 1),
      {},
      ['failed: Archives', 'failed: Newest daily archive', 'warning: Doubted archives'],
    ],
    [
      'the full ones are all doubted, though the daily ones count',
      [...week, archive(0.1, { state: 'doubted' }, 'full')],
      {},
      ['failed: Newest full archive', 'warning: Doubted archives'],
    ],
    ['full ones were never made', [...week, archive(20)], {}, ['warning: Newest full archive']],
    ['the newest is two nights old', nights(2, 3, 4, 5), {}, ['warning: Newest daily archive']],
    ['the newest is three nights old', nights(3, 4, 5, 6), {}, ['failed: Newest daily archive']],
    ['a full one was missed', [...week, archive(9, {}, 'full')], {}, ['warning: Newest full archive']],
    [
      'a clock was wrong',
      [archive(-300), ...week],
      {},
      ['failed: Newest daily archive', 'warning: Nights without an archive'],
    ],
    ['the newest is half empty', other(0, { bytes: 400 }), {}, ['failed: Size of daily archives']],
    ['the newest no longer packs well', other(0, { bytes: 4000 }), {}, ['warning: Size of daily archives']],
    ['nights are missing in between', nights(0, 1, 4, 5), {}, ['warning: Nights without an archive']],
    [
      'one was changed',
      other(3, { state: 'changed' }),
      {},
      ['warning: Nights without an archive', 'failed: Changed archives'],
    ],
    ['a seal is wrong', other(6, { state: 'unsealed' }), {}, ['failed: Seals']],
    ['somebody else put one there', [...week, archive(40, { state: 'unproven' })], {}, ['warning: Foreign archives']],
    ['one is gone', week, { gone: ['daily-backup-20261101-020000'] }, ['warning: Missing archives']],
    [
      'one lies elsewhere',
      week,
      { elsewhere: [{ id: 'daily-backup-20261101-020000', folder: '/old' }] },
      ['warning: Former folder'],
    ],
    ['the list is not understood', week, { notUnderstood: 2 }, ['unknown: List of archives']],
  ])('finds that %s', (_, archives, more, found) => {
    expect(bad(judged(archives, more)).sort()).toEqual([...found].sort());
  });
});

describe('which are read whole', () => {
  it('reads the newest of each kind each time, and every one within its turns', () => {
    const all = [
      ...Array.from({ length: 40 }, (_, day) => archive(day)),
      ...[0.1, 7, 14, 21].map((old) => archive(old, {}, 'full')),
    ];
    const read = new Set<string>();
    for (let week = 0; week < turns; week += 1) {
      const { read: ids, weeks, left } = whichToRead(all, now + week * 7 * dayMs);
      expect([weeks, left]).toEqual([turns, 0]);
      expect(ids.slice(0, 2)).toEqual([all[0]?.id, all[40]?.id]);
      expect(ids.length).toBeLessThan(all.length / 2);
      expect(new Set(ids).size).toBe(ids.length);
      for (const id of ids) read.add(id);
    }
    expect([...read].sort()).toEqual(all.map(({ id }) => id).sort());
    expect(whichToRead(all, now, true).read).toHaveLength(all.length);
  });

  it('costs no more than its bound, takes longer for it, and says so', () => {
    const large = Array.from({ length: 40 }, (_, day) => archive(day, { bytes: 150 * 1024 ** 3 }));
    const { weeks } = whichToRead(large, now);
    expect(weeks).toBe(30);
    const read = new Set<string>();
    for (let week = 0; week < 2 * weeks; week += 1) {
      const found = whichToRead(large, now + week * 7 * dayMs);
      expect(found.read.length).toBeLessThanOrEqual(2);
      for (const id of found.read) read.add(id);
    }
    expect(read.size).toBe(large.length);
    expect(judgeTurns(whichToRead(large, now), 'pve1')).toMatchObject([
      { verdict: 'warning', summary: expect.stringContaining('30 weeks') },
    ]);
    expect(judgeTurns(whichToRead(week, now), 'pve1')).toEqual([]);
  });

  it('reads the last good one though a doubted one is newer, and leaves alone what nobody knows', () => {
    const archives = [archive(0, { state: 'doubted' }), ...nights(1)];
    expect(whichToRead(archives, now).read).toContain(archives[1]?.id);
    expect(whichToRead([archive(1, { state: 'unproven' })], now, true).read).toEqual([]);
  });

  it('compares the newest with one of a week before', () => {
    expect(whichToCompare(week)).toEqual({ backup: week[0]?.id, older: week[6]?.id });
    expect(whichToCompare(nights(0, 1))).toEqual({ backup: nights(0)[0]?.id, older: nights(1)[0]?.id });
    expect(whichToCompare(nights(0))).toEqual({ backup: nights(0)[0]?.id, older: nights(0)[0]?.id });
    expect(whichToCompare([archive(0, {}, 'monthly'), ...nights(1)])?.backup).toBe(nights(1)[0]?.id);
    const { manifestSha256: _, ...old } = archive(0);
    expect(whichToCompare([old])).toBeUndefined();
  });
});

describe('what reading one has found', () => {
  const good = {
    changed: false,
    torn: false,
    unsealed: false,
    'sealed-by': undefined,
    bytes: 1000,
    entries: 9,
    files: 8,
    differing: 0,
    wrong: [],
  };
  it.each([
    ['is good', {}, 'ok', '8 checksums agree'],
    ['is of before there were manifests', { files: undefined }, 'ok', 'before there were manifests'],
    ['was changed', { changed: true }, 'failed', 'its checksum'],
    ['is torn', { torn: true }, 'failed', 'to its end'],
    ['bears the seal of another key', { 'sealed-by': `SHA256:${'a'.repeat(43)}` }, 'failed', 'is no key of this host'],
    ['is unsealed', { unsealed: true }, 'failed', 'its manifest'],
    ['holds other names', { differing: 2 }, 'failed', '2 names or checksums'],
    ['holds nothing', { entries: 0, files: 0 }, 'failed', 'It holds nothing'],
    ['is a tar of folders', { files: 0 }, 'failed', 'It holds nothing'],
  ])('says that it %s', (_, more, verdict, said) => {
    const finding = judgeRead('x', { ...good, ...more }, 'pve1');
    expect(finding).toMatchObject({ verdict, summary: expect.stringContaining(said) });
    // Neither well nor damaged: an administrator knows the key, or doesn't.
    if ('sealed-by' in more) {
      expect(finding.summary).not.toContain('no backup');
      expect(finding.remedy).toContain(`host bring-backup pve1 x --there --sign KEYFILE --seal ${more['sealed-by']}`);
    }
  });
});

describe('what the comparison has found', () => {
  const healthy = {
    part: [{ archived: 30, live: 30, path: '/etc' }],
    compared: { files: 100, same: 95, changed: 4, gone: 1 },
    unseen: [],
    moved: [{ files: 100, moved: 5, path: '/etc' }],
    sampled: 95,
    rotten: [],
    before: { common: 90, changed: 5 },
    other: [{ files: 90, moved: 5, path: '/etc' }],
  };
  it.each([
    ['nothing', {}, []],
    ['a part that is not in it', { part: [{ archived: 0, live: 1, path: '/etc' }] }, ['failed: Source /etc']],
    ['a source that was emptied', { part: [{ archived: 30, live: 14, path: '/etc' }] }, ['failed: Source /etc']],
    ['a source that has grown', { part: [{ archived: 30, live: 44, path: '/etc' }] }, ['warning: Source /etc']],
    ['other files', { compared: { files: 100, same: 49, changed: 30, gone: 21 } }, ['failed: Source against archive']],
    [
      'a small part that was encrypted as a whole',
      {
        compared: { files: 1000, same: 950, changed: 30, gone: 20 },
        moved: [{ files: 50, moved: 50, path: 'volumes/data' }],
      },
      ['failed: Source against archive'],
    ],
    [
      'a volume that was emptied',
      { part: [{ archived: 30, live: 1, path: 'volumes/data' }] },
      ['failed: Source volumes/data'],
    ],
    ['a volume that has grown', { part: [{ archived: 0, live: 99, path: 'volumes/data' }] }, []],
    ['a volume that nobody could look at', { unseen: ['volumes/data'] }, ['unknown: Source volumes/data']],
    [
      'a small part that is held encrypted',
      { before: { common: 1000, changed: 50 }, other: [{ files: 50, moved: 50, path: 'installation' }] },
      ['failed: Archive against an older one'],
    ],
    ['few files, of which most changed', { compared: { files: 19, same: 1, changed: 18, gone: 0 } }, []],
    ['rot', { rotten: ['/etc/fstab'] }, ['failed: Content of the source']],
    ['an encrypted source', { before: { common: 90, changed: 46 } }, ['failed: Archive against an older one']],
  ])('finds %s', (_, more, found) => {
    expect(bad(judgeSpot('x', 'y', { ...healthy, ...more }))).toEqual(found);
  });
});

it('finds what a backup server found damaged', () => {
  const one = { volume: 'pbs:backup/vm/100', storage: 'pbs', vmid: 100, takenAt: '', isProtected: false };
  expect(judgeDamaged({ archives: [{ ...one, verified: 'ok' }] })).toMatchObject([{ verdict: 'ok' }]);
  expect(
    judgeDamaged({
      archives: [
        { ...one, verified: 'ok' },
        { ...one, verified: 'failed' },
      ],
    }),
  ).toMatchObject([{ verdict: 'failed', summary: expect.stringContaining('pbs:backup/vm/100') }]);
});
