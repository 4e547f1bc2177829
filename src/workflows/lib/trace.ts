import { proxySinks, workflowInfo } from '@temporalio/workflow';
import type { Outcome, RunMemo } from '../../operations/run.ts';
import { keys } from './attributes.ts';
import type { RunSinks, TracedRun } from './messages.ts';

const { run } = proxySinks<RunSinks>();

/**
 * Tells the worker that a run begins or has ended, for its trace. Nothing of it is in the history, so that it makes no
 * difference which workers trace; what is replayed isn't told again.
 */
export const tellTrace = {
  began(): void {
    if (!workflowInfo().unsafe.isReplaying) run.began(tracedRun());
  },
  ended(outcome: Outcome): void {
    if (!workflowInfo().unsafe.isReplaying) run.ended(tracedRun(), outcome);
  },
};

function tracedRun(): TracedRun {
  const { typedSearchAttributes: attributes } = workflowInfo();
  return {
    target: attributes.get(keys.target),
    risk: attributes.get(keys.risk),
    verdict: attributes.get(keys.verdict),
  };
}

/** What a child has in its memo to be in its parent's trace; nothing where the parent was started without one. */
export function traceMemo(): { readonly memo?: Pick<RunMemo, 'trace' | 'traceState'> } {
  const { trace, traceState } = workflowInfo().memo ?? {};
  if (typeof trace !== 'string') return {};
  return { memo: { trace, ...(typeof traceState === 'string' && { traceState }) } };
}
