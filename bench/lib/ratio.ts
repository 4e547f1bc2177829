/** One figure of the bench: ours divided by a peer's or the machine's own floor, measured in the same run. */
export interface BenchResult {
  readonly name: string;
  /** Median over the blocks; undefined where it could not be measured (`notes` says why). */
  readonly ratio: number | undefined;
  /** What it is to be, and on which side. */
  readonly aim: { readonly atMost: number } | { readonly atLeast: number } | undefined;
  /** First and third quartile of the blocks' ratios. */
  readonly spread: readonly [number, number] | undefined;
  /** How much was measured, for example `7 blocks of 60 commands each`. */
  readonly counts: string;
  /** Medians in their own units, and what a reader has to know. */
  readonly notes: readonly string[];
}

export interface Contest {
  readonly name: string;
  readonly aim: BenchResult['aim'];
  /** Measures one block; returns its figure (time of one, or throughput). */
  readonly ours: () => Promise<number>;
  readonly theirs: () => Promise<number>;
  /** Blocks of each side. Default 7, at least 5. One more of each is measured first and dropped. */
  readonly blocks?: number;
  readonly unit: string;
  /** What one block is, for example `60 commands`. */
  readonly block: string;
  readonly notes?: readonly string[];
}

/**
 * Measures both sides in alternating blocks, so that what else the machine does meets both, and changes the order from
 * block to block. The result is the median of the blocks' ratios.
 */
export async function contest(options: Contest): Promise<BenchResult> {
  const blocks = Math.max(5, options.blocks ?? 7);
  await options.ours();
  await options.theirs();
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let block = 0; block < blocks; block++) {
    for (const side of block % 2 === 0 ? [0, 1] : [1, 0]) {
      if (side === 0) ours.push(await options.ours());
      else theirs.push(await options.theirs());
    }
  }
  const ratios = ours.map((value, block) => value / (theirs[block] ?? Number.NaN));
  const show = (value: number) => `${value.toPrecision(3)} ${options.unit}`;
  return {
    name: options.name,
    ratio: quantile(ratios, 0.5),
    aim: options.aim,
    spread: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
    counts: `${blocks} blocks of ${options.block} each, alternating`,
    notes: [`ours ${show(quantile(ours, 0.5))}, theirs ${show(quantile(theirs, 0.5))}`, ...(options.notes ?? [])],
  };
}

/** Whether the aim was reached; undefined where nothing was measured or aimed at. */
export function reached({ ratio, aim }: BenchResult): boolean | undefined {
  if (ratio === undefined || aim === undefined) return undefined;
  return 'atMost' in aim ? ratio <= aim.atMost : ratio >= aim.atLeast;
}

/** Milliseconds that one call takes: the median of `count` calls, one after the other. */
export async function medianMs(count: number, action: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < count; n++) {
    const begun = performance.now();
    await action();
    times.push(performance.now() - begun);
  }
  return quantile(times, 0.5);
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * q;
  const low = sorted[Math.floor(position)] ?? Number.NaN;
  const high = sorted[Math.ceil(position)] ?? Number.NaN;
  return low + (high - low) * (position - Math.floor(position));
}
