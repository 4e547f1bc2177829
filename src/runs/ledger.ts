import { randomBytes } from 'node:crypto';
import { type Client, WorkflowFailedError } from '@temporalio/client';
import { ActivityFailure, ApplicationFailure } from '@temporalio/common';
import { ServiceError } from '../errors.ts';
import { momentOf } from '../moment.ts';
import type { JudgedRequest, Judgement } from '../operations/judgement.ts';
import type {
  LedgerAnswers,
  LedgerFilter,
  LedgerHead,
  LedgerPage,
  LedgerQuestion,
  LedgerRecord,
} from '../operations/ledger.ts';
import { failureOf } from '../workflows/lib/failure.ts';
import { anchorHostsSignal, anchorId, serviceQueue } from '../workflows/lib/messages.ts';

/** A filter as people give it: times in the forms of {@link momentOf}, the page before as text. */
export interface LedgerSearch extends Omit<LedgerFilter, 'since' | 'until' | 'before'> {
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly cursor?: string | undefined;
}

/** The ledger, asked through the one worker that has it open. Throws `unavailable` where none answers. */
export interface LedgerClient {
  /** @param timeZone of times without a zone */
  search(filter: LedgerSearch, timeZone: string): Promise<Omit<LedgerPage, 'before'> & { readonly cursor?: string }>;
  /** Throws `not-found`. */
  get(seq: number): Promise<LedgerRecord>;
  head(): Promise<LedgerHead | undefined>;
  /** Writes down what happened outside of runs. Each key is written once. */
  record(records: Extract<LedgerQuestion, { ask: 'record' }>['records']): Promise<void>;
  /** What the policy would say to a request; nothing is written down. */
  judge(request: JudgedRequest): Promise<Judgement>;
  verify(anchors: NonNullable<Extract<LedgerQuestion, { ask: 'verify' }>['anchors']>): Promise<LedgerAnswers['verify']>;
}

/** What answers a person at once; a worker that starts has the ledger open a few seconds later. */
const quickMs = 15_000;
/** A look at every record of many millions. */
const verifyMs = 30 * 60_000;

export function createLedgerClient(client: Client): LedgerClient {
  return {
    async search({ since, until, cursor, ...filter }, timeZone) {
      const { before, ...page } = await ask({
        ask: 'search',
        filter: {
          ...filter,
          ...(since === undefined ? {} : { since: momentOf(since, 'since', timeZone) }),
          ...(until === undefined ? {} : { until: momentOf(until, 'until', timeZone) }),
          ...(cursor === undefined ? {} : { before: cursorOf(cursor) }),
        },
      });
      return { ...page, ...(before === undefined ? {} : { cursor: String(before) }) };
    },
    async get(seq) {
      const { record } = await ask({ ask: 'get', seq });
      if (record !== undefined) return record;
      throw new ServiceError({
        code: 'not-found',
        message: `The ledger has no record ${seq}`,
        remedy: 'See the newest ones with: npx proxmox-mcp ledger',
      });
    },
    record: async (records) => void (await ask({ ask: 'record', records })),
    judge: (request) => ask({ ask: 'judge', request }),
    head: async () => (await ask({ ask: 'head' })).head,
    verify: (anchors) => ask({ ask: 'verify', anchors }, verifyMs),
  };

  async function ask<Question extends LedgerQuestion>(
    question: Question,
    withinMs = quickMs,
  ): Promise<LedgerAnswers[Question['ask']]> {
    try {
      return await client.workflow.execute('askLedger', {
        workflowId: `ledger/${question.ask}/${randomBytes(8).toString('hex')}`,
        taskQueue: serviceQueue,
        args: [question],
        workflowExecutionTimeout: withinMs,
        staticSummary: `Ledger: ${question.ask}`,
      });
    } catch (error) {
      throw error instanceof WorkflowFailedError ? whyNot(error) : error;
    }
  }
}

function cursorOf(text: string): number {
  if (/^\d{1,15}$/.test(text) && Number(text) >= 1) return Number(text);
  throw new ServiceError({
    code: 'invalid-input',
    message: 'The cursor is not one that a search of the ledger gave',
    remedy: 'Leave it out to start with the newest records.',
  });
}

function whyNot(error: WorkflowFailedError): ServiceError {
  if (error.cause instanceof ActivityFailure && error.cause.cause instanceof ApplicationFailure) {
    const { message, remedy } = failureOf(error.cause);
    return new ServiceError({ code: 'unavailable', message, remedy, cause: error });
  }
  return new ServiceError({
    code: 'unavailable',
    message: 'No worker answers for the ledger',
    remedy:
      'Look at the log of the worker, which says whether it has the ledger open; `npx proxmox-mcp doctor` shows whether it runs.',
    retryable: true,
    cause: error,
  });
}

/** Starts the anchoring of the ledger unless it runs, and names the hosts to it. Safe to be called by several workers. */
export async function startAnchors(client: Client, hosts: readonly string[]): Promise<void> {
  await client.workflow.signalWithStart('anchorLedger', {
    workflowId: anchorId,
    taskQueue: serviceQueue,
    args: [],
    signal: anchorHostsSignal,
    signalArgs: [hosts],
    staticSummary: "The ledger's head in the hosts' journals",
    staticDetails: 'Writes it every hour in which something was appended. Not a run; it never ends by itself.',
  });
}
