import { ServiceError } from '../errors.ts';
import type { LedgerAnchor } from '../operations/ledger.ts';

/** More than are verified with at once; of older ones each newer one says more. */
export const mostAnchors = 10_000;

/**
 * The anchors in a text: the lines that end with a number and a hash, as in a host's journal, a mail, or a file of one's
 * own. Other lines don't count. The newest where there are too many. Throws `invalid-input` where there are none.
 */
export function anchorsIn(text: string, from: string): readonly LedgerAnchor[] {
  const found = new Map<string, LedgerAnchor>();
  for (const line of text.split('\n')) {
    const [, seq, hash] = /(?:^|[\s:])(\d{1,15}) ([0-9a-f]{64})\s*$/.exec(line) ?? [];
    if (seq !== undefined && hash !== undefined && Number(seq) >= 1)
      found.set(`${Number(seq)} ${hash}`, { seq: Number(seq), hash });
  }
  if (found.size === 0) {
    throw new ServiceError({
      code: 'invalid-input',
      message: `There are no anchors in ${from}`,
      remedy: 'Give lines that end with the number of a record and its hash, as the journal of a host has them.',
    });
  }
  return [...found.values()].sort((a, b) => a.seq - b.seq).slice(-mostAnchors);
}
