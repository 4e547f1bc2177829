import { createHash, createHmac } from 'node:crypto';
import { z } from 'zod';
import { type LedgerRecord, ledgerRecord, type NewRecord } from '../operations/ledger.ts';

/** A record as it is stored: `body` is the exact text that the hash is over. */
export interface StoredRecord {
  readonly seq: number;
  readonly previous: string;
  readonly hash: string;
  readonly body: string;
}

/** What the very first record has as its previous hash. */
export const genesis = '0'.repeat(64);

/** Nobody makes it without the key, and nobody moves a record: the hash of the one before is in it. */
export function hashOf(key: Buffer, previous: string, body: string): string {
  return createHmac('sha256', key).update(`${previous}\n${body}`).digest('hex');
}

/** The text of a record. Its number is in it, and every field has its place, so that the same record is the same text. */
export function bodyOf(seq: number, at: string, record: NewRecord): string {
  return JSON.stringify({ seq, at, ...fieldsOf(record) });
}

/** What tells whether two records of one key say the same: everything but number and time. */
export function sameContent({ body }: StoredRecord, record: NewRecord): boolean {
  const { seq: _, at: __, ...before } = JSON.parse(body) as Record<string, unknown>;
  return JSON.stringify(before) === JSON.stringify(fieldsOf(record));
}

function fieldsOf({ key, kind, run, attempt, operation, target, by, text, data }: NewRecord): NewRecord {
  return {
    key,
    kind,
    ...(run === undefined ? {} : { run }),
    ...(attempt === undefined ? {} : { attempt }),
    ...(operation === undefined ? {} : { operation }),
    ...(target === undefined ? {} : { target }),
    ...(by === undefined ? {} : { by }),
    text,
    ...(data === undefined ? {} : { data }),
  };
}

export function makeRecord(
  key: Buffer,
  { seq, at, previous }: { readonly seq: number; readonly at: string; readonly previous: string },
  record: NewRecord,
): StoredRecord {
  const body = bodyOf(seq, at, record);
  return { seq, previous, hash: hashOf(key, previous, body), body };
}

/** A stored record as others see it. Throws where the body is none. */
export function readRecord({ previous, hash, body }: StoredRecord): LedgerRecord {
  return ledgerRecord.parse({ ...JSON.parse(body), previous, hash });
}

/** What a seal says of its segment: its number, its records without the seal, and what was carried from it into the next. */
export const sealData = z.object({
  segment: z.int().min(1),
  records: z.int().min(0),
  last: z.int().min(0),
  since: z.iso.datetime(),
  carried: z.object({ count: z.int().min(0), digest: z.string() }),
});
export type SealData = z.infer<typeof sealData>;

/** How the keys of records begin that say that something was away when the ledger was opened. */
export const awayKey = 'ledger/away/';

/** Over the records that are carried into the next segment: it stands in the seal, so that none of them can be left out. */
export function digestOf(carried: Iterable<Pick<StoredRecord, 'hash'>>): { count: number; digest: string } {
  const sum = createHash('sha256');
  let count = 0;
  for (const { hash } of carried) {
    sum.update(hash);
    count += 1;
  }
  return { count, digest: sum.digest('hex') };
}

/** What a record that an older state was restored says of a ledger that is older itself: which numbers nobody has from then on. */
export const lostData = z.object({
  ends: z.object({ seq: z.int().min(0), hash: z.string() }),
  lost: z.object({ from: z.int().min(1), to: z.int().min(1) }),
});
