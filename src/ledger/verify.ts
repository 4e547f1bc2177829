import { setImmediate as turn } from 'node:timers/promises';
import type { LedgerAnchor, LedgerHead, LedgerVerification, LostRecords } from '../operations/ledger.ts';
import { awayKey, digestOf, genesis, hashOf, lostData, type SealData, type StoredRecord, sealData } from './chain.ts';
import type { Segment } from './segment.ts';

/** How many problems are told; all are counted. */
const mostProblems = 50;
/** How many records are looked at before others get their turn. */
const page = 2_000;

export interface VerifyOptions {
  readonly key: Buffer;
  readonly head: LedgerHead | 'absent' | 'damaged';
  readonly anchors: readonly LedgerAnchor[];
  /** Those that are there, ascending. */
  readonly segments: readonly number[];
  /** The newest record that is looked at and must be there; or a number beyond all: as many as there are. */
  readonly until: number;
  within<Result>(segment: number, look: (segment: Segment) => Result): Result;
  readonly onProgress?: (records: number) => void;
}

/** Where a chain is when one more record is to come. */
interface Link {
  readonly seq: number;
  readonly hash: string;
}

/**
 * Looks at every record: whether it is as it was written, whether it stands where it stood, and whether one is away. Each
 * problem is told once: after it the rest is looked at from there.
 */
export async function verifySegments(options: VerifyOptions): Promise<LedgerVerification> {
  const { key, head, anchors, segments, until, within, onProgress } = options;
  const problems: string[] = [];
  let problemCount = 0;
  const report = (problem: string) => {
    problemCount += 1;
    if (problems.length < mostProblems) problems.push(problem);
  };
  const expected = hashesBySeq([...anchors.map((one) => ({ ...one, from: 'anchor' })), ...headsIn(head)]);
  const given = anchors.length;
  let matched = 0;
  const kept = new Map<number, string>();
  const lost: LostRecords[] = [];
  /** Heads known from elsewhere that no record fits: told at the end, when it is known what a restore has lost. */
  const strange: { readonly seq: number; readonly problem: string }[] = [];
  let records = 0;
  let first: number | undefined;
  let last: StoredRecord | undefined;
  const looked: { segment: number; records: number; sealed: boolean }[] = [];

  const oldest = segments[0] ?? 1;
  const newest = segments.at(-1) ?? 1;
  for (let number = oldest; number <= newest; number += 1) {
    if (!segments.includes(number)) report(`Segment ${number} is away, though older ones are there`);
  }

  /** Undefined after a segment that can't be read: the next begins from what was carried into it. */
  let link: Link | undefined = oldest === 1 ? { seq: 0, hash: genesis } : undefined;
  for (const number of segments) {
    if (!segments.includes(number - 1) && number !== 1) link = undefined;
    try {
      link = await verifySegment(number, link);
    } catch (error) {
      link = undefined;
      report(`Segment ${number} can't be read: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  checkEnds();
  const lostAnchors = checkStrange();
  const isShort = oldest > 1;
  return {
    verdict: problemCount > 0 ? 'broken' : isShort ? 'incomplete' : 'intact',
    records,
    ...(first === undefined ? {} : { first }),
    ...(last === undefined ? {} : { head: headOf(last) }),
    segments: looked,
    problems,
    problemCount,
    anchors: {
      given,
      matched,
      unknown: anchors.filter(({ seq }) => first !== undefined && seq < first).length,
      ...(lostAnchors > 0 && { lost: lostAnchors }),
    },
    ...(lost.length > 0 && { lost }),
  };

  async function verifySegment(number: number, before: Link | undefined): Promise<Link> {
    const carried = within(number, (segment) => segment.newestSeal());
    if (number > 1) verifyCarried(number, carried, before);
    let at = before ?? (carried && { seq: carried.seq, hash: carried.hash }) ?? { seq: 0, hash: genesis };
    let count = 0;
    let end: StoredRecord | undefined;
    for (let from = 0; ; ) {
      const rows = within(number, (segment) => segment.from(from, page));
      for (const row of rows) {
        if (row.seq > until) break;
        at = verifyRecord(row, at);
        end = row;
        count += 1;
      }
      const next = (rows.at(-1)?.seq ?? Number.POSITIVE_INFINITY) + 1;
      if (rows.length < page || next > until) break;
      from = next;
      onProgress?.(records);
      await turn();
    }
    const sealed = number !== newest;
    if (sealed) verifySeal(number, count, end);
    for (const line of within(number, (segment) => segment.check()))
      report(`Segment ${number}, as SQLite says: ${line}`);
    looked.push({ segment: number, records: count, sealed });
    return at;
  }

  function verifyRecord(row: StoredRecord, before: Link): Link {
    const { seq, previous, hash, body } = row;
    records += 1;
    first ??= seq;
    last = row;
    const said = parsed(body);
    if (hashOf(key, previous, body) !== hash) report(`Record ${seq} is not as it was written`);
    else if (said.seq !== seq) report(`Record ${seq} was written as number ${said.seq}`);
    else if (seq > before.seq + 1 && !isKnownGap(row, before)) report(`${missing(before.seq + 1, seq - 1)} away`);
    else if (seq <= before.seq) report(`Record ${seq} stands behind ${before.seq}`);
    else if (previous !== before.hash) report(`Record ${seq} did not follow the one that stands before it`);
    else if (String(said.key).startsWith(awayKey)) report(`Record ${seq}: ${String(said.text)}`);
    if (expected.has(seq)) kept.set(seq, hash);
    for (const one of expected.get(seq) ?? []) {
      if (one.hash !== hash) strange.push({ seq, problem: `Record ${seq} is another one than the ${one.from} says` });
      else if (one.from === 'anchor') matched += 1;
    }
    return { seq, hash };
  }

  /** A record that an older state was restored stands behind those that were lost: as it says itself, and right after its segment's seal. */
  function isKnownGap({ seq, previous, body }: StoredRecord, before: Link): boolean {
    const { kind, data, at, text } = parsed(body);
    const said = lostData.safeParse(data).data;
    if (kind !== 'restore' || said === undefined || previous !== before.hash) return false;
    const { from, to } = said.lost;
    if (to !== seq - 1 || from !== said.ends.seq + 1 || (from !== before.seq && from !== before.seq + 1)) return false;
    lost.push({ from, to, seq, at: String(at), text: String(text) });
    return true;
  }

  /** Those of lost records are no sign that somebody has written the ledger anew; how many of the given they are. */
  function checkStrange(): number {
    const isLost = (seq: number) => lost.some(({ from, to }) => seq >= from && seq <= to);
    for (const { seq, problem } of strange) if (!isLost(seq)) report(problem);
    const inGaps = anchors.filter(({ seq }) => isLost(seq));
    const fitting = inGaps.filter(({ seq, hash }) => kept.get(seq) === hash);
    return inGaps.length - fitting.length;
  }

  /** What was carried is told by the seal of the segment before, which is carried itself. */
  function verifyCarried(number: number, seal: StoredRecord | undefined, before: Link | undefined): void {
    if (seal === undefined) {
      report(`Segment ${number} has lost the seal of the one before it`);
      return;
    }
    const others = function* (): Generator<StoredRecord> {
      for (let from = 0; ; ) {
        const rows = within(number, (segment) => segment.from(from, page, 'carried'));
        for (const row of rows) {
          if (hashOf(key, row.previous, row.body) !== row.hash) {
            report(`Record ${row.seq}, carried into segment ${number}, is not as it was written`);
          }
          if (row.seq !== seal.seq) yield row;
        }
        const end = rows.at(-1);
        if (end === undefined || rows.length < page) return;
        from = end.seq + 1;
      }
    };
    const found = digestOf(others());
    const data = sealDataOf(seal);
    if (before !== undefined && before.hash !== seal.hash) {
      report(`Segment ${number} does not follow what stands before it`);
    }
    if (data?.segment !== number - 1 || data.carried.count !== found.count || data.carried.digest !== found.digest) {
      report(`What was carried into segment ${number} is not what the seal of the one before says`);
    }
  }

  function verifySeal(number: number, count: number, end: StoredRecord | undefined): void {
    const data = end && sealDataOf(end);
    if (data === undefined) report(`Segment ${number} does not end with its seal`);
    else if (data.segment !== number || data.records !== count - 1) {
      report(`The seal of segment ${number} is for ${data.records} records, and there are ${count - 1}`);
    }
  }

  function checkEnds(): void {
    const end = last?.seq ?? 0;
    if (head === 'damaged') report('The file that holds the head is not one that this ledger wrote');
    if (head === 'absent' && end > 0) report('The file that holds the head is away');
    const beyond = [...expected]
      .filter(([seq]) => seq > end)
      .flatMap(([seq, all]) => all.map((one) => ({ ...one, seq })));
    for (const { seq, from } of beyond)
      report(`The ledger ends at ${end}, but the ${from} names record ${seq}: its end was cut off`);
    if (end < until && until < Number.MAX_SAFE_INTEGER) report(`${missing(end + 1, until)} away: the end was cut off`);
  }
}

function headsIn(head: VerifyOptions['head']) {
  return typeof head === 'string' ? [] : [{ ...head, from: 'head beside it' }];
}

function hashesBySeq(all: readonly { readonly seq: number; readonly hash: string; readonly from: string }[]) {
  const found = new Map<number, { readonly hash: string; readonly from: string }[]>();
  for (const { seq, hash, from } of all) found.set(seq, [...(found.get(seq) ?? []), { hash, from }]);
  return found;
}

function parsed(body: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function sealDataOf({ body }: StoredRecord): SealData | undefined {
  const { kind, data } = parsed(body);
  const seal = sealData.safeParse(data);
  return kind === 'seal' && seal.success ? seal.data : undefined;
}

function headOf({ seq, hash, body }: StoredRecord): LedgerHead {
  return { seq, hash, at: String(parsed(body).at) };
}

function missing(from: number, to: number): string {
  return from === to ? `Record ${from} is` : `Records ${from} to ${to} are`;
}
