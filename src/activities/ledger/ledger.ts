import { Context } from '@temporalio/activity';
import { ServiceError } from '../../errors.ts';
import type { Appended, Ledger, LedgerTransaction } from '../../ledger/ledger.ts';
import {
  type LedgerAnswers,
  type LedgerPage,
  type LedgerQuestion,
  type LedgerRecord,
  ledgerQuestion,
  type NewRecord,
  newRecord,
} from '../../operations/ledger.ts';
import { cleanLine } from '../../reports/clean.ts';

export const queue = 'ledger';

/** How much of the ledger is answered at once, in characters of JSON: an answer stands in the history of who asked. */
const mostAnswered = 300_000;
/** Runs that a usual duration is taken from. */
const runsForUsual = 10;
/** Looked through for so many that were done. */
const outcomesForUsual = 100;

/** Which execution of which run asks, and by which of its activities: Temporal says so, and not who asks. */
interface Asking {
  readonly run: string;
  readonly attempt: string;
  /** The same for every try of one activity, and another one when a run is made to do it again. */
  readonly scheduledAt: number;
}

export interface Spent {
  readonly seq: number;
  readonly attempt: string;
}

/** What is appended to the ledger and asked of it, by the only process that has it open. */
export function createLedgerStoreActivities({ ledger }: { readonly ledger: Ledger }) {
  return {
    /** Writes records down, each key once. Throws `conflict` where another record has that key; the others are written. */
    async record(records: readonly NewRecord[]): Promise<readonly Pick<Appended, 'seq' | 'existing'>[]> {
      const given = records.map((one) => newRecord.parse(one));
      const appended = await ledger.append(given);
      const [clash] = given.filter((_, at) => appended[at]?.conflict);
      if (clash !== undefined) {
        throw new ServiceError({
          code: 'conflict',
          message: `The ledger has another record with the key ${clash.key}, which stays as it is`,
          remedy: 'See it with: npx proxmox-mcp ledger',
        });
      }
      return appended.map(({ seq, existing }) => ({ seq, existing }));
    },

    /**
     * Uses an approval, once. It has to be for a plan that this very execution of the run has published, with this digest.
     * Throws `approval-spent`.
     */
    async spend({ question, digest }: { readonly question: string; readonly digest: string }): Promise<Spent> {
      const asking = whoAsks();
      const { run, attempt, scheduledAt } = asking;
      return ledger.transact((transaction) => {
        refuseIfOver(transaction, asking);
        const key = `spend/${run}/${question}`;
        const before = transaction.byKey(key);
        if (before !== undefined) {
          refuseIfRestored(transaction, before);
          if (isSame(before, asking) && before.data?.digest === digest) return { seq: before.seq, attempt };
          throw spent(
            before.attempt === attempt
              ? 'was used already'
              : 'was used by another execution of this run, which has been reset or restored since',
          );
        }
        const plan = transaction.byKey(`plan/${run}/${attempt}/${question}`);
        if (plan === undefined) {
          const others = transaction.ofRun(run, 'plan').some(({ key: one }) => one.endsWith(`/${question}`));
          throw spent(
            others
              ? 'was given to another execution of this run, which has been reset or restored since'
              : 'is for no plan that the ledger knows',
          );
        }
        if (plan.data?.digest !== digest) throw spent('was given for another plan');
        refuseIfRestored(transaction, plan);
        const { seq } = transaction.append({
          key,
          kind: 'spend',
          run,
          attempt,
          ...of(plan),
          text: `The approval was used: ${plan.text}`.slice(0, 1_000),
          data: { question, digest, plan: plan.seq, scheduledAt },
        });
        return { seq, attempt };
      });
    },

    /**
     * Before each changing step of a run that was approved: the step is begun by the execution that has used the approval,
     * and once. Throws `approval-spent`.
     */
    async beginStep({
      step,
      count,
    }: {
      readonly step: string;
      readonly count: number;
    }): Promise<{ readonly seq: number }> {
      const asking = whoAsks();
      const { run, attempt, scheduledAt } = asking;
      return ledger.transact((transaction) => {
        refuseIfOver(transaction, asking);
        const spends = transaction.ofRun(run, 'spend');
        const spend = spends.find((one) => one.attempt === attempt);
        if (spend === undefined) {
          throw spent(
            spends.length > 0
              ? 'was used by another execution of this run, which has been reset or restored since'
              : 'was not used by this run: it has none',
          );
        }
        refuseIfRestored(transaction, spend);
        const key = `step/${run}/${attempt}/${count}/${cleanLine(step, 150)}`;
        const before = transaction.byKey(key);
        if (before !== undefined) {
          if (isSame(before, asking)) return { seq: before.seq };
          throw spent(`was used for step "${cleanLine(step, 150)}" already, before this run was restored`);
        }
        const { seq } = transaction.append({
          key,
          kind: 'step',
          run,
          attempt,
          ...of(spend),
          text: `Began: ${cleanLine(step, 300)}`,
          data: { step: cleanLine(step, 300), count, spend: spend.seq, scheduledAt },
        });
        return { seq };
      });
    },

    /** How long it took lately: the median of the last runs that were done. Undefined where there was none. */
    async usualSeconds(of: { readonly operation: string; readonly target: string }): Promise<number | undefined> {
      const seconds = ledger
        .outcomesOf(of.operation, of.target, outcomesForUsual)
        .filter(({ data }) => data?.outcome === 'done')
        .flatMap(({ data }) => (typeof data?.seconds === 'number' ? data.seconds : []))
        .slice(0, runsForUsual)
        .sort((a, b) => a - b);
      const [low, high] = [seconds[Math.floor((seconds.length - 1) / 2)], seconds[Math.floor(seconds.length / 2)]];
      return low === undefined || high === undefined ? undefined : (low + high) / 2;
    },

    /** Answers one question, bounded. */
    async answerLedger<Question extends LedgerQuestion>(given: Question): Promise<LedgerAnswers[Question['ask']]> {
      const question = ledgerQuestion.parse(given);
      if (question.ask === 'judge') throw notAsked();
      return answer(ledger, question) as Promise<LedgerAnswers[Question['ask']]>;
    },
  };
}

export type LedgerActivities = ReturnType<typeof createLedgerStoreActivities>;

async function answer(
  ledger: Ledger,
  question: Exclude<LedgerQuestion, { ask: 'judge' }>,
): Promise<LedgerAnswers[LedgerQuestion['ask']]> {
  switch (question.ask) {
    case 'search':
      return bounded(ledger.search(question.filter));
    case 'get': {
      const record = ledger.get(question.seq);
      return record === undefined ? {} : { record };
    }
    case 'head': {
      const head = ledger.head();
      return head === undefined ? {} : { head };
    }
    case 'record':
      return { seqs: (await ledger.append(question.records)).map(({ seq }) => seq) };
    case 'verify': {
      const context = Context.current();
      return ledger.verify({ anchors: question.anchors, onProgress: (records) => context.heartbeat(records) });
    }
  }
}

/** What the policy would say is asked of `preview`. */
function notAsked(): ServiceError {
  return new ServiceError({
    code: 'internal',
    message: 'The ledger was asked for a judgement, which is the policy’s',
    remedy: 'Report it: this is a defect.',
  });
}

/** As many records as may be answered, one at least; the next page goes on where it ends. */
function bounded(page: LedgerPage): LedgerPage {
  let left = mostAnswered;
  const fits = page.records.filter((record, at) => {
    left -= JSON.stringify(record).length;
    return at === 0 || left >= 0;
  });
  const last = fits.at(-1);
  return fits.length === page.records.length || last === undefined
    ? page
    : { ...page, records: fits, before: last.seq };
}

function whoAsks(): Asking {
  const { workflowExecution, scheduledTimestampMs } = Context.current().info;
  if (workflowExecution === undefined) {
    throw new ServiceError({
      code: 'internal',
      message: 'An approval was asked for outside of a run',
      remedy: 'Report it: this is a defect.',
    });
  }
  return { run: workflowExecution.workflowId, attempt: workflowExecution.runId, scheduledAt: scheduledTimestampMs };
}

/** The same activity, tried once more because its answer was lost. */
function isSame({ attempt, data }: LedgerRecord, asking: Asking): boolean {
  return attempt === asking.attempt && data?.scheduledAt === asking.scheduledAt;
}

/** A run that has ended goes on only when somebody restored an old state of Temporal. */
function refuseIfOver(transaction: LedgerTransaction, { run, attempt }: Asking): void {
  const isOver = transaction.ofRun(run, 'outcome').some((one) => one.attempt === attempt);
  if (isOver) throw spent('was used by this run, which has ended, and has been restored since');
}

/** It may have been used in what the restore has lost. */
function refuseIfRestored(transaction: LedgerTransaction, { seq }: LedgerRecord): void {
  if (seq < transaction.restoredAt()) throw spent('was given before an older state of this service was restored');
}

function of({ operation, target }: LedgerRecord): Pick<NewRecord, 'operation' | 'target'> {
  return { ...(operation === undefined ? {} : { operation }), ...(target === undefined ? {} : { target }) };
}

function spent(how: string): ServiceError {
  return new ServiceError({
    code: 'approval-spent',
    message: `The approval ${how}`,
    remedy: 'It counts once, and for one execution of one run: the plan has to be approved anew.',
  });
}
