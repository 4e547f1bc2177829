import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { holding } from '../../bench/lib/clean-up.ts';
import { type Contest, contest, notMeasured, reached } from '../../bench/lib/ratio.ts';

const base: Contest = {
  name: 'ours / theirs',
  aim: { atMost: 0.6 },
  ours: async () => 1,
  theirs: async () => 2,
  unit: 's',
  block: '1 thing',
};

describe('a contest', () => {
  it('drops a first block of each, then changes who begins, and tells the median', async () => {
    let order = '';
    const side = (letter: string, figures: number[]) => async () => {
      order += letter;
      return figures.shift() ?? Number.NaN;
    };
    const ours = side('o', [99, 1, 2, 3, 4, 5]);
    const theirs = side('t', [99, 10, 10, 10, 10, 10]);
    const result = await contest({ ...base, blocks: 5, ours, theirs });
    expect(order).toBe('ot' + 'ot' + 'to' + 'ot' + 'to' + 'ot');
    expect(result).toMatchObject({ ratio: 0.3, spread: [0.2, 0.4] });
    expect(reached(result)).toBe(true);
  });

  it('begins no block when its time is up, but has one', async () => {
    const slow = async () => {
      await sleep(30);
      return 1;
    };
    const one = await contest({ ...base, seconds: 0, theirs: slow });
    expect(one.counts).toBe('1 block of 1 thing each, alternating');
    const some = await contest({ ...base, blocks: 100, seconds: 0.2, theirs: slow });
    expect(Number.parseInt(some.counts, 10)).toBeLessThan(10);
  });

  it('keeps what was measured before a failure, and fails when nothing was', async () => {
    let calls = 0;
    const failing = (good: number) => async () => {
      if (calls++ >= good) throw new Error('gone\nand more');
      return 2;
    };
    const kept = await contest({ ...base, theirs: failing(3) });
    expect(kept).toMatchObject({ ratio: 0.5, counts: '2 blocks of 1 thing each, alternating' });
    expect(kept.notes).toContain('ended early: gone');
    await expect(contest({ ...base, theirs: failing(0) })).rejects.toThrow('gone');
    expect(reached(notMeasured(base, new Error('gone\nand more')))).toBe(undefined);
    expect(notMeasured(base, new Error('gone\nand more')).counts).toBe('not measured: gone');
  });
});

it('what a bench holds is let go once, also when the bench fails', async () => {
  let released = 0;
  const release = async () => {
    released++;
  };
  expect(await holding(release, async () => 7)).toBe(7);
  await expect(holding(release, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(released).toBe(2);
});
