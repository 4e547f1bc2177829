import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { atOnce, keepDays, keepGood, planRetention } from '../../../src/activities/back-up/retention.ts';
import type { Archive } from '../../../src/hosts/commands/back-up/archives.ts';
import { freeBackupId, isBackupId } from '../../../src/operations/backup-id.ts';

const day = 86_400_000;
const now = Date.parse('2026-11-22T02:00:00Z');
const idOf = (time: number) =>
  `daily-backup-${new Date(time).toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15)}`;
const at = (time: number) => new Date(time).toISOString();
const archive = (daysOld: number, state: Archive['state'] = 'verified'): Archive => {
  const time = now - daysOld * day;
  const known = { sha256: 'a'.repeat(64), publishedAt: at(time), checkedAt: at(time) };
  return { id: idOf(time), bytes: 1000, writtenAt: at(time), state, ...(state === 'unproven' ? {} : known) };
};
const plan = (archives: readonly Archive[], hostNow = now, serviceNow = hostNow) =>
  planRetention(
    { now: at(hostNow), archives: [...archives], gone: [], elsewhere: [], notUnderstood: 0 },
    new Date(serviceNow),
  );
const days = (...all: readonly number[]) => all.map((old) => archive(old));

describe('planRetention', () => {
  it('keeps seven days', () => {
    const { remove, keep } = plan(days(0, 1, 2, 3, 4, 5, 6, 7));
    expect(keep).toHaveLength(7);
    expect(remove).toEqual([archive(7).id]);
  });

  it('keeps the last three good ones however old they are, and what they are not newer than', () => {
    expect(plan([...days(40, 30, 20, 15), archive(12, 'unproven'), archive(9, 'doubted')])).toEqual({
      refused: expect.stringContaining('holds less'),
      remove: [],
      keep: [
        { id: archive(40).id, why: 'nothing goes now' },
        { id: archive(30).id, why: 'it is one of the last 3 verified archives' },
        { id: archive(20).id, why: 'it is one of the last 3 verified archives' },
        { id: archive(15).id, why: 'it is one of the last 3 verified archives' },
        { id: archive(12).id, why: 'the host has no record of it: who made it decides about it' },
        { id: archive(9).id, why: 'fewer than 3 verified archives are newer' },
      ],
    });
  });

  it('lets two go at once, the oldest first, after one good run too', () => {
    const { remove, keep } = plan(days(0, 56, 57, 58, 59, 60, 61, 62, 63));
    expect(remove).toEqual([archive(63).id, archive(62).id]);
    expect(keep[0]).toEqual({ id: archive(61).id, why: 'it goes next time: at most 2 go at once' });
  });

  it('keeps everything when nothing was verified', () => {
    expect(plan([archive(30, 'unproven'), archive(20, 'unproven'), archive(10, 'doubted')]).remove).toEqual([]);
  });

  const old = days(0, 1, 2, 3, 30);
  it.each([
    ['the host’s clock went ahead', old, now + 365 * day, now, 'the clock of the host says 2027'],
    ['the host’s clock went back', old, now - day / 2, now, 'the clock of the host'],
    ['an archive is of the future', [...old, archive(-3)], now, now, 'of the future: daily-backup-20261125'],
    [
      'a name is of the future',
      [...old, { ...archive(5), id: 'daily-backup-99991231-235959' }],
      now,
      now,
      'of the future',
    ],
    ['an archive was changed', [...old, archive(5, 'changed')], now, now, 'not what was published any more'],
    ['the last one holds less', [...days(1, 2, 3, 30), archive(0, 'doubted')], now, now, 'holds less'],
    [
      'the last one is much smaller',
      [{ ...archive(0), bytes: 400 }, ...days(1, 2, 3, 30)],
      now,
      now,
      'less than half of what is usual (1000)',
    ],
  ] as const)('removes nothing when %s', (_, archives, hostNow, serviceNow, why) => {
    const { remove, refused } = plan(archives, hostNow, serviceNow);
    expect(remove).toEqual([]);
    expect(refused).toContain(why);
    expect(plan(old).remove).toEqual([archive(30).id]);
  });

  it.each([
    'daily-backup-20261122-020000.tar.gz',
    'daily-backup-2026-020000',
    'weekly-backup-20261122-020000',
    'notes',
    '',
    'daily-backup-20261399-020000',
  ])('does not know %j', (id) => {
    expect(isBackupId(id)).toBe(false);
    const { remove, keep } = plan([{ ...archive(90), id }, ...days(1, 2, 3)]);
    expect([...remove, ...keep.map((one) => one.id)]).not.toContain(id);
  });

  it('for any history: the last good ones stay, nothing young goes, nothing foreign is named', () => {
    const anyArchive = fc
      .record({
        age: fc.integer({ min: -40, max: 4000 }),
        fileAge: fc.integer({ min: -40, max: 4000 }),
        state: fc.constantFrom('verified', 'verified', 'verified', 'doubted', 'changed', 'unproven'),
        bytes: fc.constantFrom(0, 1, 1_000_000),
        foreign: fc.boolean(),
      })
      .map(
        ({ age, fileAge, state, bytes, foreign }): Archive => ({
          ...archive(age / 10, state),
          ...(foreign && { id: `notes-${age}` }),
          bytes,
          writtenAt: at(now - (fileAge / 10) * day),
        }),
      );
    const history = fc.uniqueArray(anyArchive, { selector: (one) => one.id, maxLength: 40 });
    // Clocks jump: the host's and the service's may be years off.
    const jump = fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: -4000, max: 40_000 }));
    fc.assert(
      fc.property(history, jump, jump, (archives, hostJump, serviceJump) => {
        const [hostNow, serviceNow] = [hostJump, serviceJump].map((jumped) => now + (jumped / 10) * day) as [
          number,
          number,
        ];
        const { remove, keep } = plan(archives, hostNow, serviceNow);
        const ours = archives.filter(({ id }) => isBackupId(id)).map(({ id }) => id);
        expect([...remove, ...keep.map(({ id }) => id)].sort()).toEqual([...ours].sort());
        expect(remove.length).toBeLessThanOrEqual(atOnce);
        if (Math.abs(hostNow - serviceNow) > day) expect(remove).toEqual([]);
        const good = archives
          .filter((one) => isBackupId(one.id) && one.state === 'verified')
          .sort((a, b) => Date.parse(b.publishedAt ?? '') - Date.parse(a.publishedAt ?? ''));
        for (const id of remove) {
          expect(good.slice(0, keepGood).map((one) => one.id)).not.toContain(id);
          expect(good.length).toBeGreaterThanOrEqual(keepGood);
          const one = archives.find((each) => each.id === id);
          expect(hostNow - Date.parse(one?.writtenAt ?? '')).toBeGreaterThanOrEqual(keepDays * day);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('freeBackupId', () => {
  it('is the time in UTC, or the next second that no archive has', () => {
    expect(freeBackupId('daily', now, [])).toBe('daily-backup-20261122-020000');
    expect(freeBackupId('daily', now + 999, [idOf(now), idOf(now + 1000)])).toBe('daily-backup-20261122-020002');
  });
});
