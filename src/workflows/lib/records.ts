import { CancellationScope, isCancellation, patched, proxyActivities, workflowInfo } from '@temporalio/workflow';
import type { ApprovalActivities } from '../../activities/approvals/approvals.ts';
import type { LedgerActivities } from '../../activities/ledger/ledger.ts';
import { type OperationDefinition, riskOf } from '../../operations/definition.ts';
import type { JudgedRequest, Judgement } from '../../operations/judgement.ts';
import type { NewRecord } from '../../operations/ledger.ts';
import type { Plan } from '../../operations/plan.ts';
import {
  type Answer,
  type CodedAnswer,
  type Outcome,
  principalText,
  type Question,
  type Requester,
  type RunStep,
} from '../../operations/run.ts';
import { cleanLine } from '../../reports/clean.ts';
import { ledgerQueue } from './messages.ts';
import { policies } from './policies.ts';

/** What a run writes into the ledger, and what it has to ask there before it may change anything. */
export interface Records {
  /**
   * What the policy says to the request, which is written down with that. Only of a run that is to change something.
   *
   * @param at when it is to be done, where that is another time than now; ms since the epoch
   */
  judge(of: Pick<JudgedRequest, 'guest' | 'each'>, at?: number): Promise<Judgement>;
  /** Why the policy wants a snapshot of the guest first. Of a plan, too; nothing is written down. */
  snapshotFirst(of: Pick<JudgedRequest, 'guest' | 'each'>): Promise<string | undefined>;
  /** Writes a plan down, before anybody is asked about it or anything of it is done. */
  planned(plan: Plan, question?: string): Promise<void>;
  decided(answer: Answer, question: string): Promise<void>;
  /** Whose answer a one-time code makes it; the code is dead from then on. */
  redeem(coded: CodedAnswer, question: Question): Promise<Answer | undefined>;
  /** Uses an approval up. Throws `approval-spent` where it was used, or is another execution's of this run. */
  spend(question: string, plan: Plan): Promise<{ readonly attempt: string }>;
  /**
   * Before each step of a change: throws `changes-stopped` where the kill switch is on, which is a safe point to stop at, and
   * `approval-spent` where an approved step was begun before, by a run that somebody has restored.
   */
  goOn(step: string, isApproved: boolean): Promise<void>;
  /** A step's state, written beside what goes on; {@link ended} waits for it. */
  step(step: string, state: RunStep['state'], note?: string): void;
  ended(outcome: Outcome, message: string, seconds: number | undefined): Promise<void>;
  /** How long the operation took lately, in seconds; undefined where nobody knows. */
  usualSeconds(): Promise<number | undefined>;
}

export function createRecords(
  definition: OperationDefinition,
  about: {
    readonly input: Readonly<Record<string, unknown>>;
    readonly target: string;
    readonly by: Requester;
    /** The run that it takes back. */
    readonly undoes?: string | undefined;
    readonly onBehalfOf?: Requester | undefined;
  },
): Records {
  const { workflowId, runId } = workflowInfo();
  const { input, target, by, undoes, onBehalfOf } = about;
  const risk = riskOf(definition, input);
  const common = { run: workflowId, attempt: runId, operation: definition.name, target };
  const steps = new Map<string, number>();
  const pending: Promise<unknown>[] = [];
  let count = 0;

  const on = (summary: string, policy: 'ledger' | 'ledgerAtOnce' = 'ledger') =>
    proxyActivities<LedgerActivities & ApprovalActivities>({ ...policies[policy], taskQueue: ledgerQueue, summary });

  function asked(of: Pick<JudgedRequest, 'guest' | 'each'>): JudgedRequest {
    return {
      operation: definition.name,
      risk,
      input: { ...input },
      requestedBy: by,
      ...of,
      ...(undoes === undefined ? {} : { undoes }),
      ...(onBehalfOf === undefined ? {} : { onBehalfOf }),
    };
  }

  function made(record: Pick<NewRecord, 'kind' | 'text'> & Partial<NewRecord>): NewRecord {
    count += 1;
    return { key: `${record.kind}/${workflowId}/${runId}/${count}`, by: principalText(by), ...common, ...record };
  }

  /** Of the other run, so that its records lead here. */
  function takenBack(): NewRecord[] {
    if (undoes === undefined) return [];
    const key = `undone/${undoes}/${workflowId}/${runId}`;
    const data = { undoneBy: workflowId };
    return [{ key, kind: 'outcome', run: undoes, by: principalText(by), text: `Taken back by ${workflowId}`, data }];
  }

  return {
    judge: (of, at) =>
      on('Ask the policy').judge({
        ...asked(of),
        ...(at === undefined ? {} : { at: new Date(at).toISOString() }),
      }),
    async snapshotFirst(of) {
      const judged = await on('Ask the policy for a snapshot first').preview(asked(of));
      return judged.verdict === 'refused' ? undefined : judged.snapshotFirst;
    },
    async planned(plan, question) {
      const key = question === undefined ? {} : { key: `plan/${workflowId}/${runId}/${question}` };
      const record = made({ kind: 'plan', text: cleanLine(plan.summary, 500), data: { ...plan, question }, ...key });
      await on('Write the plan down').record([record]);
    },
    async decided({ choice, by: who, reason, digest, via }, question) {
      const said = reason ? `: ${reason}` : '';
      const text = cleanLine(`${choice}${said}`, 1_000);
      const record = made({ kind: 'decision', text, data: { question, choice, digest, via, reason } });
      await on('Write the answer down').record([{ ...record, ...(who && { by: principalText(who) }) }]);
    },
    async redeem({ choice, code }, { id, approval }) {
      const digest = approval?.digest ?? '';
      const name = await on('Redeem a one-time code').redeemCode({ code, choice, digest, question: id });
      return name === undefined
        ? undefined
        : { question: id, choice, digest, by: { kind: 'person', name }, via: 'code' };
    },
    spend: (question, { digest }) => on('Use the approval up').spend({ question, digest }),
    async goOn(step, isApproved) {
      await on(`Ask whether changes may go on: ${step}`).goOn();
      if (!isApproved) return;
      const times = (steps.get(step) ?? 0) + 1;
      steps.set(step, times);
      await on(`Begin: ${step}`).beginStep({ step, count: times });
    },
    step(step, state, note) {
      const text = cleanLine(`${step}: ${state}${note ? ` (${note})` : ''}`, 500);
      const record = made({ kind: 'step', text, data: { step, state } });
      // In a scope of its own: what was done is written down also when the run is cancelled.
      pending.push(quietly(() => on(`Write down: ${step}`).record([record])));
    },
    async ended(outcome, message, seconds) {
      const data = { outcome, ...(seconds === undefined ? {} : { seconds }), risk, ...(undoes && { undoes }) };
      const record = made({ kind: 'outcome', text: cleanLine(`${outcome}. ${message}`, 1_000), data });
      await Promise.all(pending);
      const policy = risk === 'read' || input.dryRun === true ? 'ledgerAtOnce' : 'ledger';
      const records = [record, ...(outcome === 'done' ? takenBack() : [])];
      await quietly(() => on('Write the outcome down', policy).record(records));
    },
    async usualSeconds() {
      try {
        const asked = on('Ask how long it took lately', 'ledgerAtOnce');
        return (await asked.usualSeconds({ operation: definition.name, target })) ?? undefined;
      } catch (error) {
        // Nice to know, and nothing rests on it.
        if (isCancellation(error)) throw error;
        return undefined;
      }
    },
  };
}

/** What happened has happened: a ledger that can't be reached for its whole time doesn't change how a run ends. */
async function quietly(write: () => Promise<unknown>): Promise<void> {
  try {
    await CancellationScope.nonCancellable(write);
  } catch {
    // Said above; what failed is in the history.
  }
}

/** Runs that were begun before there was a ledger go on without it. */
export function keepsRecords(): boolean {
  return patched('ledger');
}
