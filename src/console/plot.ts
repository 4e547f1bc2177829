import { readableTime } from '../reports/units.ts';

/** One thing of a plot. */
export interface PlotPoint {
  /** ISO 8601. */
  readonly at: string;
  readonly value: number;
  /** It counts; else it is drawn hollow. */
  readonly counts: boolean;
}

export interface Plot {
  readonly title: string;
  /** The same in words, for who doesn't see it. */
  readonly text: string;
  readonly width: number;
  readonly height: number;
  /** Where the ground is, and the line of the largest value. */
  readonly bottom: number;
  readonly top: number;
  readonly left: number;
  readonly largest: string;
  readonly first: string;
  readonly last: string;
  readonly bars: readonly {
    readonly x: number;
    readonly y: number;
    readonly width: number;
    readonly height: number;
    readonly counts: boolean;
    readonly tip: string;
  }[];
}

const [width, height, left, top, bottom] = [640, 150, 84, 14, 122];

/**
 * A bar for each value over its time, from zero up. Undefined for fewer than two, of which nothing can be seen.
 *
 * @param words a value as it is read
 */
export function plotOf(
  title: string,
  points: readonly PlotPoint[],
  words: (value: number) => string,
  timeZone: string,
): Plot | undefined {
  const sorted = points.toSorted((a, b) => a.at.localeCompare(b.at));
  const [first, last] = [sorted[0], sorted.at(-1)];
  if (first === undefined || last === undefined || sorted.length < 2) return undefined;
  const values = sorted.map(({ value }) => value);
  const largest = Math.max(...values);
  const [begin, end] = [Date.parse(first.at), Date.parse(last.at)];
  const room = width - left - 12;
  const thick = Math.max(2, Math.min(14, (room / sorted.length) * 0.6));
  const when = ({ at }: PlotPoint) => readableTime(at, timeZone);
  return {
    title,
    text: `${sorted.length} backups from ${when(first)} to ${when(last)}: the first ${words(first.value)}, the last ${words(last.value)}, the smallest ${words(Math.min(...values))}, the largest ${words(largest)}.`,
    ...{ width, height, bottom, top, left },
    largest: words(largest),
    first: when(first).slice(0, 10),
    last: when(last).slice(0, 10),
    bars: sorted.map((point) => {
      const tall = largest === 0 ? 0 : Math.max(1, (point.value / largest) * (bottom - top));
      const at = end === begin ? 0 : (Date.parse(point.at) - begin) / (end - begin);
      return {
        x: rounded(left + at * (room - thick)),
        y: rounded(bottom - tall),
        width: rounded(thick),
        height: rounded(tall),
        counts: point.counts,
        tip: `${when(point)}: ${words(point.value)}${point.counts ? '' : ', does not count'}`,
      };
    }),
  };
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
