import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { offsetOf } from '../../src/clock-changes.ts';
import type { JudgedRequest, Judgement } from '../../src/operations/judgement.ts';
import { subjects } from '../../src/operations/subject.ts';
import { stagesOf, whoHears } from '../../src/policy/contacts.ts';
import { differences, loosenings } from '../../src/policy/differences.ts';
import { judge, judgeBoth } from '../../src/policy/judge.ts';
import { type PolicyDocument, weekdays } from '../../src/policy/schema.ts';
import { nextStretch, openingOf } from '../../src/policy/windows.ts';
import { anna, ben, context, kim, operation, policyOf, request } from './support.ts';

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

// Few values of each, so that rules and requests meet.
const on = fc.record(
  {
    hosts: fc.subarray(['pve1', 'pve2'], { minLength: 1 }),
    guests: fc.subarray([100, '100-150'] as const, { minLength: 1 }).map((list) => [...list]),
    tags: fc.subarray(['a', 'b'], { minLength: 1 }),
    pools: fc.constant(['p']),
  },
  { requiredKeys: [] },
);
const about = {
  operations: fc.subarray(['control-guest', 'run-command'], { minLength: 1 }),
  risks: fc.subarray(['change', 'dangerous'] as const, { minLength: 1 }).map((list) => [...list]),
  on: on.filter((value) => Object.keys(value).length > 0),
};
const who = fc.subarray(
  ['everybody', 'agents', 'people', 'schedules', 'person:anna', 'role:operator', 'token:claude'],
  { minLength: 1 },
);
const rule = fc.record({ who, may: fc.constantFrom('yes', 'ask', 'no'), ...about }, { requiredKeys: ['who', 'may'] });
const clock = fc
  .integer({ min: 0, max: 47 })
  .map((half) => `${String(half >> 1).padStart(2, '0')}:${half % 2 ? '30' : '00'}`);
const days = fc.subarray([...weekdays], { minLength: 1 });
const changeWindow = fc
  .record({ from: clock, to: clock, days, ...about }, { requiredKeys: ['from', 'to'] })
  .filter(({ from, to }) => from !== to);
const duration = fc.constantFrom('30m', '2h', '3d');
const approval = fc.record(
  {
    count: fc.integer({ min: 1, max: 3 }),
    role: fc.constantFrom('operator', 'administrator'),
    answerWithin: duration,
    executeWithin: duration,
    remindEvery: duration,
    signed: fc.boolean(),
    ...about,
  },
  { requiredKeys: [] },
);
const document = fc.record(
  {
    rules: fc.array(rule, { maxLength: 3 }),
    protected: on,
    windows: fc.array(changeWindow, { maxLength: 2 }),
    approvals: fc.array(approval, { maxLength: 2 }),
    dangerousCommands: fc.boolean(),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<PolicyDocument>;

const asked: fc.Arbitrary<JudgedRequest> = fc
  .record({
    operation: fc.constantFrom('control-guest', 'run-command', 'other'),
    risk: fc.constantFrom('change', 'dangerous'),
    host: fc.constantFrom('pve1', 'pve2'),
    vmid: fc.option(fc.constantFrom(100, 150, 200), { nil: undefined }),
    guest: fc.option(fc.record({ tags: fc.subarray(['a', 'b']), pool: fc.constantFrom('p', 'q') }), { nil: undefined }),
    requestedBy: fc.constantFrom(
      { kind: 'mcp', name: 'claude', for: 'anna' },
      { kind: 'mcp', name: 'other' },
      { kind: 'cli', name: 'root' },
      { kind: 'person', name: 'ben' },
      { kind: 'person', name: 'anna' },
      { kind: 'schedule', name: 'x/y/pve1' },
      { kind: 'run', name: 'maintain/pve1/1' },
    ),
  })
  .map(({ host, vmid, guest, ...rest }) =>
    request({
      ...(rest as Partial<JudgedRequest>),
      input: { host, ...(vmid !== undefined && { vmid }) },
      ...(guest && vmid !== undefined && { guest: { vmid, host, ...guest } }),
    }),
  );

const people = [anna, { ...anna, name: 'eve' }, { ...anna, name: 'joe' }, ben, kim];
const operations = { 'run-command': operation({ target: 'host', needsDangerousCommands: true }) };
const moment = fc.integer({ min: 0, max: 14 * 24 * 60 }).map((minutes) => Date.UTC(2026, 10, 20) + minutes * minuteMs);
const world = moment.map((now) => context({ people, now, operations }));

/** Whether the first lets anything through, or more easily, than the second. */
function isLooser(one: Judgement, other: Judgement): boolean {
  const rank = { allowed: 0, ask: 1, refused: 2 };
  if (rank[one.verdict] !== rank[other.verdict]) return rank[one.verdict] < rank[other.verdict];
  if (one.verdict !== 'ask' || other.verdict !== 'ask') return false;
  const [a, b] = [one.terms, other.terms];
  return (
    a.count < b.count ||
    a.answerWithinMs > b.answerWithinMs ||
    a.executeWithinMs > b.executeWithinMs ||
    a.remindEveryMs > b.remindEveryMs ||
    (b.signed && !a.signed) ||
    a.approvers.some((name) => !b.approvers.includes(name))
  );
}

const runs = { numRuns: 2_000 };

describe('two policies', () => {
  it('together are never looser than either', () => {
    let stricter = 0;
    fc.assert(
      fc.property(document, document, asked, world, (one, other, wanted, at) => {
        const [approved, file] = [policyOf(one), policyOf(other)];
        const both = judgeBoth(approved, file, wanted, at);
        const each = [approved, file].map((policy) => judge(policy, wanted, at));
        for (const alone of each) expect(isLooser(both, alone)).toBe(false);
        if (each.some((alone) => isLooser(alone, both))) stricter += 1;
      }),
      runs,
    );
    expect(stricter).toBeGreaterThan(100);
  });

  it('differ in a loosening that is told wherever one lets through what the other didn’t', () => {
    let looser = 0;
    fc.assert(
      fc.property(document, document, asked, world, (one, other, wanted, at) => {
        const [approved, file] = [policyOf(one), policyOf(other)];
        if (!isLooser(judge(file, wanted, at), judge(approved, wanted, at))) return;
        looser += 1;
        expect(loosenings(differences(approved, file))).not.toEqual([]);
      }),
      runs,
    );
    expect(looser).toBeGreaterThan(100);
  });

  it('differ in one entry that is called a tightening only where it is one', () => {
    let tighter = 0;
    const edit = fc.constantFrom('rules', 'windows', 'approvals', 'protected', 'dangerousCommands');
    const how = fc.constantFrom('add', 'remove', 'replace');
    const oneEntry = ([before = [], after = []]: readonly unknown[][], way: string) => [
      ...(way === 'remove' ? [] : after.slice(0, 1)),
      ...(way === 'add' ? before : before.slice(1)),
    ];
    fc.assert(
      fc.property(document, document, edit, how, asked, world, (one, other, key, way, wanted, at) => {
        const approved = policyOf(one);
        const isList = key === 'rules' || key === 'windows' || key === 'approvals';
        const [before, after] = isList ? [one[key] ?? [], other[key] ?? []] : [one[key], other[key]];
        const merged = Array.isArray(before) && Array.isArray(after) ? oneEntry([before, after], way) : after;
        const file = policyOf({ ...one, [key]: merged });
        const found = differences(approved, file);
        if (found.length === 0 || loosenings(found).length > 0) return;
        tighter += 1;
        expect(isLooser(judge(file, wanted, at), judge(approved, wanted, at))).toBe(false);
      }),
      { numRuns: 6_000 },
    );
    expect(tighter).toBeGreaterThan(50);
  });

  it('that say the same don’t differ', () => {
    fc.assert(
      fc.property(document, (one) => {
        const reversed = { ...one, ...(one.rules && { rules: [...one.rules].reverse() }) };
        expect(differences(policyOf(one), policyOf(reversed as PolicyDocument))).toEqual([]);
      }),
    );
  });
});

it('a refusing or asking rule more never loosens', () => {
  const more = rule.map((one) => ({ ...one, may: one.may === 'yes' ? ('no' as const) : one.may }));
  fc.assert(
    fc.property(document, more, asked, world, (one, added, wanted, at) => {
      const rules = [...(one.rules ?? []), added] as PolicyDocument['rules'];
      expect(isLooser(judge(policyOf({ ...one, rules }), wanted, at), judge(policyOf(one), wanted, at))).toBe(false);
    }),
    runs,
  );
});

/** Each with a change of its clock in 2026: forward and back, half an hour, at midnight. */
const zones = [
  ['Europe/Vienna', Date.UTC(2026, 2, 29), Date.UTC(2026, 9, 25)],
  ['America/New_York', Date.UTC(2026, 2, 8), Date.UTC(2026, 10, 1)],
  ['America/Santiago', Date.UTC(2026, 8, 6), Date.UTC(2026, 3, 5)],
  ['Australia/Lord_Howe', Date.UTC(2026, 9, 4), Date.UTC(2026, 3, 5)],
  ['Africa/Cairo', Date.UTC(2026, 3, 24), Date.UTC(2026, 9, 30)],
] as const;

describe.each(zones)('change windows in %s', (zone, forward, back) => {
  const around = fc
    .tuple(fc.constantFrom(forward, back), fc.integer({ min: -2 * 24 * 60, max: 3 * 24 * 60 }))
    .map(([day, minutes]) => day + minutes * minuteMs);
  const shape = fc
    .tuple(fc.integer({ min: 0, max: 24 * 60 - 1 }), fc.integer({ min: 1, max: 24 * 60 }), days)
    .filter(([from, to]) => from !== to)
    .map(([from, to, on]) => ({ from, to, days: on }));
  const offset = offsetOf(zone);

  it('open once for each of their days, and are as long as they say but for what the clock skips or repeats', () => {
    fc.assert(
      fc.property(shape, around, (window, now) => {
        const seen: { from: number; to: number }[] = [];
        for (let time = now; time < now + 4 * dayMs; ) {
          const stretch = nextStretch(window, zone, time);
          expect(stretch.to).toBeGreaterThan(time);
          expect(stretch.to).toBeGreaterThan(stretch.from);
          seen.push(stretch);
          time = stretch.to;
        }
        const wanted = ((window.to - window.from + 24 * 60) % (24 * 60) || 24 * 60) * minuteMs;
        for (const [index, { from, to }] of seen.entries()) {
          const clockMoved = offset(to) - offset(from);
          // By the clock it is as long as it says; only what is skipped as a whole is put off.
          const byTheClock = to - from + clockMoved;
          expect(Math.abs(byTheClock - wanted)).toBeLessThanOrEqual(60 * minuteMs);
          const before = seen[index - 1];
          if (before !== undefined) expect(from).toBeGreaterThanOrEqual(before.to - 60 * minuteMs);
        }
        // No two begin on the same day of the wall clock.
        const begun = seen.map(({ from }) => Math.floor((from + offset(from)) / dayMs));
        expect(new Set(begun).size).toBe(begun.length);
      }),
      { numRuns: 300 },
    );
  });

  it('are open where the wall clock says so, away from a change', () => {
    fc.assert(
      fc.property(shape, around, (window, now) => {
        fc.pre(offset(now - 2 * dayMs) === offset(now + 2 * dayMs));
        const stretch = nextStretch(window, zone, now);
        const wall = now + offset(now);
        const minute = Math.floor((wall % dayMs) / minuteMs);
        const isDay = (time: number) => window.days.includes(weekdays[new Date(time).getUTCDay()] as never);
        const overMidnight = window.to < window.from;
        const isOpen = overMidnight
          ? (isDay(wall) && minute >= window.from) || (isDay(wall - dayMs) && minute < window.to)
          : isDay(wall) && minute >= window.from && minute < window.to;
        expect(stretch.from <= now).toBe(isOpen);
      }),
      { numRuns: 300 },
    );
  });

  it('say when they open next, and are open then and not before', () => {
    fc.assert(
      fc.property(shape, around, (window, now) => {
        const opening = (time: number) => openingOf([[{ window: window as never, timeZone: zone }]], time);
        const { isOpen, opensAt = 0 } = opening(now);
        expect(opensAt).toBeGreaterThanOrEqual(now);
        expect(isOpen).toBe(opensAt === now);
        expect(opening(opensAt).isOpen).toBe(true);
        if (!isOpen) expect(opening(opensAt - 1).isOpen).toBe(false);
      }),
      { numRuns: 300 },
    );
  });
});

describe('who hears', () => {
  const contact = fc.record(
    {
      name: fc.constantFrom('Anna', 'Ben', 'Team'),
      mail: fc.constantFrom('a@example.org', 'b@example.org', 'c@example.org'),
      level: fc.integer({ min: 1, max: 4 }),
      subjects: fc.subarray([...subjects], { minLength: 1 }),
    },
    { requiredKeys: ['name', 'mail', 'level'] },
  );
  const matrix = fc.record({
    contacts: fc.array(contact, { maxLength: 5 }),
    escalation: fc.record(
      { level2: duration, level3: duration, all: duration, repeat: duration },
      { requiredKeys: [] },
    ),
  });
  const since = fc.integer({ min: 0, max: 20 * dayMs });

  it('never becomes fewer, always somebody, and at last all', () => {
    fc.assert(
      fc.property(matrix, fc.constantFrom(...subjects), since, since, (written, subject, one, other) => {
        const policy = policyOf(written as PolicyDocument);
        const hears = (sinceMs: number) => whoHears(policy, { subject, sinceMs, mailTo: ['root@example.org'] });
        const [early, late] = [hears(Math.min(one, other)), hears(Math.max(one, other))];
        expect(early.addresses.length).toBeGreaterThan(0);
        for (const address of early.addresses) expect(late.addresses).toContain(address);
        expect(late.times).toBeGreaterThanOrEqual(early.times);
        expect(early.nextInMs).toBeGreaterThan(0);
        const next = hears(Math.min(one, other) + early.nextInMs);
        expect(next.times).toBe(early.times + 1);
        expect(hears(Math.min(one, other) + early.nextInMs - 1).times).toBe(early.times);
        const last = stagesOf(policy, subject).at(-1)?.contacts ?? [];
        expect(last).toHaveLength(policy.contacts.length);
      }),
    );
  });
});
