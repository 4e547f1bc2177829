import { type WorkflowExecutionInfo, WorkflowFailedError } from '@temporalio/client';
import { TypedSearchAttributes } from '@temporalio/common';
import type { Config } from '../config.ts';
import type { Outcome, RunResult } from '../operations/run.ts';
import { runUrl } from '../run-url.ts';
import { keys } from '../workflows/lib/attributes.ts';
import { failureOf } from '../workflows/lib/failure.ts';
import { operationOfWorkflow } from './find-operation.ts';
import type { RunDetails, RunSummary } from './runs.ts';

const statuses: Readonly<Record<string, RunSummary['status']>> = {
  RUNNING: 'running',
  PAUSED: 'running',
  COMPLETED: 'completed',
  FAILED: 'failed',
  CANCELLED: 'cancelled',
  TERMINATED: 'terminated',
  TIMED_OUT: 'timed-out',
};

export function summaryOf(config: Config, info: Omit<WorkflowExecutionInfo, 'raw'>): RunSummary {
  const attributes = info.typedSearchAttributes ?? new TypedSearchAttributes();
  const outcome = attributes.get(keys.outcome);
  const requestedBy = attributes.get(keys.requestedBy);
  return {
    id: info.workflowId,
    operation: operationOfWorkflow(info.type)?.name ?? info.type,
    target: attributes.get(keys.target) ?? '',
    status: statuses[info.status.name] ?? 'running',
    ...(outcome === undefined ? {} : { outcome: outcome as Outcome }),
    ...(requestedBy === undefined ? {} : { requestedBy }),
    startedAt: info.startTime.toISOString(),
    ...(info.closeTime === undefined ? {} : { closedAt: info.closeTime.toISOString() }),
    url: runUrl(config, info.workflowId),
  };
}

/** The end of a run, from what awaiting its result gave or threw. */
export async function endOf(
  result: () => Promise<unknown>,
): Promise<Pick<RunDetails, 'result' | 'failure'> & { readonly outcome?: Outcome }> {
  try {
    const value = (await result()) as RunResult<Record<string, unknown>>;
    return { result: value, outcome: value.outcome };
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    return { failure: failureOf(error.cause) };
  }
}
