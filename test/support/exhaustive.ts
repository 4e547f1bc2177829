import { createHash } from 'node:crypto';

/** Whether every case is tested (`npm run test:exhaustive`, or `TEST_EXHAUSTIVE=1`), and not only a sample. */
export const exhaustive = process.env.TEST_EXHAUSTIVE === '1';

/** What samples are chosen by; `vitest.config.ts` sets it. */
export const seed = process.env.TEST_SEED ?? '';

/**
 * `count` of these cases in their order, by the seed; all of them where everything is tested. For variants of one thing that
 * take long: each commit tests others.
 */
export function sample<T>(cases: readonly T[], count: number): T[] {
  if (exhaustive) return [...cases];
  const rank = (index: number) => createHash('sha256').update(`${seed}/${cases.length}/${index}`).digest('hex');
  const chosen = cases
    .map((_, index) => ({ index, rank: rank(index) }))
    .sort((a, b) => (a.rank < b.rank ? -1 : 1))
    .slice(0, count)
    .map(({ index }) => index);
  return cases.filter((_, index) => chosen.includes(index));
}

/** The seed as a number below 2³¹, for a generator. */
export function seedNumber(): number {
  return createHash('sha256').update(seed).digest().readUInt32BE(0) >>> 1;
}
