import type { Keep } from '../../../src/backups/retention.ts';
import { keepRules } from '../../../src/backups/retention.ts';

/** A group of backups, as Proxmox's code was given it. */
export interface History {
  readonly timeZone: string;
  readonly keep: Keep;
  /** Seconds since 1970, in no order; `p` before it: protected. */
  readonly backups: readonly string[];
}

/** How many there are; Proxmox's answers to all of them are in `answers.txt`. */
export const historyCount = 10_000;

/** Zones whose clocks every edition of the time zone database has alike for the years that are drawn, half hours and a lost day among them. */
const zones = [
  'UTC',
  'Europe/Berlin',
  'Europe/Berlin',
  'Europe/London',
  'America/New_York',
  'America/St_Johns',
  'America/Sao_Paulo',
  'Asia/Kolkata',
  'Asia/Tokyo',
  'Australia/Lord_Howe',
  'Australia/Sydney',
  'Pacific/Apia',
  'Pacific/Auckland',
  'Pacific/Chatham',
  'Pacific/Honolulu',
] as const;

const hour = 3600;
const day = 24 * hour;

/** Where calendars are odd: ends of years of 52 and 53 weeks, leap days, changes of clocks on both sides of the equator. */
const oddTimes = [
  '2015-12-31T23:00Z',
  '2016-01-03T23:00Z',
  '2017-01-01T00:00Z',
  '2020-12-31T23:00Z',
  '2021-01-03T23:00Z',
  '2026-12-31T23:00Z',
  '2027-01-03T23:00Z',
  '2032-12-31T23:00Z',
  '2024-12-30T00:00Z',
  '2016-02-29T12:00Z',
  '2024-02-29T12:00Z',
  '2028-02-29T00:00Z',
  '2026-03-29T01:00Z',
  '2026-10-25T01:00Z',
  '2026-03-08T07:00Z',
  '2026-11-01T06:00Z',
  '2026-04-04T15:00Z',
  '2026-10-03T15:30Z',
  '2011-12-30T10:00Z',
  '2018-11-04T03:00Z',
].map((text) => Date.parse(text) / 1000);

/** The history of this number, always the same one. */
export function historyOf(number: number): History {
  const random = generator(number);
  const whole = (from: number, to: number) => from + Math.floor(random() * (to - from + 1));
  const oneOf = <T>(all: readonly T[]): T => all[whole(0, all.length - 1)] as T;
  const timeZone = oneOf(zones);
  // Dates of the future are among them: the rules know no "now".
  const end = random() < 0.5 ? oneOf(oddTimes) + whole(0, 20 * day) : whole(1_300_000_000, 2_140_000_000);
  const times = timesBefore(end, { random, whole, oneOf });
  const protectedShare = oneOf([0, 0, 0.1, 0.4]);
  const backups = times.map((time) => `${random() < protectedShare ? 'p' : ''}${time}`);
  return { timeZone, keep: keepOf({ random, whole }), backups: shuffled(backups, whole) };
}

interface Chance {
  readonly random: () => number;
  readonly whole: (from: number, to: number) => number;
  readonly oneOf: <T>(all: readonly T[]) => T;
}

function timesBefore(end: number, { random, whole, oneOf }: Chance): readonly number[] {
  const count = whole(0, 40);
  // Every night at nearly the same time, several in an hour, in one second, months apart; or all of that.
  const steps = oneOf([
    [day],
    [hour, 900],
    [7 * day],
    [0, 1, hour],
    [30 * day, 400 * day],
    [0, 900, hour, day, 7 * day, 60 * day],
  ]);
  const jitter = oneOf([0, 60, 4 * hour]);
  let time = end;
  return Array.from({ length: count }, () => {
    const made = time;
    const step = oneOf(steps);
    time = Math.max(86_400, time - step - (step === 0 || random() < 0.5 ? 0 : whole(0, jitter)));
    return made;
  });
}

function keepOf({ random, whole }: Pick<Chance, 'random' | 'whole'>): Keep {
  const share = random();
  const rules = keepRules.filter(() => random() < share);
  return Object.fromEntries(rules.map((rule) => [rule, random() < 0.1 ? 0 : whole(1, random() < 0.2 ? 30 : 5)]));
}

function shuffled<T>(all: readonly T[], whole: (from: number, to: number) => number): readonly T[] {
  const left = [...all];
  return all.map(() => left.splice(whole(0, left.length - 1), 1)[0] as T);
}

/** mulberry32: small, and the same everywhere. */
function generator(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Backups as the rules take them. */
export function prunable(backup: string): { readonly time: number; readonly isProtected: boolean } {
  return { time: Number(backup.replace('p', '')) * 1000, isProtected: backup.startsWith('p') };
}
