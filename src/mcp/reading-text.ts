import type { Listing, Reading } from '../proxmox/listing.ts';
import { quote, quoteNotice } from '../reports/quote.ts';
import { textTable } from '../reports/table.ts';
import type { ToolAnswer } from './define-tool.ts';

/** How many characters of lines of a log are answered, whose end counts, and of rows of a table. */
const most = { lines: 48_000, rows: 60_000 } as const;

/** What was read, as data and as text: our notes first, tables as they are, and lines of a log behind bars. */
export function answerOf(reading: Reading, about: Readonly<Record<string, string>>): ToolAnswer {
  const { notes = [], lines, columns, rows: all, facts, cursor: next, ...rest } = reading;
  const rows = all === undefined ? undefined : fittingRows(all);
  const isCut = all !== undefined && rows !== undefined && rows.length < all.length;
  // It would leave out what doesn't fit here.
  const cursor = isCut ? undefined : next;
  const kept = lines === undefined ? undefined : fitting(lines);
  const cut = lines !== undefined && kept !== undefined && kept.length < lines.length;
  const said = [
    ...notes,
    ...(cut ? [`Only the last ${kept.length} of these lines fit into an answer.`] : []),
    ...(isCut
      ? [`Only ${rows.length} of these ${all.length} rows fit into an answer: ask again with limit ${rows.length}.`]
      : []),
    ...(cursor === undefined ? [] : ['There are more: cursor gives the next.']),
    ...(rows?.length === 0 && lines === undefined ? ['There is none.'] : []),
  ];
  const known = withoutEmptyTables({ ...about, ...rest, ...facts });
  const data = {
    note: [...said, quoteNotice].join(' '),
    ...known,
    ...(rows !== undefined && rows.length > 0 && { columns, rows }),
    ...(kept !== undefined && { lines: kept.map((line) => quote(line)) }),
    ...(cursor !== undefined && { cursor }),
  };
  const text = [
    ...said,
    quoteNotice,
    ...Object.entries(known).map(([name, value]) => `${name}: ${inText(value)}`),
    ...(columns !== undefined && rows !== undefined && rows.length > 0 ? [tableText({ columns, rows })] : []),
    ...(kept ?? []).map((line) => quote(line)),
  ];
  return { data, text: text.join('\n') };
}

/** A table that holds nothing costs a model as much as one line that does. */
export function withoutEmptyTables(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const kept = Object.entries(value).filter(
    ([key, inner]) => !((key === 'columns' || key === 'rows') && Array.isArray(inner) && inner.length === 0),
  );
  return Object.fromEntries(kept.map(([key, inner]) => [key, isRecord(inner) ? withoutEmptyTables(inner) : inner]));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function tableText({ columns, rows }: Listing): string {
  return textTable(
    columns,
    rows.map((row) => row.map(String)),
  );
}

function inText(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : JSON.stringify(value);
}

function fittingRows(rows: Listing['rows']): Listing['rows'] {
  let left: number = most.rows;
  return rows.filter((row) => {
    left -= JSON.stringify(row).length;
    return left >= 0;
  });
}

function fitting(lines: readonly string[]): readonly string[] {
  let left: number = most.lines;
  let from = lines.length;
  while (from > 0 && left - (lines[from - 1]?.length ?? 0) - 4 >= 0) {
    from -= 1;
    left -= (lines[from]?.length ?? 0) + 4;
  }
  return lines.slice(from);
}
