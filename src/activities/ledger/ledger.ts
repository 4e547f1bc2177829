import type { NewRecord } from '../../operations/ledger.ts';

/** What runs write into the ledger and use up there. */
export interface LedgerActivities {
  record(records: readonly NewRecord[]): Promise<readonly { readonly seq: number; readonly existing: boolean }[]>;
  spend(asked: {
    readonly question: string;
    readonly digest: string;
  }): Promise<{ readonly seq: number; readonly attempt: string }>;
  beginStep(asked: { readonly step: string; readonly count: number }): Promise<unknown>;
  usualSeconds(asked: { readonly operation: string; readonly target: string }): Promise<number | undefined>;
}
