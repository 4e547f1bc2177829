import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { freeBackupId, isBackupId } from '../../../src/activities/back-up/name.ts';
import { keepDays, planRetention } from '../../../src/activities/back-up/retention.ts';
import type { Archive } from '../../../src/hosts/commands/back-up/archives.ts';

const day = 86_400_000;
const now = Date.parse('2026-11-22T02:00:00Z');
const idOf = (time: number) =>
  `daily-backup-${new Date(time).toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15)}`;
const archive = (daysOld: number, good = true): Archive => {
  const time = now - daysOld * day;
  return {
    id: idOf(time),
    bytes: 1000,
    writtenAt: new Date(time).toISOString(),
    ...(good ? { sha256: 'a'.repeat(64) } : {}),
  };
};

describe('planRetention', () => {
  it('keeps seven days', () => {
    const archives = Array.from({ length: 12 }, (_, index) => archive(index));
    const { remove, keep } = planRetention(archives, new Date(now));
    expect(keep).toHaveLength(7);
    expect(remove).toEqual([11, 10, 9, 8, 7].map((old) => archive(old).id));
  });

  it('keeps the last good one however old it is, and all that are newer', () => {
    const archives = [archive(30), archive(20), archive(15, false), archive(9, false)];
    expect(planRetention(archives, new Date(now))).toEqual({
      remove: [archive(30).id],
      keep: [
        { id: archive(20).id, why: 'it is the last verified archive' },
        { id: archive(15).id, why: 'it is newer than the last verified archive' },
        { id: archive(9).id, why: 'it is newer than the last verified archive' },
      ],
    });
  });

  it('keeps everything when nothing was verified, or the verified one is empty', () => {
    const empty = { ...archive(1), bytes: 0 };
    expect(planRetention([archive(30, false), archive(20, false), empty], new Date(now)).remove).toEqual([]);
  });

  it.each([
    'daily-backup-20261122-020000.tar.gz',
    'daily-backup-2026-020000',
    'full-backup-20261122-020000',
    'notes',
    '',
    'daily-backup-20261399-020000',
  ])('does not know %j', (id) => {
    expect(isBackupId(id)).toBe(false);
    const { remove, keep } = planRetention([{ ...archive(90), id }, archive(1)], new Date(now));
    expect([...remove, ...keep.map((one) => one.id)]).not.toContain(id);
  });

  it('for any history: the last good stays, nothing newer and nothing young goes, nothing foreign is named', () => {
    const anyArchive = fc
      .record({
        age: fc.integer({ min: -40, max: 4000 }),
        fileAge: fc.integer({ min: -40, max: 4000 }),
        good: fc.boolean(),
        bytes: fc.constantFrom(0, 1, 1_000_000),
        foreign: fc.boolean(),
      })
      .map(
        ({ age, fileAge, good, bytes, foreign }): Archive => ({
          id: foreign ? `notes-${age}` : idOf(now - (age / 10) * day),
          bytes,
          writtenAt: new Date(now - (fileAge / 10) * day).toISOString(),
          ...(good ? { sha256: 'b'.repeat(64) } : {}),
        }),
      );
    const history = fc.uniqueArray(anyArchive, { selector: (one) => one.id, maxLength: 40 });
    // Clocks jump: the service's may be years off.
    const jump = fc.oneof(fc.constant(0), fc.integer({ min: -4000, max: 40_000 }));
    fc.assert(
      fc.property(history, jump, (archives, days) => {
        const at = new Date(now + (days / 10) * day);
        const { remove, keep } = planRetention(archives, at);
        const ours = archives.filter(({ id }) => isBackupId(id)).map(({ id }) => id);
        expect([...remove, ...keep.map(({ id }) => id)].sort()).toEqual([...ours].sort());
        const good = archives.filter((one) => isBackupId(one.id) && one.sha256 !== undefined && one.bytes > 0);
        const last = good
          .map(({ id }) => id)
          .sort()
          .at(-1);
        for (const id of remove) {
          expect(last).toBeDefined();
          expect(id < (last ?? '')).toBe(true);
          const one = archives.find((each) => each.id === id);
          expect(at.getTime() - Date.parse(one?.writtenAt ?? '')).toBeGreaterThanOrEqual(keepDays * day);
        }
        // A plan that was carried out has nothing more to do.
        expect(
          planRetention(
            archives.filter(({ id }) => !remove.includes(id)),
            at,
          ).remove,
        ).toEqual([]);
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
