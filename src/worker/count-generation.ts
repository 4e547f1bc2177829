import type { Client } from '@temporalio/client';
import { firstGeneration, readLedgerGeneration, writeLedgerGeneration } from '../ledger/generation-file.ts';
import type { LedgerHead } from '../operations/ledger.ts';
import { readGeneration, writeGeneration } from '../runs/generation.ts';

/**
 * Counts on in Temporal's database, then beside the ledger: between the two Temporal is one ahead. Only by the process that has
 * the ledger open.
 *
 * @param more a decision that was carried out: what was found restored is over
 */
export async function countGeneration(
  client: Client,
  folder: string,
  head: LedgerHead | undefined,
  more: { readonly wentOn?: string } = {},
): Promise<void> {
  const kept = await readGeneration(client);
  const own = readLedgerGeneration(folder) ?? firstGeneration();
  const { wentOn = kept?.wentOn } = more;
  const number = Math.max(own.number, kept?.number ?? 0) + 1;
  await writeGeneration(client, {
    ledger: own.ledger,
    number,
    ...(head && { head: { seq: head.seq, hash: head.hash } }),
    ...(wentOn !== undefined && { wentOn }),
    ...(more.wentOn === undefined && kept?.restored && { restored: kept.restored }),
  });
  writeLedgerGeneration(folder, { ledger: own.ledger, number });
}
