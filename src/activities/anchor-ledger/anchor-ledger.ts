import { Context } from '@temporalio/activity';
import { writeAnchor } from '../../hosts/commands/anchor-ledger/journal.ts';
import type { Hosts } from '../../hosts/host.ts';
import type { LedgerHead } from '../../operations/ledger.ts';

export const queue = 'host';

/** Where the head of the ledger is written down, out of reach of who has its files. */
export function createAnchorActivities({ hosts }: { readonly hosts: Hosts }) {
  return {
    /** Into the journal of a host. Written twice it is as true. */
    async writeLedgerAnchor({ host, head }: { readonly host: string; readonly head: LedgerHead }): Promise<void> {
      const options = { signal: Context.current().cancellationSignal };
      await hosts.get(host).run(writeAnchor, { seq: String(head.seq), hash: head.hash }, options);
    },
  };
}

export type AnchorActivities = ReturnType<typeof createAnchorActivities>;
