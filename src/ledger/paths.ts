import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Paths of a ledger's parts. */
export const ledgerPaths = (folder: string) => ({
  key: join(folder, 'ledger.key'),
  head: join(folder, 'head'),
  generation: join(folder, 'generation'),
  claim: join(folder, 'owner.lock'),
  segment: (number: number) => join(folder, `${String(number).padStart(4, '0')}.sqlite`),
});

/** Numbers of the segments that are there, ascending. */
export function segmentsIn(folder: string): readonly number[] {
  return readdirSync(folder)
    .flatMap((name) => /^(\d{4,})\.sqlite$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}
