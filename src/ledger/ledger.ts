import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { ServiceError } from '../errors.ts';
import type {
  LedgerAnchor,
  LedgerFilter,
  LedgerHead,
  LedgerPage,
  LedgerRecord,
  LedgerVerification,
  NewRecord,
} from '../operations/ledger.ts';
import type { Redact } from '../secret.ts';
import {
  awayKey,
  digestOf,
  genesis,
  makeRecord,
  readRecord,
  type SealData,
  type StoredRecord,
  sameContent,
  sealData,
} from './chain.ts';
import { cleanRecord } from './clean-record.ts';
import { copyLedger } from './copy.ts';
import { openHeadFile, readHeadFile } from './head-file.ts';
import { ledgerKey } from './key.ts';
import { ledgerPaths, segmentsIn } from './paths.ts';
import { isSealed, openSegment, readSegment, type Segment } from './segment.ts';
import { verifySegments } from './verify.ts';

/** What became of a record that was to be appended. */
export interface Appended {
  readonly seq: number;
  /** It was there already: the key is written once. */
  readonly existing: boolean;
  /** And the record that is there says something else. */
  readonly conflict: boolean;
}

/** Looks and appends of which nobody else's come in between; all of them count, or none. */
export interface LedgerTransaction {
  byKey(key: string): LedgerRecord | undefined;
  /** Newest first. */
  ofRun(run: string, kind: NewRecord['kind']): readonly LedgerRecord[];
  append(record: NewRecord): Appended;
  /** Number of the record that an older state was restored last; 0: never. What was approved before counts as used. */
  restoredAt(): number;
}

/** The ledger, opened by its only owner. What it has answered is on the disk. */
export interface Ledger {
  /** In their order; each key once. */
  append(records: readonly NewRecord[]): Promise<readonly Appended[]>;
  /** @param work has to be done when it returns, and to throw before it appends, where it refuses */
  transact<Result>(work: (transaction: LedgerTransaction) => Result): Promise<Result>;
  search(filter: LedgerFilter): LedgerPage;
  get(seq: number): LedgerRecord | undefined;
  /** Newest first, of this and the segments before as far as they are carried. */
  outcomesOf(operation: string, target: string, most: number): readonly LedgerRecord[];
  head(): LedgerHead | undefined;
  /**
   * Writes down, once for each key, that an older state of the service was put back. Where the ledger itself was, or where a head
   * is known from elsewhere that it doesn't have, what it holds is sealed, and the record begins a new segment behind a gap in
   * the numbers, in which all lie that may have been lost: no number is ever given twice.
   */
  recordRestore(restore: Restore): Promise<LedgerRecord>;
  /** All of it as at one moment, into a new folder; others append meanwhile. */
  copyTo(folder: string): Promise<void>;
  /** Looks at every record, and lets others append meanwhile. */
  verify(options?: {
    readonly anchors?: readonly LedgerAnchor[] | undefined;
    readonly onProgress?: (records: number) => void;
  }): Promise<LedgerVerification>;
  close(): Promise<void>;
}

/** That an older state was put back. */
export interface Restore {
  /** What tells it from every other. */
  readonly id: string;
  readonly by: string;
  readonly text: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** The ledger itself was. Default: only what its anchors tell. */
  readonly isOlder: boolean;
  /** Heads of it that are known from elsewhere, as before the restore. */
  readonly anchors: readonly (LedgerAnchor & { readonly from: string })[];
}

export interface LedgerOptions {
  /** `<dataDir>/ledger`. */
  readonly folder: string;
  /** Makes this process the only owner, or says who is. */
  readonly claim: () =>
    | { readonly held: true; readonly release: () => void }
    | { readonly held: false; readonly holder: { readonly pid: number; readonly machine?: string } };
  readonly redact: Redact;
  /** Records of a segment before it is sealed. Default: 250,000. */
  readonly segmentRecords?: number;
  readonly now?: () => number;
  /** An older state of it was put back, which is recorded next: that its end is away is no news. */
  readonly isRestored?: boolean;
}

interface Work {
  readonly work: (transaction: LedgerTransaction) => unknown;
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
}

interface Range {
  readonly first: StoredRecord;
  readonly last: StoredRecord;
}

/** How long a key is known after its segment is away. */
const carriedMs = 90 * 24 * 60 * 60 * 1_000;
/** Sealed segments that are open at a time. */
const mostReaders = 8;
/** Of one kind; a run has far fewer. */
const mostOfRun = 10_000;
/** What is waited for at the same time is written at the same time, but no more than this. */
const mostInOneCommit = 1_000;
/** Records that may have been written after the newest head that is known from elsewhere: anchors are an hour apart. */
const mostUnanchored = 10_000;

/** Opens the ledger, and makes it where there is none. Throws `already-exists` where another process has it. */
export function openLedger({
  folder,
  claim,
  redact,
  segmentRecords = 250_000,
  now = Date.now,
  isRestored = false,
}: LedgerOptions): Ledger {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const paths = ledgerPaths(folder);
  const claimed = claim();
  if (!claimed.held) {
    throw new ServiceError({
      code: 'already-exists',
      message: `The ledger in ${folder} is open in another process (${claimed.holder.pid}${claimed.holder.machine === undefined ? '' : ` of ${claimed.holder.machine}`})`,
      remedy: 'One worker has it for all of them. Stop that one, or let this one work without.',
    });
  }
  const { release } = claimed;
  try {
    return open();
  } catch (error) {
    release();
    throw error;
  }

  function open(): Ledger {
    const there = segmentsIn(folder);
    const key = ledgerKey(paths.key, { mayMake: there.length === 0 });
    const newest = there.at(-1) ?? 1;
    for (const number of there) {
      const path = paths.segment(number);
      // A crash between the beginning of a segment and the end of the one before.
      if (number !== newest && !isSealed(path)) openSegment(path, number).seal();
    }
    for (const name of readdirSync(folder)) if (name.includes('.new')) rmSync(join(folder, name), { recursive: true });
    let current = openSegment(paths.segment(newest), newest);
    let count = current.count();
    let tip: StoredRecord | undefined;
    let at = '';
    const heads = openHeadFile(paths.head, key);
    const waiting: Work[] = [];
    let writing: Promise<void> | undefined;
    let isClosed = false;
    /** First and last number of sealed segments, which don't change. */
    const ranges = new Map<number, Range>();
    /** Sealed segments that were looked into lately: opening one takes longer than most searches. */
    const readers = new Map<number, Segment>();

    seek();
    // It was sealed, and then the process died.
    if (isAtEnd()) begin();
    // Before its first record, so that a process that dies right after that one leaves a head, too.
    if (tip === undefined && readHeadFile(paths.head, key) === 'absent') {
      heads.begin({ seq: 0, hash: genesis, at: new Date(now()).toISOString() });
    }
    if (!isRestored) sayWhatIsAway();
    let restoredAt = current.newest('restore')?.seq ?? 0;

    const transaction: LedgerTransaction = {
      byKey: (wanted) => {
        const found = current.byKey(wanted);
        return found && readRecord(found);
      },
      ofRun: (run, kind) => current.ofRun(run, kind, mostOfRun).map(readRecord),
      append: (record) => append(cleanRecord(record, redact)),
      restoredAt: () => restoredAt,
    };

    return {
      async append(records) {
        // None is written where one of them can't be.
        const clean = records.map((record) => cleanRecord(record, redact));
        return transact(() => clean.map(append));
      },
      transact,
      search,
      get,
      outcomesOf: (operation, target, most) => current.outcomesOf(operation, target, most).map(readRecord),
      head,
      recordRestore,
      copyTo: (into) => copyLedger(folder, into, () => current.number),
      verify: ({ anchors = [], onProgress } = {}) =>
        verifySegments({
          key,
          head: readHeadFile(paths.head, key),
          anchors,
          segments: segments(),
          // What is appended from now on is not looked at.
          until: tip?.seq ?? 0,
          within,
          ...(onProgress && { onProgress }),
        }),
      async close() {
        isClosed = true;
        await writing;
        for (const reader of readers.values()) reader.close();
        current.close();
        heads.close();
        release();
      },
    };

    /** What is at the end of the newest segment, or of the one before it where that is empty. */
    function seek(): void {
      tip = current.last() ?? current.newestSeal();
      at = tip === undefined ? '' : timeOf(tip);
    }

    function isAtEnd(): boolean {
      return tip !== undefined && isSeal(tip) && current.last() !== undefined;
    }

    function head(): LedgerHead | undefined {
      return tip && { seq: tip.seq, hash: tip.hash, at };
    }

    function append(record: NewRecord): Appended {
      const before = current.byKey(record.key);
      if (before === undefined) return { seq: put(record).seq, existing: false, conflict: false };
      return { seq: before.seq, existing: true, conflict: !sameContent(before, record) };
    }

    function transact<Result>(work: (transaction: LedgerTransaction) => Result): Promise<Result> {
      if (isClosed) {
        return Promise.reject(
          new ServiceError({
            code: 'unavailable',
            message: 'The ledger is being closed',
            remedy: 'It is tried again by itself.',
            retryable: true,
          }),
        );
      }
      return new Promise<Result>((resolve, reject) => {
        waiting.push({ work, resolve: resolve as (result: never) => void, reject });
        writing ??= write();
      });
    }

    async function write(): Promise<void> {
      // Whoever asks in the same moment comes along.
      await turn();
      while (waiting.length > 0) {
        commit(waiting.splice(0, mostInOneCommit));
        await turn();
      }
      writing = undefined;
    }

    function commit(works: readonly Work[]): void {
      const done: (() => void)[] = [];
      const before = { tip, at, count };
      try {
        if (count >= segmentRecords) seal();
        current.transaction(() => {
          for (const { work, resolve, reject } of works) {
            try {
              const result = work(transaction);
              done.push(() => resolve(result as never));
            } catch (error) {
              if (!(error instanceof ServiceError)) throw error;
              done.push(() => reject(error));
            }
          }
        });
      } catch (error) {
        ({ tip, at, count } = before);
        for (const { reject } of works) reject(unwritable(error, folder));
        return;
      }
      const newHead = head();
      if (newHead !== undefined) heads.write(newHead);
      for (const tell of done) tell();
    }

    function put(record: NewRecord, seq = (tip?.seq ?? 0) + 1): StoredRecord {
      const clock = new Date(now()).toISOString();
      // Times never go back, whatever is done to the clock.
      const time = clock > at ? clock : at;
      const made = makeRecord(key, { seq, at: time, previous: tip?.hash ?? genesis }, record);
      current.append(made);
      tip = made;
      at = time;
      count += 1;
      return made;
    }

    /** The segment ends with a record that says what it held, and the next one begins with what is still needed of it. */
    function seal(): void {
      const last = tip;
      const since = new Date(Date.parse(at) - carriedMs).toISOString();
      const carried = digestOf(current.needed(since));
      const data: SealData = { segment: current.number, records: count, last: last?.seq ?? 0, since, carried };
      current.transaction(() =>
        put({
          key: `seal/${current.number}`,
          kind: 'seal',
          text: `Segment ${current.number} of the ledger ends here, after ${count} records`,
          data: { ...data },
        }),
      );
      const newHead = head();
      if (newHead !== undefined) heads.write(newHead);
      begin();
    }

    async function recordRestore({ id, by, text, data, isOlder, anchors }: Restore): Promise<LedgerRecord> {
      await writing;
      const recordKey = `restore/${id}`;
      const before = current.byKey(recordKey);
      if (before !== undefined) return readRecord(before);
      const had = readHeadFile(paths.head, key);
      const beside = typeof had === 'string' || had.seq === 0 ? [] : [{ ...had, from: 'the head beside it' }];
      // Sealed for this already, and then the process died.
      const isBegun = tip !== undefined && isSeal(tip) && current.last() === undefined;
      const ends =
        isBegun && tip ? { seq: tip.seq - 1, hash: tip.previous } : { seq: tip?.seq ?? 0, hash: tip?.hash ?? genesis };
      const known = [...anchors, ...beside].sort((a, b) => a.seq - b.seq);
      const newest = known.at(-1);
      const first = firstSeq() ?? 0;
      const isAway = ({ seq, hash }: LedgerAnchor) =>
        seq > (tip?.seq ?? 0) || (seq >= first && get(seq)?.hash !== hash);
      // Those of an earlier restore are known to be lost.
      const lacks = known.some((one) => one.seq > restoredAt && isAway(one));
      const lost =
        isOlder || lacks
          ? { from: ends.seq + 1, to: Math.max(ends.seq + 1, newest?.seq ?? 0) + mostUnanchored }
          : undefined;
      if (lost !== undefined && tip !== undefined && !isBegun) seal();
      const record = cleanRecord(
        {
          key: recordKey,
          kind: 'restore',
          by,
          text: lost === undefined ? text : `${text}. ${lostWords({ ...lost, newest: newest?.seq })}`,
          data: {
            ...data,
            ends,
            ...(lost && { lost }),
            ...(newest && { newest: { seq: newest.seq, hash: newest.hash, from: newest.from } }),
          },
        },
        redact,
      );
      const made = current.transaction(() => put(record, lost === undefined ? undefined : lost.to + 1));
      restoredAt = made.seq;
      heads.write({ seq: made.seq, hash: made.hash, at });
      return readRecord(made);
    }

    function firstSeq(): number | undefined {
      return segments()
        .flatMap((number) => rangeOf(number)?.first.seq ?? [])
        .at(0);
    }

    /** Begins the next segment after a seal; whole, or not at all. */
    function begin(): void {
      if (tip === undefined) return;
      const number = current.number + 1;
      const path = paths.segment(number);
      const draft = `${path}.new`;
      rmSync(draft, { force: true });
      const made = openSegment(draft, number);
      const { since } = sealData.parse(readRecord(tip).data);
      const end = tip;
      made.transaction(() => {
        for (const record of current.needed(since)) made.carry(record);
        made.carry(end);
      });
      made.close();
      renameSync(draft, path);
      current.seal();
      current = openSegment(path, number);
      count = 0;
    }

    function search(filter: LedgerFilter): LedgerPage {
      const records: StoredRecord[] = [];
      const missing: number[] = [];
      for (let number = current.number; number >= 1 && records.length < filter.limit; number -= 1) {
        if (!segments().includes(number)) {
          missing.push(number);
          continue;
        }
        const range = rangeOf(number);
        if (range === undefined || (filter.before !== undefined && range.first.seq >= filter.before)) continue;
        if (filter.since !== undefined && timeOf(range.last) < filter.since) break;
        const limit = filter.limit - records.length;
        records.push(...within(number, (segment) => segment.find({ ...filter, limit })));
      }
      const last = records.at(-1);
      return {
        records: records.map(readRecord),
        ...(last !== undefined && records.length === filter.limit ? { before: last.seq } : {}),
        missing,
      };
    }

    function get(seq: number): LedgerRecord | undefined {
      const number = segments().findLast((one) => (rangeOf(one)?.first.seq ?? Number.POSITIVE_INFINITY) <= seq);
      const found = number === undefined ? undefined : within(number, (segment) => segment.at(seq));
      return found && readRecord(found);
    }

    function segments(): readonly number[] {
      return segmentsIn(folder);
    }

    function rangeOf(number: number): Range | undefined {
      const known = ranges.get(number);
      if (known !== undefined) return known;
      const found = within(number, (segment) => {
        const [first, last] = [segment.first(), segment.last()];
        return first && last && { first, last };
      });
      if (found !== undefined && number !== current.number) ranges.set(number, found);
      return found;
    }

    function within<Result>(number: number, look: (segment: Segment) => Result): Result {
      if (number === current.number) return look(current);
      const known = readers.get(number);
      readers.delete(number);
      const segment = known ?? readSegment(paths.segment(number), number);
      // The last in the map is the one that was used last.
      readers.set(number, segment);
      const [oldest] = readers;
      if (oldest !== undefined && readers.size > mostReaders) {
        readers.delete(oldest[0]);
        oldest[1].close();
      }
      try {
        return look(segment);
      } catch (error) {
        readers.delete(number);
        segment.close();
        throw error;
      }
    }

    /** What the head beside says must be there. If it isn't, that is written down, so that it can't be forgotten. */
    function sayWhatIsAway(): void {
      const had = readHeadFile(paths.head, key);
      const newest = head();
      const has = newest?.seq ?? 0;
      const isThere = ({ seq, hash }: LedgerHead) => (seq === 0 ? hash === genesis : get(seq)?.hash === hash);
      if (typeof had !== 'string' && had.seq <= has && isThere(had)) return;
      const text =
        had === 'absent'
          ? `When the ledger was opened the file beside it that holds its head was away; it ended at ${has}`
          : had === 'damaged'
            ? `When the ledger was opened the file beside it that holds its head was not one of its own; it ended at ${has}`
            : `When the ledger was opened it ended at ${has}, but it had had record ${had.seq}: its end was cut off, or an older copy was restored`;
      current.transaction(() =>
        put({
          key: `${awayKey}${has}/${randomUUID()}`,
          kind: 'anchor',
          text,
          data: { has, ...(typeof had === 'string' ? {} : { had }) },
        }),
      );
      const written = head();
      if (written !== undefined) heads.write(written);
    }
  }
}

function timeOf({ body }: StoredRecord): string {
  return (JSON.parse(body) as { at: string }).at;
}

function lostWords({ from, newest }: { readonly from: number; readonly newest: number | undefined }): string {
  if (newest === undefined || newest < from) return `What was recorded from number ${from} on is lost`;
  return `Records ${from} to ${newest} are lost, and whatever was recorded after them`;
}

function isSeal({ body }: StoredRecord): boolean {
  return (JSON.parse(body) as { kind: string }).kind === 'seal';
}

/** A full disk, most of all. Nothing of it was written. */
function unwritable(error: unknown, folder: string): ServiceError {
  return new ServiceError({
    code: 'unavailable',
    message: `The ledger in ${folder} could not be written: ${error instanceof Error ? error.message : String(error)}`,
    remedy: 'Look whether its disk is full or broken. It is tried again by itself.',
    retryable: true,
    cause: error,
  });
}
