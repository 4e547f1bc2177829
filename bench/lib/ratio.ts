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
  /** Blocks of each side. Default 7, at least 5. */
  readonly blocks?: number;
  /** Done first, and not measured. Default: a block of each. */
  readonly warmUp?: () => Promise<unknown>;
  /** No block is begun after so many seconds, except the first. Default: no bound. */
  readonly seconds?: number;
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
  if (options.warmUp === undefined) {
    await options.ours();
    await options.theirs();
  } else {
    await options.warmUp();
  }
  const until = performance.now() + (options.seconds ?? Number.POSITIVE_INFINITY) * 1000;
  const measured: { ours: number; theirs: number }[] = [];
  let endedEarly: string[] = [];
  try {
    while (measured.length < blocks && (measured.length === 0 || performance.now() < until)) {
      const oursFirst = measured.length % 2 === 0;
      const before = oursFirst ? await options.ours() : undefined;
      const theirs = await options.theirs();
      measured.push({ ours: before ?? (await options.ours()), theirs });
    }
  } catch (error) {
    // What was measured before stays true.
    if (measured.length === 0) throw error;
    endedEarly = [`ended early: ${firstLine(error)}`];
  }
  const ours = measured.map((pair) => pair.ours);
  const theirs = measured.map((pair) => pair.theirs);
  const ratios = measured.map((pair) => pair.ours / pair.theirs);
  const show = (value: number) => `${value.toPrecision(3)} ${options.unit}`;
  return {
    name: options.name,
    ratio: quantile(ratios, 0.5),
    aim: options.aim,
    spread: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
    counts: `${ours.length} ${ours.length === 1 ? 'block' : 'blocks'} of ${options.block} each, alternating`,
    notes: [
      `ours ${show(quantile(ours, 0.5))}, theirs ${show(quantile(theirs, 0.5))}`,
      ...endedEarly,
      ...(options.notes ?? []),
    ],
  };
}

/** In place of a result that could not be had. */
export function notMeasured({ name, aim }: Pick<Contest, 'name' | 'aim'>, why: unknown): BenchResult {
  return { name, aim, ratio: undefined, spread: undefined, counts: `not measured: ${firstLine(why)}`, notes: [] };
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
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
