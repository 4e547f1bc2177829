import { randomBytes } from 'node:crypto';
import { splitAddress } from '../address.ts';
import type { OutsideKind } from '../operations/ledger.ts';
import { principalText, type Requester } from '../operations/run.ts';
import { cleanLine } from '../reports/clean.ts';
import type { CliContext } from './context.ts';
import { tcp } from './tcp.ts';
import { withTemporal } from './temporal.ts';
import { note } from './terminal.ts';

/**
 * Writes to the ledger what was done at the command line. It was done, whether or not that succeeds: the first
 * administrator is made before there is a service. Where it doesn't, that is said.
 */
export async function writeDown(
  context: CliContext,
  what: { readonly kind: OutsideKind; readonly by: Requester; readonly text: string },
): Promise<void> {
  const { kind, by } = what;
  const text = cleanLine(what.text, 1_000);
  const { temporalAddress } = await import('../runs/temporal-endpoint.ts');
  const address = temporalAddress(await context.config());
  if ((await tcp(...splitAddress(address), AbortSignal.timeout(5_000))) !== undefined) {
    return note('The service does not run, so the ledger does not have this.');
  }
  try {
    const key = `${kind}/${randomBytes(12).toString('hex')}`;
    await withTemporal(context, ({ ledger }) => ledger.record([{ key, kind, by: principalText(by), text }]));
  } catch (error) {
    note(`The ledger does not have this: ${error instanceof Error ? error.message : String(error)}`);
  }
}
