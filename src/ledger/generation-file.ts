import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { replacePrivateFile } from '../private-file.ts';
import { ledgerPaths } from './paths.ts';

/** The ledger's side of the counter that it shares with Temporal's database. */
const content = z.object({ ledger: z.uuid(), number: z.int().min(0) });
export type LedgerGeneration = z.infer<typeof content>;

/** Undefined: there is none, or what stands there is none. */
export function readLedgerGeneration(folder: string): LedgerGeneration | undefined {
  try {
    return content.parse(JSON.parse(readFileSync(ledgerPaths(folder).generation, 'utf8')));
  } catch {
    return undefined;
  }
}

export function writeLedgerGeneration(folder: string, generation: LedgerGeneration): void {
  replacePrivateFile(ledgerPaths(folder).generation, `${JSON.stringify(generation)}\n`);
}

/** Of a ledger that has not counted yet. */
export const firstGeneration = (): LedgerGeneration => ({ ledger: randomUUID(), number: 0 });

/**
 * Which of the two was put back to an older state; undefined: none. Temporal is counted on first, so that it may be one ahead. A
 * ledger without a number, or another one than Temporal knows, tells nothing.
 */
export function compareGenerations(
  kept: LedgerGeneration,
  own: LedgerGeneration | undefined,
): 'temporal' | 'ledger' | undefined {
  if (own === undefined || own.ledger !== kept.ledger) return undefined;
  if (kept.number < own.number) return 'temporal';
  return kept.number > own.number + 1 ? 'ledger' : undefined;
}
