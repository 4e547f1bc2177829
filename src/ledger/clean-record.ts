import { ServiceError } from '../errors.ts';
import type { NewRecord } from '../operations/ledger.ts';
import { cleanLine, cleanText } from '../reports/clean.ts';
import type { Redact } from '../secret.ts';

const most = { key: 500, name: 300, text: 2_000, dataText: 8_000, depth: 12 } as const;
/** Of `data` as JSON, in bytes. */
export const mostData = 64 * 1_024;

/**
 * A record that may be kept: cleaned, without known secrets, bounded. The same record always becomes the same one. Where
 * `data` is too long its longest parts are left out, and say so.
 */
export function cleanRecord(record: NewRecord, redact: Redact): NewRecord {
  const name = (value: string | undefined, max: number = most.name) =>
    value === undefined ? undefined : cleanLine(redact(value), max - 40);
  const { run, attempt, operation, target, by, data } = record;
  return {
    key: checkedKey(redact(record.key)),
    kind: record.kind,
    ...optional('run', name(run, most.key)),
    ...optional('attempt', name(attempt)),
    ...optional('operation', name(operation)),
    ...optional('target', name(target)),
    ...optional('by', name(by)),
    text: cleanLine(redact(record.text), most.text - 40),
    ...optional('data', data === undefined ? undefined : boundedData(data, redact)),
  };
}

/** It is never shortened: two long keys must not become one. */
function checkedKey(key: string): string {
  if (key !== '' && key.length <= most.key && cleanLine(key, most.key) === key) return key;
  throw new ServiceError({
    code: 'invalid-input',
    message: 'The key of a ledger record is empty, too long, or holds what can not be seen',
    remedy: `Give 1 to ${most.key} printable characters.`,
  });
}

function optional<Key extends string, Value>(key: Key, value: Value | undefined): { [K in Key]?: Value } {
  return (value === undefined ? {} : { [key]: value }) as { [K in Key]?: Value };
}

function boundedData(data: Readonly<Record<string, unknown>>, redact: Redact): Record<string, unknown> {
  const entries = Object.entries(data).map(([key, value]) => {
    const clean = cleanDeep(value, redact, most.depth);
    return { key: cleanLine(redact(key), most.name), value: clean, size: sizeOf(clean) };
  });
  const all = () => Object.fromEntries(entries.map(({ key, value }) => [key, value]));
  for (const entry of [...entries].sort((a, b) => b.size - a.size)) {
    if (sizeOf(all()) <= mostData) break;
    entry.value = `(${entry.size} bytes of JSON were left out: too long for the ledger)`;
  }
  const kept = all();
  return sizeOf(kept) <= mostData
    ? kept
    : { left: `(${entries.length} entries were left out: too long for the ledger)` };
}

/** As JSON has it: what isn't in JSON is left out, as `JSON.stringify` does. */
function cleanDeep(value: unknown, redact: Redact, depth: number): unknown {
  if (typeof value === 'string') return cleanText(redact(value), most.dataText);
  if (value === null || typeof value !== 'object') return value;
  if (depth === 0) return '…';
  if (Array.isArray(value)) return value.map((one) => cleanDeep(one, redact, depth - 1));
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .map(([key, inner]) => [cleanLine(redact(key), most.name), cleanDeep(inner, redact, depth - 1)]),
  );
}

function sizeOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value) ?? '');
}
