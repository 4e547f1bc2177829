import { CancellationScope, proxyActivities } from '@temporalio/workflow';
import type { ApprovalActivities } from '../activities/approvals/approvals.ts';
import type { LedgerActivities } from '../activities/ledger/ledger.ts';
import { catalogue } from '../operations/catalogue.generated.ts';
import type { JudgedRequest } from '../operations/judgement.ts';
import type { LedgerAnswer, LedgerQuestion } from '../operations/ledger.ts';
import { kindFor, targetIn } from '../operations/target.ts';
import { ledgerQueue } from './lib/messages.ts';
import { judgedOf, locate } from './lib/place.ts';
import { movesOn } from './lib/versioning.ts';

/** How long a guest is looked for before it is judged without what its cluster says of it, ms. */
const locateMs = 6_000;

/**
 * Asks the ledger one question, for who has no file of it: the command line, MCP, the page. Not a run; what it answered
 * is Temporal's as long as Temporal keeps it, and no longer. How long it waits for a worker that has the ledger is its
 * caller's to say.
 */
export async function askLedger(question: LedgerQuestion): Promise<LedgerAnswer> {
  const { answerLedger, preview } = proxyActivities<LedgerActivities & ApprovalActivities>({
    taskQueue: ledgerQueue,
    startToCloseTimeout: '30m',
    // A look at every record tells how far it is.
    heartbeatTimeout: '3m',
    retry: { initialInterval: '1s', maximumAttempts: 3 },
    summary: `Ledger: ${question.ask}`,
  });
  if (question.ask !== 'judge') return answerLedger(question);
  return preview(await withGuests(question.request));
}
movesOn(askLedger);

/** The request with its guests as their cluster says; what isn't known of one counts as protected. */
async function withGuests(request: JudgedRequest): Promise<JudgedRequest> {
  const definition = Object.values(catalogue).find(({ name }) => name === request.operation);
  const { host } = targetIn(request.input);
  if (definition === undefined || host === undefined || request.guest !== undefined) return request;
  if (!['guest', 'guests'].includes(kindFor(definition, request.input))) return request;
  try {
    const place = await CancellationScope.withTimeout(locateMs, () => locate(definition, request.input));
    return { ...request, ...judgedOf(definition, request.input, place) };
  } catch {
    return request;
  }
}
