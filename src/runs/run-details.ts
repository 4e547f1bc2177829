import { type WorkflowExecutionInfo, WorkflowFailedError } from '@temporalio/client';
import { TypedSearchAttributes } from '@temporalio/common';
import type { Config } from '../config.ts';
import type { Verdict } from '../operations/finding.ts';
import { type Outcome, type RunMemo, type RunResult, runMemo } from '../operations/run.ts';
import { ownTrace, startedIn } from '../run-trace.ts';
import { runPageUrl, runUrl } from '../run-url.ts';
import { zoneOfTarget } from '../time-zone.ts';
import { keys } from '../workflows/lib/attributes.ts';
import { failureOf } from '../workflows/lib/failure.ts';
import { operationOfWorkflow } from './find-operation.ts';
import type { RunDetails, RunSummary } from './runs.ts';

/** What Temporal says, where the run itself has not said more. */
const states: Readonly<Record<string, RunSummary['state']>> = {
  RUNNING: 'running',
  COMPLETED: 'done',
  FAILED: 'failed',
  CANCELLED: 'cancelled',
  TERMINATED: 'terminated',
  TIMED_OUT: 'timed-out',
};

/** In these Temporal has the last word: what the run said before it was ended counts for nothing. */
const hasLastWord: ReadonlySet<string> = new Set(['TERMINATED', 'TIMED_OUT']);

export function summaryOf(config: Config, info: Omit<WorkflowExecutionInfo, 'raw'>): RunSummary {
  const attributes = info.typedSearchAttributes ?? new TypedSearchAttributes();
  const verdict = attributes.get(keys.verdict);
  const requestedBy = attributes.get(keys.requestedBy);
  const { question, undoes } = memoOf(info);
  const target = attributes.get(keys.target) ?? '';
  return {
    id: info.workflowId,
    operation: operationOfWorkflow(info.type)?.name ?? info.type,
    target,
    state: stateOf(info.status.name, attributes),
    ...(verdict === undefined ? {} : { verdict: verdict as Verdict }),
    // Those of before there was the attribute have said it when they ended.
    dryRun: attributes.get(keys.dryRun) === 'yes' || attributes.get(keys.outcome) === 'planned',
    ...(question === undefined || info.closeTime !== undefined
      ? {}
      : { question, page: runPageUrl(config, info.workflowId) }),
    ...(requestedBy === undefined ? {} : { requestedBy }),
    ...(undoes === undefined ? {} : { undoes }),
    startedAt: info.startTime.toISOString(),
    ...(info.closeTime === undefined ? {} : { closedAt: info.closeTime.toISOString() }),
    timeZone: zoneOfTarget(config, target),
    // The interface of this server knows nothing of one that ended on another.
    url: 'moved' in info ? runPageUrl(config, info.workflowId) : runUrl(config, info.workflowId),
  };
}

/** The trace that the run's spans are in: where it was started in one, or where this service traces by itself. */
export function traceOf(
  { tracing }: Config,
  { memo, runId, rootExecution }: Pick<WorkflowExecutionInfo, 'memo' | 'runId' | 'rootExecution'>,
): Pick<RunDetails, 'trace'> {
  const started = startedIn(memo);
  if (started !== undefined) return { trace: started.traceId };
  return tracing === undefined ? {} : { trace: ownTrace(rootExecution?.runId ?? runId) };
}

/** What a run has said of itself for who can't ask a worker. */
export function memoOf({ memo }: Pick<WorkflowExecutionInfo, 'memo'>): RunMemo {
  return runMemo.safeParse(memo ?? {}).data ?? {};
}

function stateOf(status: string, attributes: TypedSearchAttributes): RunSummary['state'] {
  const fallback = states[status] ?? 'running';
  if (status === 'RUNNING') return attributes.get(keys.phase) === 'paused' ? 'paused' : fallback;
  const outcome = attributes.get(keys.outcome);
  return outcome === undefined || hasLastWord.has(status) ? fallback : (outcome as Outcome);
}

/** The end of a run, from what awaiting its result gave or threw. */
export async function endOf(
  result: () => Promise<unknown>,
): Promise<Pick<RunDetails, 'result' | 'failure' | 'verdict'>> {
  try {
    const value = (await result()) as RunResult<Record<string, unknown>>;
    return { result: value, verdict: value.report.verdict };
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    return { failure: failureOf(error.cause) };
  }
}
