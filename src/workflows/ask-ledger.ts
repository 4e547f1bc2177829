import { proxyActivities } from '@temporalio/workflow';
import type { LedgerActivities } from '../activities/ledger/ledger.ts';
import type { LedgerAnswer, LedgerQuestion } from '../operations/ledger.ts';
import { ledgerQueue } from './lib/messages.ts';

/**
 * Asks the ledger one question, for who has no file of it: the command line, MCP, the page. Not a run; what it answered
 * is Temporal's as long as Temporal keeps it, and no longer. How long it waits for a worker that has the ledger is its
 * caller's to say.
 */
export async function askLedger(question: LedgerQuestion): Promise<LedgerAnswer> {
  const { answerLedger } = proxyActivities<LedgerActivities>({
    taskQueue: ledgerQueue,
    startToCloseTimeout: '30m',
    // A look at every record tells how far it is.
    heartbeatTimeout: '3m',
    retry: { initialInterval: '1s', maximumAttempts: 3 },
    summary: `Ledger: ${question.ask}`,
  });
  return answerLedger(question);
}
