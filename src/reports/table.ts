/** No cell makes its column wider than this: one endless cell must not push the other columns out of sight. */
const widest = 60;

/**
 * A table as lines of text, its head first. Columns are as wide as their widest cell, at most 60 characters; a longer
 * cell pushes what follows it in its line. A row with fewer cells than the head ends with one that spans the rest.
 */
export function textTable(head: readonly string[], rows: readonly (readonly string[])[], indent = ''): string {
  const lines = [head, ...rows].map((row) => row.map((cell) => cell.replace(/\s*[\r\n]+\s*/g, ' ')));
  const isSpanning = (row: readonly string[], column: number) => column === row.length - 1 && row.length < head.length;
  const widths = head.map((_, column) =>
    lines.reduce((width, row) => Math.max(width, isSpanning(row, column) ? 0 : lengthOf(row[column] ?? '')), 0),
  );
  const padded = (cell: string, column: number) =>
    cell + ' '.repeat(Math.max(0, Math.min(widths[column] ?? 0, widest) - lengthOf(cell)));
  return lines.map((row) => `${indent}${row.map(padded).join('  ')}`.trimEnd()).join('\n');
}

function lengthOf(text: string): number {
  return /^[\x20-\x7e]*$/.test(text) ? text.length : [...text].length;
}
