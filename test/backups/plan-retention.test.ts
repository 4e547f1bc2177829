import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  atOnce,
  defaultKeep,
  type KeepOfKinds,
  type KeptBackup,
  keepDays,
  keepGood,
  planRetention,
} from '../../src/backups/plan-retention.ts';
import { keepRules } from '../../src/backups/retention.ts';
import {
  type BackupKind,
  backupKinds,
  freeBackupId,
  isBackupId,
  kindOfBackup,
} from '../../src/operations/backup-id.ts';

const day = 86_400_000;
const now = Date.parse('2026-11-22T02:00:00Z');
const at = (time: number) => new Date(time).toISOString();
const idOf = (time: number, kind: BackupKind = 'daily') => freeBackupId(kind, time, []);

function backup(daysOld: number, state: KeptBackup['state'] = 'verified', kind: BackupKind = 'daily'): KeptBackup {
  const time = now - daysOld * day;
  const published = state === 'unproven' ? {} : { publishedAt: at(time) };
  return { id: idOf(time, kind), bytes: 1000, writtenAt: at(time), state, ...published };
}

interface Around {
  readonly hostNow?: number;
  readonly serviceNow?: number;
  readonly gone?: readonly string[];
  readonly keep?: Partial<KeepOfKinds>;
  readonly timeZone?: string;
}

function plan(backups: readonly KeptBackup[], around: Around = {}) {
  const { hostNow = now, serviceNow = hostNow, gone = [], keep = {}, timeZone = 'UTC' } = around;
  return planRetention(
    { now: at(hostNow), backups, gone },
    { keep: { ...defaultKeep, ...keep }, timeZone, now: new Date(serviceNow) },
  );
}
const days = (...all: readonly number[]) => all.map((old) => backup(old));

describe('planRetention', () => {
  it('keeps what the rules keep, says by which, and lets the rest go', () => {
    const { remove, keep } = plan(days(0, 1, 2, 3, 4, 5, 6, 7));
    expect(remove).toEqual([backup(7).id]);
    expect(keep).toHaveLength(7);
    // Where two nights have none, older ones fill the seven days.
    expect(plan(days(0, 1, 2, 3, 4, 8, 9, 10)).keep.map(({ why }) => why)).toEqual(Array(7).fill('keep-daily'));
  });

  it('has rules of each kind', () => {
    const full = Array.from({ length: 10 }, (_, week) => backup(week * 7, 'verified', 'full'));
    const monthly = Array.from({ length: 13 }, (_, month) => backup(month * 30, 'verified', 'monthly'));
    const { remove, keep } = plan([...days(0, 1, 2, 3, 4, 5, 6), ...full, ...monthly]);
    expect(remove).toEqual([monthly[12]?.id, full[9]?.id]);
    expect(keep).toHaveLength(7 + 8 + 12 + 1);
    const left = plan([...days(0, 1, 2, 3, 4, 5, 6), ...full, ...monthly], { keep: { full: {}, monthly: {} } });
    expect(left.remove).toEqual([]);
  });

  it('means the days of the host', () => {
    // Two of one day in Berlin, of two in UTC.
    const night = [
      ...days(0, 1, 2, 3),
      ...['2026-10-01T21:30:00Z', '2026-10-01T22:30:00Z', '2026-10-02T20:00:00Z'].map((time) =>
        backup((now - Date.parse(time)) / day),
      ),
    ];
    const keep = { daily: { 'keep-daily': 6 } };
    expect(plan(night, { keep }).remove).toEqual(['daily-backup-20261001-213000']);
    expect(plan(night, { keep, timeZone: 'Europe/Berlin' }).remove).toEqual(['daily-backup-20261001-223000']);
    expect(plan(night, { keep: { daily: { 'keep-daily': 5 } } }).remove).toEqual([
      'daily-backup-20261001-213000',
      'daily-backup-20261001-223000',
    ]);
  });

  it('keeps the last three good ones however old they are, and what they are not newer than', () => {
    const all = [...days(40, 30, 20, 15), backup(12, 'unproven'), backup(9, 'doubted')];
    expect(plan(all, { keep: { daily: { 'keep-last': 1 } } })).toEqual({
      refused: expect.stringContaining('holds less'),
      remove: [],
      keep: [
        { id: backup(40).id, why: 'nothing goes now' },
        { id: backup(30).id, why: 'it is one of the last 3 verified ones' },
        { id: backup(20).id, why: 'it is one of the last 3 verified ones' },
        { id: backup(15).id, why: 'keep-last' },
        { id: backup(12).id, why: 'there is no record of it: who made it decides about it' },
        { id: backup(9).id, why: 'verified ones of fewer than 3 days are newer' },
      ],
    });
  });

  it('keeps what is protected, and the last one that was proven by a restore', () => {
    const proven = (old: number, days: number): KeptBackup => ({ ...backup(old), provenAt: at(now - days * day) });
    const all = [...days(0, 1, 2, 3, 4, 5, 6), { ...backup(30), isProtected: true }, proven(40, 2), proven(41, 3)];
    const { remove, keep } = plan(all);
    expect(remove).toEqual([backup(41).id]);
    expect(keep.slice(0, 2)).toEqual([
      { id: backup(40).id, why: 'it is the last one that was restored to prove it' },
      { id: backup(30).id, why: 'it is protected' },
    ]);
  });

  it('lets no flood of one day push anything out', () => {
    const flood = (count: number) =>
      Array.from({ length: count }, (_, index) => backup(index / 1000, 'verified', 'full'));
    const good = [30, 37, 44].map((old) => backup(old, 'verified', 'full'));
    expect(plan([...flood(20), ...good])).toMatchObject({
      remove: [],
      refused: '20 full backups were made on 2026-11-22',
    });
    // Of a smaller one as much stays as is of three days.
    expect(plan([...flood(9), ...good]).remove).toEqual([good[2]?.id]);
    expect(plan([...flood(9), ...good.slice(0, 2)]).remove).toEqual([]);
    const spread = [0, 1, 2].map((old) => backup(old, 'verified', 'full'));
    // One that is long over keeps nothing back for ever.
    const past = Array.from({ length: 20 }, (_, index) => backup(10 + index / 1000, 'verified', 'full'));
    const after = plan([...spread, ...past, ...good]);
    expect(after.refused).toBeUndefined();
    expect(after.remove).toHaveLength(2);
    expect(plan([...spread, ...good], { keep: { full: { 'keep-last': 1 } } }).remove).toEqual([
      good[2]?.id,
      good[1]?.id,
    ]);
  });

  it('lets two go at once, the oldest first, after one good run too', () => {
    const { remove, keep } = plan(days(0, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60), {
      keep: { daily: { 'keep-last': 1 } },
    });
    expect(remove).toEqual([backup(60).id, backup(59).id]);
    expect(keep[0]).toEqual({ id: backup(58).id, why: 'it goes next time: at most 2 go at once' });
  });

  it('keeps everything when nothing was verified', () => {
    expect(plan([backup(30, 'unproven'), backup(20, 'unproven'), backup(10, 'doubted')]).remove).toEqual([]);
  });

  const old = days(0, 1, 2, 3, 4, 5, 6, 30);
  const wrong: readonly (readonly [string, readonly KeptBackup[], Around, string])[] = [
    [
      'the host’s clock went ahead',
      old,
      { hostNow: now + 365 * day, serviceNow: now },
      'the clock of the host says 2027',
    ],
    ['the host’s clock went back', old, { hostNow: now - day / 2, serviceNow: now }, 'the clock of the host'],
    ['one is of the future', [...old, backup(-3)], {}, 'of the future: daily-backup-20261125'],
    ['a name is of the future', [...old, { ...backup(5), id: 'daily-backup-99991231-235959' }], {}, 'of the future'],
    ['one was changed', [...old, backup(5, 'changed')], {}, 'not what was published any more'],
    ['the manifest of one was changed', [...old, backup(5, 'unsealed')], {}, 'not what was published any more'],
    ['one of another kind was changed', [...old, backup(5, 'changed', 'full')], {}, 'not what was published any more'],
    ['the last one holds less', [...old.slice(1), backup(10), backup(0, 'doubted')], {}, 'holds less'],
    [
      'the last one is much smaller',
      [{ ...backup(0), bytes: 400 }, ...old.slice(1)],
      {},
      'less than half of what is usual (1000)',
    ],
    [
      'more are gone than there are',
      old,
      { gone: Array.from({ length: 9 }, (_, index) => backup(10 + index).id) },
      '9 daily backups that were published are gone',
    ],
  ];
  it.each(wrong)('removes nothing when %s', (_, backups, around, why) => {
    const { remove, refused } = plan(backups, around);
    expect(remove).toEqual([]);
    expect(refused).toContain(why);
    expect(plan(old).remove).toEqual([backup(30).id]);
  });

  it('holds back only the kind whose newest one is doubted', () => {
    const full = [0, 7, 14, 21].map((old) => backup(old, 'verified', 'full'));
    const { remove, refused } = plan([...full, ...days(1, 2, 3, 4, 5, 6, 7, 30), backup(0, 'doubted')], {
      keep: { full: { 'keep-last': 1 } },
    });
    expect(remove).toEqual([full[3]?.id]);
    expect(refused).toContain('holds less');
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
    const { remove, keep } = plan([{ ...backup(90), id }, ...days(1, 2, 3)]);
    expect([...remove, ...keep.map((one) => one.id)]).not.toContain(id);
  });
});

describe('for any history', () => {
  const anyBackup = fc
    .record({
      age: fc.integer({ min: -40, max: 4000 }),
      fileAge: fc.integer({ min: -40, max: 4000 }),
      state: fc.constantFrom<KeptBackup['state']>('verified', 'verified', 'verified', 'doubted', 'changed', 'unproven'),
      kind: fc.constantFrom(...backupKinds),
      bytes: fc.constantFrom(0, 1, 1_000_000),
      foreign: fc.boolean(),
      isProtected: fc.constantFrom(false, false, true),
      proven: fc.option(fc.integer({ min: 0, max: 4000 }), { freq: 5 }),
    })
    .map(
      ({ age, fileAge, state, kind, bytes, foreign, isProtected, proven }): KeptBackup => ({
        ...backup(age / 10, state, kind),
        ...(foreign && { id: `notes-${age}` }),
        bytes,
        isProtected,
        writtenAt: at(now - (fileAge / 10) * day),
        ...(proven !== null && { provenAt: at(now - (proven / 10) * day) }),
      }),
    );
  /** In which nothing looks wrong, so that something goes. */
  const wellBackup = fc
    .record({
      age: fc.integer({ min: 0, max: 4000 }),
      kind: fc.constantFrom(...backupKinds),
      isProtected: fc.boolean(),
    })
    .map(({ age, kind, isProtected }): KeptBackup => ({ ...backup(age / 10, 'verified', kind), isProtected }));
  const history = fc.oneof(
    fc.uniqueArray(anyBackup, { selector: (one) => one.id, maxLength: 40 }),
    fc.uniqueArray(wellBackup, { selector: (one) => one.id, minLength: 20, maxLength: 40 }),
  );
  const anyKeep = fc.record(Object.fromEntries(keepRules.map((rule) => [rule, fc.integer({ min: 0, max: 3 })])), {
    requiredKeys: [],
  });
  const keeps = fc.record({ daily: anyKeep, full: anyKeep, monthly: anyKeep });
  // Clocks jump: the host's and the service's may be years off.
  const jump = fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: -4000, max: 40_000 }));

  it('what must never go stays, and everything is named once', () => {
    let removals = 0;
    fc.assert(
      fc.property(history, keeps, jump, jump, (backups, keep, hostJump, serviceJump) => {
        const hostNow = now + (hostJump / 10) * day;
        const serviceNow = now + (serviceJump / 10) * day;
        const { remove, keep: kept } = plan(backups, { hostNow, serviceNow, keep });
        removals += remove.length;
        const ours = backups.filter(({ id }) => isBackupId(id));
        expect([...remove, ...kept.map(({ id }) => id)].sort()).toEqual(ours.map(({ id }) => id).sort());
        expect(remove.length).toBeLessThanOrEqual(atOnce);
        if (Math.abs(hostNow - serviceNow) > day) expect(remove).toEqual([]);
        for (const kind of backupKinds) {
          const its = ours.filter(({ id }) => kindOfBackup(id) === kind);
          const good = its
            .filter(({ state }) => state === 'verified')
            .sort((a, b) => Date.parse(b.publishedAt ?? '') - Date.parse(a.publishedAt ?? ''));
          const proven = its
            .filter(({ provenAt }) => provenAt !== undefined)
            .sort((a, b) => Date.parse(b.provenAt ?? '') - Date.parse(a.provenAt ?? ''));
          const removed = its.filter(({ id }) => remove.includes(id));
          // The last good ones, and never the only one.
          for (const one of good.slice(0, keepGood)) expect(removed).not.toContain(one);
          if (its.length > 0) expect(removed.length).toBeLessThan(its.length);
          const newest = proven.filter((one) => one.provenAt === proven[0]?.provenAt);
          if (newest.length > 0) expect(newest.every((one) => removed.includes(one))).toBe(false);
          for (const one of removed) {
            expect(one.isProtected).not.toBe(true);
            expect(one.state).not.toBe('unproven');
            expect(hostNow - Date.parse(one.writtenAt)).toBeGreaterThanOrEqual(keepDays * day);
            expect(hostNow - Date.parse(one.publishedAt ?? '')).toBeGreaterThanOrEqual(keepDays * day);
          }
        }
      }),
      { numRuns: 500 },
    );
    expect(removals).toBeGreaterThan(100);
  });

  it('run after run, only what the rules keep and what is held back is left', () => {
    fc.assert(
      fc.property(fc.uniqueArray(wellBackup, { selector: (one) => one.id, maxLength: 30 }), keeps, (backups, keep) => {
        let left = backups;
        for (;;) {
          const { remove } = plan(left, { keep });
          if (remove.length === 0) break;
          left = left.filter(({ id }) => !remove.includes(id));
        }
        const { keep: reasons } = plan(left, { keep });
        for (const { why } of reasons) expect(why).not.toContain('next time');
      }),
      { numRuns: 300 },
    );
  });
});

describe('freeBackupId', () => {
  it('is the time in UTC, or the next second that no archive has', () => {
    expect(freeBackupId('daily', now, [])).toBe('daily-backup-20261122-020000');
    expect(freeBackupId('daily', now + 999, [idOf(now), idOf(now + 1000)])).toBe('daily-backup-20261122-020002');
  });
});
