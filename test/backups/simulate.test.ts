import { describe, expect, it } from 'vitest';
import { keepGood } from '../../src/backups/plan-retention.ts';
import { parseKeep } from '../../src/backups/retention.ts';
import { simulateRetention } from '../../src/backups/simulate.ts';
import { occurrences } from '../../src/runs/occurrences.ts';

const begin = Date.parse('2026-11-27T12:00:00Z');
const dayMs = 86_400_000;

function leftAfter(days: number, rules: string, timeZone = 'UTC', cron = '0 2 * * *') {
  const times = [...occurrences(cron, timeZone, begin, begin + days * dayMs)];
  return simulateRetention({ kind: 'daily', keep: parseKeep(rules) ?? {}, timeZone, times });
}

describe('simulateRetention', () => {
  it('leaves the last seven days of a year', () => {
    const { left, made, most } = leftAfter(365, 'keep-daily=7');
    expect({ made, most, left: left.length }).toEqual({ made: 365, most: 8, left: 7 });
    expect(left[0]).toMatchObject({ id: 'daily-backup-20271127-020000' });
    expect(left.at(-1)).toMatchObject({ id: 'daily-backup-20271121-020000' });
  });

  it("leaves what Proxmox's documentation promises of its example, as far as a year goes", () => {
    const { left } = leftAfter(365, 'keep-last=3,keep-daily=13,keep-weekly=8,keep-monthly=11,keep-yearly=9');
    const by = (why: string) => left.filter((one) => one.why === why).length;
    const rules = ['keep-last', 'keep-daily', 'keep-weekly', 'keep-monthly'];
    expect(rules.map(by)).toEqual([3, 13, 8, 10]);
    expect(left).toHaveLength(3 + 13 + 8 + 10);
  });

  it('never leaves fewer than the last three, and what is younger than a week', () => {
    expect(leftAfter(60, 'keep-yearly=1').left.length).toBeGreaterThanOrEqual(7);
    const { left } = leftAfter(365, 'keep-last=1', 'UTC', '0 1 1 * *');
    expect(left).toHaveLength(keepGood);
  });

  it('begins with what is there, of its kind', () => {
    const at = new Date(begin - 30 * dayMs).toISOString();
    const there = ['daily-backup-20261028-120000', 'full-backup-20261028-120000'].map((id) => ({
      id,
      bytes: 5,
      state: 'verified' as const,
      writtenAt: at,
      publishedAt: at,
      isProtected: true,
    }));
    const times = [...occurrences('0 2 * * *', 'UTC', begin, begin + 100 * dayMs)];
    const { left } = simulateRetention({
      kind: 'daily',
      keep: { 'keep-daily': 7 },
      timeZone: 'UTC',
      times,
      before: there,
    });
    expect(left.map(({ id, why }) => [id, why]).at(-1)).toEqual([there[0]?.id, 'it is protected']);
    expect(left).toHaveLength(8);
  });

  it('says why nothing goes', () => {
    const { refused, left } = leftAfter(9, 'keep-last=2', 'UTC', '0 * * * *');
    expect(refused).toMatch(/^24 daily backups were made on/);
    expect(left.length).toBeGreaterThan(200);
    expect(leftAfter(9, 'keep-hourly=2', 'UTC', '0 * * * *').refused).toBeUndefined();
  });

  it('is the same in a zone whose clocks change', () => {
    const { left, made } = leftAfter(150, 'keep-daily=400', 'Europe/Berlin', '30 2 * * *');
    expect({ made, left: left.length }).toEqual({ made: 150, left: 150 });
  });
});
