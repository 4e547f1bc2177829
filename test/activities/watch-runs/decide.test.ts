import { describe, expect, it } from 'vitest';
import { judgeEnd, moreNotStarted, stillTold, usualMs } from '../../../src/activities/watch-runs/decide.ts';

describe('the end of a scheduled run', () => {
  it.each([
    ['FAILED', 'failed', 'failed'],
    ['FAILED', 'undone', 'undone'],
    // It failed before it could say how, or was cancelled and could not be undone.
    ['FAILED', undefined, 'failed'],
    ['FAILED', 'cancelled', 'failed'],
    ['TERMINATED', undefined, 'terminated'],
    ['TIMED_OUT', undefined, 'timed-out'],
    ['COMPLETED', 'done', undefined],
    ['COMPLETED', 'planned', undefined],
    ['CANCELLED', 'cancelled', undefined],
    ['RUNNING', undefined, undefined],
  ] as const)('%s with the outcome %s is told as %s', (status, outcome, kind) => {
    expect(judgeEnd({ status, outcome })).toBe(kind);
  });
});

describe('how long a run may take', () => {
  const limits = { leastMs: 60, factor: 3, firstMs: 360 };

  it.each([
    [[], 360],
    [[10, 15], 60],
    [[10, 100, 20], 300],
  ])('after good runs of %j it is %i', (durations, usual) => {
    expect(usualMs(durations, limits)).toBe(usual);
  });
});

describe('what was told', () => {
  it('is remembered as long as it could be found again', () => {
    const told = { 'failed:a': 100, 'failed:b': 99, 'overran:c': 'c', 'overran:d': 'd', 'paused:c:7': 'c' };
    expect(stillTold(told, 100, new Set(['c']))).toEqual({ 'failed:a': 100, 'overran:c': 'c', 'paused:c:7': 'c' });
  });
});

describe('runs that were due and were not started', () => {
  const counted = (missed: number, skipped: number) => ({ missed, skipped });

  it.each([
    ['is seen for the first time', undefined, counted(5, 2), counted(0, 0)],
    ['missed nothing more', counted(5, 2), counted(5, 2), counted(0, 0)],
    ['missed two more and skipped one', counted(5, 2), counted(7, 3), counted(2, 1)],
    ['was made anew, and missed one', counted(5, 2), counted(1, 0), counted(1, 0)],
  ])('of a schedule that %s', (_, before, now, more) => {
    expect(moreNotStarted(before, now)).toEqual(more);
  });
});
