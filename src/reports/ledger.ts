import type { LedgerRecord, LedgerVerification } from '../operations/ledger.ts';
import { cleanLine } from './clean.ts';
import { readableTime } from './units.ts';

/** The columns of {@link ledgerRow}. */
export const ledgerColumns = ['NO.', 'WHEN', 'WHAT', 'BY', 'TARGET', 'TEXT'] as const;

/** A record as lists show it. */
export function ledgerRow({ seq, at, kind, by, target, text }: LedgerRecord, timeZone: string): readonly string[] {
  return [
    String(seq),
    readableTime(at, timeZone),
    kind,
    cleanLine(by ?? '', 60),
    cleanLine(target ?? '', 60),
    cleanLine(text, 300),
  ];
}

/** What a verification found, as lines for a person; the first says it all. */
export function verificationLines(found: LedgerVerification, timeZone: string): readonly string[] {
  const { verdict, records, first, head, problems, problemCount, anchors, lost = [] } = found;
  const range = first === undefined || head === undefined ? '' : `, ${first} to ${head.seq}`;
  const said = {
    intact: `The ledger is intact: ${records} records${range}, each as it was written.`,
    incomplete: `The ledger is incomplete: records before ${first ?? 1} are away with their segments. The ${records} that are there${range} are as they were written.`,
    broken: `The ledger is broken: ${problemCount} ${problemCount === 1 ? 'thing is' : 'things are'} wrong among ${records} records${range}.`,
  }[verdict];
  const more = problemCount - problems.length;
  return [
    said,
    ...problems.map((problem) => `✗ ${cleanLine(problem, 400)}`),
    ...(more > 0 ? [`… and ${more} more`] : []),
    ...lost.map(
      ({ from, to, seq, at, text }) =>
        `Known gap: an older state was restored (record ${seq}, ${readableTime(at, timeZone)}); no record has a number from ${from} to ${to}. ${cleanLine(text, 400)}.`,
    ),
    ...(head === undefined ? [] : [`Newest: ${head.seq} ${head.hash}, ${readableTime(head.at, timeZone)}`]),
    anchors.given === 0
      ? 'No anchor was given: who has the key and the files could have written them anew. See docs/ledger.md.'
      : `Anchors: ${anchors.matched} of ${anchors.given} name a record that is as they say${anchors.unknown === 0 ? '' : `, ${anchors.unknown} one that is away with its segment`}${anchors.lost === undefined ? '' : `, ${anchors.lost} one that was lost in a restore, as above`}.`,
  ];
}
