import { ServiceError } from '../errors.ts';
import { cleanLine } from '../reports/clean.ts';

/** Longest text of one cell, in characters. */
const longestCell = 300;

export type Cell = string | number | boolean | undefined;

/** A table that is cheap to read: columns without anything in them are left out, and so are trailing empty cells. */
export interface Listing {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

/** What was read of a node or cluster, as a model and a person get it. Every text of the other side is cleaned. */
export interface Reading extends Partial<Listing> {
  readonly facts?: Readonly<Record<string, unknown>>;
  /** Lines of a log, oldest first. */
  readonly lines?: readonly string[];
  /** What is to be known beside it, in our words: what the API token doesn't see, what is bounded. */
  readonly notes?: readonly string[];
  /** Where the next page begins. */
  readonly cursor?: string;
}

/** One column: its name and what of a row stands in it. */
export type Columns<Row> = Readonly<Record<string, (row: Row) => Cell>>;

/** A table of some rows, cleaned. */
export function listing<Row>(rows: readonly Row[], columns: Columns<Row>): Listing {
  const cells = rows.map((row) => Object.values(columns).map((value) => shownCell(value(row))));
  const names = Object.keys(columns);
  const used = names.map((_, at) => cells.some((row) => row[at] !== ''));
  const isUsed = (_: unknown, at: number) => used[at] === true;
  return { columns: names.filter(isUsed), rows: cells.map((row) => row.filter(isUsed)) };
}

function shownCell(value: Cell): string | number {
  if (value === undefined) return '';
  if (typeof value === 'boolean') return value ? 'yes' : '';
  return typeof value === 'number' ? value : cleanLine(value, longestCell);
}

/** One page of a list that is asked for again as a whole: rows that come or go meanwhile may move a row, never the order. */
export interface Page {
  readonly limit: number;
  readonly cursor?: string | undefined;
}

export function pageOf<Row>(
  rows: readonly Row[],
  { limit, cursor }: Page,
): { readonly shown: readonly Row[]; readonly cursor?: string; readonly notes?: readonly string[] } {
  const start = offsetIn(cursor);
  const end = start + limit;
  const shown = rows.slice(start, end);
  if (end >= rows.length) return { shown };
  return { shown, cursor: String(end), notes: [`${shown.length} of ${rows.length} are shown; cursor gives the next.`] };
}

/** Throws `invalid-input` for a cursor that no answer gave. */
export function offsetIn(cursor: string | undefined): number {
  if (cursor === undefined) return 0;
  if (/^\d{1,7}$/.test(cursor)) return Number(cursor);
  throw badCursor(cursor);
}

export function badCursor(cursor: string): ServiceError {
  return new ServiceError({
    code: 'invalid-input',
    message: `cursor: ${JSON.stringify(cleanLine(cursor, 80))} is none that an answer gave`,
    remedy: 'Give the cursor of the last answer as it is, with the same filters, or leave it out to begin anew.',
    details: { field: 'cursor' },
  });
}

/** `2026-11-22 09:00` in UTC, of Unix seconds. */
export function timeOf(seconds: number | undefined): string | undefined {
  if (seconds === undefined || !(seconds > 0 && seconds <= 253_402_300_799)) return undefined;
  return `${new Date(seconds * 1000).toISOString().slice(0, 16).replace('T', ' ')}Z`;
}

/** `2.5`, `40`: as exact as anybody needs. */
export function percent(share: number | undefined): string | undefined {
  if (share === undefined || !Number.isFinite(share)) return undefined;
  const value = share * 100;
  return `${value < 9.95 ? value.toFixed(1).replace(/\.0$/, '') : Math.round(value)}%`;
}

/** `1.5G` of bytes, in units of 1024. */
export function size(bytes: number | undefined): string | undefined {
  if (bytes === undefined || !Number.isFinite(bytes) || bytes < 0) return undefined;
  const units = ['B', 'K', 'M', 'G', 'T', 'P'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1).replace(/\.0$/, '')}${units[unit]}`;
}

/** `1.5G/4G`, or only how large it is where nobody knows how much of it is used. */
export function usedOf(used: number | undefined, total: number | undefined): string | undefined {
  const whole = size(total);
  return used === undefined || whole === undefined ? whole : `${size(used)}/${whole}`;
}

/** `12d 3h`, `5h 10m`, `3m`, `20s` */
export function age(seconds: number | undefined): string | undefined {
  if (seconds === undefined || !(seconds > 0)) return undefined;
  if (seconds < 60) return `${Math.floor(seconds)}s`;
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (hours >= 24) return `${Math.floor(hours / 24)}d ${hours % 24}h`;
  return hours > 0 ? `${hours}h ${minutes % 60}m` : `${minutes}m`;
}
