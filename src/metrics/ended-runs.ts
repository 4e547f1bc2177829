import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { TypedSearchAttributes } from '@temporalio/common';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { catalogue } from '../operations/catalogue.generated.ts';
import { risksOf, worstRisk } from '../operations/definition.ts';
import { verdict } from '../operations/finding.ts';
import { actsAt } from '../operations/run.ts';
import { createPrivateJson } from '../private-json.ts';
import { ofTypes } from '../runs/list-runs.ts';
import { summaryOf } from '../runs/run-details.ts';
import { keys } from '../workflows/lib/attributes.ts';
import type { ServiceInstruments } from './instruments.ts';

/** A run is in Temporal's lists a moment after it ended, and clocks differ a little: so far back is looked again. */
const overlapMs = 5 * 60_000;

const counted = z.object({
  /** Everything that ended before has been counted; ms since the epoch. */
  since: z.number(),
  /** What was counted of the overlap: when it ended, by Temporal's own id of that execution. */
  seen: z.record(z.string(), z.number()),
});
type Counted = z.infer<typeof counted>;

/** How a run can have ended, beside `done`, which has a verdict. */
const others = ['planned', 'undone', 'failed', 'cancelled', 'terminated', 'timed-out'] as const;

/** A run that has ended, as far as other parts want to know. */
export interface EndedRun {
  readonly id: string;
  readonly runId: string;
  readonly operation: string;
  readonly target: string;
  readonly state: string;
}

/**
 * Counts the runs that have ended, from Temporal's own list of them: also those that were terminated, timed out, or failed
 * before they could say anything, which no worker sees; each once, because how far it has counted stands in a file. What ends
 * while nobody counts is counted when it is counted again.
 *
 * @param file where it keeps how far it is
 * @param onEnd hears of each run once, and again after a restart that came between
 */
export function createEndedRuns(options: {
  readonly current: () => { readonly client: Client; readonly config: Config };
  readonly instruments: Pick<ServiceInstruments, 'runsEnded' | 'runDuration' | 'scheduledRunsEnded'>;
  readonly file: string;
  readonly onEnd: (run: EndedRun) => void;
}): { readonly count: (now?: number) => Promise<void> } {
  const { current, instruments, onEnd } = options;
  const store = createPrivateJson<Counted | null>({
    path: options.file,
    schema: counted.nullable(),
    empty: null,
    of: 'so that it is not known which runs the metrics have counted',
    consequence: 'no run is counted',
    anew: 'move it away, and they are counted from then on',
  });
  startAtZero(instruments);

  return {
    async count(now = Date.now()) {
      const { client, config } = current();
      const before = store.read() ?? { since: now, seen: {} };
      const from = before.since - overlapMs;
      const seen: Record<string, number> = {};
      for (const [runId, at] of Object.entries(before.seen)) if (at >= from) seen[runId] = at;
      const ended: WorkflowExecutionInfo[] = [];
      const query = `${ofTypes()} AND CloseTime >= '${new Date(store.read() === null ? now : from).toISOString()}'`;
      for await (const info of client.workflow.list({ query, pageSize: 200 })) {
        if (seen[info.runId] !== undefined || info.status.name === 'CONTINUED_AS_NEW') continue;
        seen[info.runId] = info.closeTime?.getTime() ?? now;
        ended.push(info);
      }
      const hasChanged = ended.length > 0 || Object.keys(seen).length !== Object.keys(before.seen).length;
      // Written first: a run that is missing once is less wrong than one that is counted twice.
      if (hasChanged || store.read() === null) {
        await store.change(() => ({ content: { since: now, seen }, result: undefined }));
      }
      for (const info of ended) add(info, config);
    },
  };

  function add(info: WorkflowExecutionInfo, config: Config): void {
    const { operation, target, state, verdict: said, requestedBy = '' } = summaryOf(config, info);
    const definition = Object.values(catalogue).find(({ name }) => name === operation);
    if (definition === undefined) return;
    const attributes = info.typedSearchAttributes ?? new TypedSearchAttributes();
    instruments.runsEnded.inc({
      operation,
      target_kind: definition.target,
      risk: attributes.get(keys.risk) ?? worstRisk(definition),
      outcome: state,
      verdict: state === 'done' ? (said ?? 'none') : 'none',
    });
    if (requestedBy.startsWith('schedule:')) instruments.scheduledRunsEnded.inc({ operation, outcome: state });
    if (state === 'done' && info.closeTime !== undefined) {
      const started = actsAt(info.memo, info.startTime.getTime());
      instruments.runDuration.observe({ operation }, Math.max(0, info.closeTime.getTime() - started) / 1_000);
    }
    onEnd({ id: info.workflowId, runId: info.runId, operation, target, state });
  }
}

/** A counter that first appears as 1 has not grown, to Prometheus: the first failure would be none. */
function startAtZero({
  runsEnded,
  scheduledRunsEnded,
  runDuration,
}: Pick<ServiceInstruments, 'runsEnded' | 'runDuration' | 'scheduledRunsEnded'>): void {
  for (const definition of Object.values(catalogue)) {
    const { name: operation, target: target_kind } = definition;
    runDuration.zero({ operation });
    for (const risk of risksOf(definition)) {
      for (const said of verdict.options) {
        runsEnded.inc({ operation, target_kind, risk, outcome: 'done', verdict: said }, 0);
      }
      for (const outcome of others) runsEnded.inc({ operation, target_kind, risk, outcome, verdict: 'none' }, 0);
    }
    if (definition.schedules.length === 0) continue;
    for (const outcome of ['done', ...others]) scheduledRunsEnded.inc({ operation, outcome }, 0);
  }
}
