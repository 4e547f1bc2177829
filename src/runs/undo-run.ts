import { type Client, type WorkflowExecutionInfo, WorkflowNotFoundError } from '@temporalio/client';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { type OperationDefinition, worstRisk } from '../operations/definition.ts';
import { keptMs, type Reversal, type Undoes } from '../operations/reversal.ts';
import type { Requester } from '../operations/run.ts';
import { cleanLine } from '../reports/clean.ts';
import { readableTime } from '../reports/units.ts';
import { runIdPrefix } from '../workflows/lib/attributes.ts';
import { findOperation } from './find-operation.ts';
import { findRun } from './find-run.ts';
import { executionOf, type MovedRuns } from './moved-runs.ts';
import { parseInput } from './parse-input.ts';
import { memoOf, summaryOf } from './run-details.ts';
import { keyedPart, randomPart } from './run-id.ts';
import type { RunSummary, Runs } from './runs.ts';

/** How often an undo that failed is tried anew; then the last one is found again and again. */
const mostTries = 50;

/** A run that ended so has put nothing back, so that another one may. */
const hasFailed: ReadonlySet<RunSummary['state']> = new Set([
  'failed',
  'undone',
  'cancelled',
  'terminated',
  'timed-out',
]);

/** Whether a run can be taken back, from what it has said itself. */
export type Undoable =
  | { readonly way: Extract<Reversal, { input: unknown }>; readonly until: string }
  | { readonly why: string };

/** Only a change that is done, and has said how it is taken back, for as long as what it recorded is known. */
export function undoable(run: RunSummary, reversal: Reversal | undefined, now = Date.now()): Undoable {
  const { state, closedAt, dryRun, timeZone } = run;
  if (closedAt === undefined) return { why: 'It has not ended: cancelling it takes back what it did.' };
  if (dryRun) return { why: 'It only planned, and changed nothing.' };
  if (state !== 'done')
    return { why: `It is not done (${state}): its own last words say what it undid and what it left.` };
  if (worstRisk(findOperation(run.operation)) === 'read') return { why: 'It only looked, and changed nothing.' };
  if (reversal === undefined) return { why: 'It recorded no way back: it only looked, or an earlier version made it.' };
  if ('why' in reversal) return { why: cleanLine(reversal.why, 500) };
  const until = Date.parse(closedAt) + Math.min(keptMs, reversal.withinMs ?? keptMs);
  const end = new Date(until).toISOString();
  if (until <= now) return { why: `Its time was over at ${readableTime(end, timeZone)}.` };
  return { way: reversal, until: end };
}

/** Starts a run of this id, unless there is one: then undefined. */
export type Launch = (
  operation: OperationDefinition,
  input: Readonly<Record<string, unknown>>,
  by: Requester,
  options: { readonly unique: string; readonly undoes: Undoes },
) => Promise<RunSummary | undefined>;

type Execution = Pick<WorkflowExecutionInfo, 'workflowId' | 'runId' | 'memo'>;

/** Taking back what is done. */
export interface Undoing {
  readonly undo: Runs['undo'];
  /** A run with whether it can be taken back; as it is, where it has changed nothing or isn't done. */
  told<Run extends RunSummary>(run: Run, info: Execution): Promise<Run>;
}

export function createUndoing({
  client,
  moved,
  config,
  launch,
}: {
  readonly client: Client;
  readonly moved: MovedRuns;
  readonly config: Config;
  readonly launch: Launch;
}): Undoing {
  return { undo, told };

  async function undo(
    meant: string,
    by: Requester,
    { dryRun = false, check }: NonNullable<Parameters<Runs['undo']>[2]> = {},
  ): ReturnType<Runs['undo']> {
    const info = await findRun(client, moved, meant);
    const run = summaryOf(config, info);
    const can = undoable(run, memoOf(info).reversal);
    if ('why' in can) throw notUndone(run.id, can.why);
    const { operation, input } = requestOf(run, can.way);
    check?.(operation, input);
    const { expects, remains } = can.way;
    const undoes = { run: run.id, expects, ...(remains === undefined ? {} : { remains }) };
    const { existing, next } = await triesOf(info, operation, input);
    if (dryRun) {
      if (existing !== undefined) throw notUndone(run.id, whoseIt(existing));
      return startPlan(operation, input, by, undoes);
    }
    if (existing !== undefined) return { ...existing, existing: true };
    const started = await launch(operation, input, by, { unique: next, undoes });
    if (started !== undefined) return { ...started, existing: false };
    // Somebody else has asked for the same in this moment.
    const id = `${runIdPrefix(operation, input)}/${next}`;
    return { ...summaryOf(config, await findRun(client, moved, id)), existing: true };
  }

  async function startPlan(
    operation: OperationDefinition,
    input: Readonly<Record<string, unknown>>,
    by: Requester,
    undoes: Undoes,
  ): ReturnType<Runs['undo']> {
    for (;;) {
      const started = await launch(operation, { ...input, dryRun: true }, by, { unique: randomPart(), undoes });
      if (started !== undefined) return { ...started, existing: false };
    }
  }

  async function told<Run extends RunSummary>(run: Run, info: Execution): Promise<Run> {
    const { reversal } = memoOf(info);
    if (reversal === undefined || run.state !== 'done') return run;
    return { ...run, undo: await lookAt(run, info, reversal) };
  }

  async function lookAt(
    run: RunSummary,
    info: Execution,
    reversal: Reversal,
  ): Promise<NonNullable<RunSummary['undo']>> {
    const can = undoable(run, reversal);
    if ('why' in can) return { possible: false, text: can.why };
    try {
      const { operation, input } = requestOf(run, can.way);
      const { existing } = await triesOf(info, operation, input);
      if (existing !== undefined) return { possible: false, by: existing.id, text: whoseIt(existing) };
      const { asLongAs, remains } = can.way;
      const text = `Until ${readableTime(can.until, run.timeZone)}, as long as ${cleanLine(asLongAs, 200)}.${remains === undefined ? '' : ` ${cleanLine(remains, 300)}`}`;
      return { possible: true, until: can.until, text };
    } catch (error) {
      // A host that isn't configured any more, say: that is what keeps it from being taken back.
      if (error instanceof ServiceError && error.code === 'invalid-input') {
        return { possible: false, text: error.message };
      }
      throw error;
    }
  }

  function requestOf(
    run: RunSummary,
    way: Extract<Reversal, { input: unknown }>,
  ): { readonly operation: OperationDefinition; readonly input: Readonly<Record<string, unknown>> } {
    const operation = findOperation(way.operation ?? run.operation);
    return { operation, input: parseInput(operation, way.input, config) };
  }

  /**
   * The runs that were to take it back have ids that follow from its own, whoever asks: one that goes on or is done is
   * found again, and after one that failed comes the next.
   */
  async function triesOf(
    { workflowId, runId }: Execution,
    operation: OperationDefinition,
    input: Readonly<Record<string, unknown>>,
  ): Promise<{ readonly existing?: RunSummary; readonly next: string }> {
    for (let number = 1; ; number += 1) {
      const next = keyedPart('undo', workflowId, runId, String(number));
      const existing = await describe(`${runIdPrefix(operation, input)}/${next}`);
      if (existing === undefined) return { next };
      if (!hasFailed.has(existing.state) || number === mostTries) return { existing, next };
    }
  }

  async function describe(id: string): Promise<RunSummary | undefined> {
    try {
      return summaryOf(config, await client.workflow.getHandle(id).describe());
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
      const earlier = moved.get(id);
      return earlier && summaryOf(config, executionOf(earlier.info));
    }
  }
}

function whoseIt({ id, state }: RunSummary): string {
  if (state === 'done') return `It was taken back already, by ${id}.`;
  return `${id} is to take it back (${state}).`;
}

function notUndone(id: string, why: string): ServiceError {
  return new ServiceError({
    code: 'conflict',
    message: `${id} is not taken back. ${why}`,
    remedy: 'What can be: list_runs with undoable, or `npx proxmox-mcp runs list --undoable`.',
  });
}
