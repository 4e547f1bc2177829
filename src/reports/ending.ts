import type { Ending } from '../operations/run.ts';

/**
 * Where a run stopped and what became of what it had done, in sentences that stand after the reason: `It stopped at step
 * "Pack". Undone: Pack, Collect.`
 */
export function endingText({ at, undone, left }: Ending): string {
  return [
    `It stopped ${at}.`,
    ...(undone.length === 0 ? [] : [`Undone: ${undone.join(', ')}.`]),
    ...left.map((step) => `Not undone: ${step}`),
  ].join(' ');
}
