import { z } from 'zod';
import type { ProxmoxClient } from './client.ts';
import { type Listing, listing, percent, size, timeOf } from './listing.ts';
import { figure } from './schemas.ts';
import type { CallOptions } from './transport.ts';

/** How far back Proxmox keeps averages, each in coarser steps than the one before. */
export const timeframes = ['hour', 'day', 'week', 'month', 'year'] as const;
export type Timeframe = (typeof timeframes)[number];

/** So many points are shown, each the average of what it stands for. */
const shownPoints = 12;

const point = z.looseObject({
  time: figure,
  /** Share of all its CPUs. This and the following are absent while nothing was measured. */
  cpu: figure.nullish(),
  maxcpu: figure.nullish(),
  mem: figure.nullish(),
  maxmem: figure.nullish(),
  disk: figure.nullish(),
  maxdisk: figure.nullish(),
  /** Bytes per second. */
  netin: figure.nullish(),
  netout: figure.nullish(),
  diskread: figure.nullish(),
  diskwrite: figure.nullish(),
  /** Of a node, which calls its own by other names. */
  loadavg: figure.nullish(),
  iowait: figure.nullish(),
  memused: figure.nullish(),
  memtotal: figure.nullish(),
  rootused: figure.nullish(),
  roottotal: figure.nullish(),
  /** Of a storage. */
  used: figure.nullish(),
  total: figure.nullish(),
});
const points = z.array(point);
type Point = z.infer<typeof point>;

/** Averages over time, condensed: what is typical and what was the most, and some points in between. */
export interface Metrics extends Listing {
  readonly timeframe: Timeframe;
  /** Since when, and in which steps Proxmox keeps it. */
  readonly from?: string;
  readonly to?: string;
  readonly measured: number;
  /** Highest average of a step, and the mean of all. */
  readonly summary: Readonly<
    Record<string, { readonly average: string; readonly highest: string; readonly at: string }>
  >;
  /** Times are UTC. */
}

/** @param template a path that ends with `rrddata`, with its values */
export async function readMetrics(
  client: ProxmoxClient,
  template: string,
  values: readonly string[],
  timeframe: Timeframe,
  options?: CallOptions,
): Promise<Metrics> {
  const seen = await client.read(points, template, values, { timeframe, cf: 'AVERAGE' }, options);
  return condense(seen, timeframe);
}

type Figures = Readonly<Record<string, (point: Point) => number | undefined>>;

const share = (part: number | null | undefined, whole: number | null | undefined) =>
  part == null || !whole ? undefined : part / whole;

/** What is shown, and whether it is a share or bytes. */
const shares: Figures = {
  cpu: ({ cpu }) => cpu ?? undefined,
  iowait: ({ iowait }) => iowait ?? undefined,
  memory: ({ mem, maxmem, memused, memtotal }) => share(mem ?? memused, maxmem ?? memtotal),
  disk: ({ disk, maxdisk, rootused, roottotal, used, total }) =>
    share(disk || (rootused ?? used), maxdisk ?? roottotal ?? total),
};
const rates: Figures = {
  netin: ({ netin }) => netin ?? undefined,
  netout: ({ netout }) => netout ?? undefined,
  diskread: ({ diskread }) => diskread ?? undefined,
  diskwrite: ({ diskwrite }) => diskwrite ?? undefined,
};
const numbers: Figures = { load: ({ loadavg }) => loadavg ?? undefined };

const figures: readonly (readonly [string, Figures[string], (value: number) => string])[] = [
  ...Object.entries(shares).map(([name, of]) => [name, of, (value: number) => percent(value) ?? ''] as const),
  ...Object.entries(numbers).map(([name, of]) => [name, of, (value: number) => value.toFixed(2)] as const),
  ...Object.entries(rates).map(([name, of]) => [name, of, (value: number) => `${size(value) ?? ''}/s`] as const),
];

/** Exported for what has the points already. */
export function condense(seen: readonly Point[], timeframe: Timeframe): Metrics {
  const inOrder = seen.toSorted((a, b) => a.time - b.time);
  const measured = inOrder.filter((one) => figures.some(([, of]) => of?.(one) !== undefined));
  const buckets = inBuckets(measured);
  const summary = Object.fromEntries(
    figures.flatMap(([name, of, show]) => {
      const values = measured.flatMap((one) => {
        const value = of?.(one);
        return value === undefined ? [] : [{ value, time: one.time }];
      });
      const highest = values.reduce(
        (most, one) => (one.value > most.value ? one : most),
        values[0] ?? { value: 0, time: 0 },
      );
      if (values.length === 0) return [];
      const average = values.reduce((sum, { value }) => sum + value, 0) / values.length;
      return [[name, { average: show(average), highest: show(highest.value), at: timeOf(highest.time) ?? '' }]];
    }),
  );
  const [from, to] = [timeOf(measured[0]?.time), timeOf(measured.at(-1)?.time)];
  return {
    timeframe,
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
    measured: measured.length,
    summary,
    ...listing(buckets, {
      until: (bucket) => timeOf(bucket.at(-1)?.time),
      ...Object.fromEntries(
        figures.map(([name, of, show]) => [
          name,
          (bucket: readonly Point[]) => {
            const values = bucket.flatMap((one) => of?.(one) ?? []);
            return values.length === 0 ? undefined : show(values.reduce((sum, one) => sum + one, 0) / values.length);
          },
        ]),
      ),
    }),
  };
}

/** As even as it goes, none of them empty. */
function inBuckets(measured: readonly Point[]): readonly (readonly Point[])[] {
  const count = Math.min(shownPoints, measured.length);
  return Array.from({ length: count }, (_, at) =>
    measured.slice(Math.floor((at * measured.length) / count), Math.floor(((at + 1) * measured.length) / count)),
  );
}
