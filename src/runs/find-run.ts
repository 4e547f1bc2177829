import { type Client, type WorkflowExecutionDescription, WorkflowNotFoundError } from '@temporalio/client';
import { ServiceError } from '../errors.ts';
import { operationOfWorkflow } from './find-operation.ts';
import { listExecutions, ofTypes, quote } from './list-runs.ts';
import { executionOf, type MovedExecution, type MovedRuns } from './moved-runs.ts';

/** How many of the newest runs are looked through for the last part of an id, for which Temporal has no index. */
const lookedThrough = 1_000;
/** How many are named where several are meant. */
const named = 5;

/** A run of this server, or one that ended on an earlier one. */
export type FoundRun = WorkflowExecutionDescription | MovedExecution;

export function isMoved(run: FoundRun): run is MovedExecution {
  return 'moved' in run;
}

/**
 * Describes the run that an id means: the whole of it, as much of its start as only one run has, or the start of its last
 * part. The service's inner workflows (locks) can't be reached so. Throws `not-found`, and `conflict` where it means several.
 */
export async function findRun(client: Client, moved: MovedRuns, id: string): Promise<FoundRun> {
  if (id === '') throw noRun(id);
  const exact = await describe(client, moved, id);
  if (exact !== undefined) return exact;
  const begins = id.includes('/') ? (one: string) => one.startsWith(id) : (one: string) => endsSo(one, id);
  const here = id.includes('/') ? await beginningWith(client, id) : await endingWith(client, id);
  const earlier = moved.list().map(({ workflowId }) => workflowId);
  const found = [...new Set([...here, ...earlier.filter(begins)])];
  const [only] = found;
  if (only === undefined) throw noRun(id);
  if (found.length > 1) throw several(id, found);
  const described = await describe(client, moved, only);
  if (described === undefined) throw noRun(id);
  return described;
}

async function describe(client: Client, moved: MovedRuns, id: string): Promise<FoundRun | undefined> {
  try {
    const info = await client.workflow.getHandle(id).describe();
    return operationOfWorkflow(info.type) === undefined ? undefined : info;
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    const earlier = moved.get(id);
    return earlier && executionOf(earlier.info);
  }
}

async function beginningWith(client: Client, start: string): Promise<readonly string[]> {
  const query = `${ofTypes()} AND WorkflowId STARTS_WITH ${quote(start)}`;
  const { executions } = await listExecutions(client, { query, pageSize: named + 1 });
  return executions.map(({ workflowId }) => workflowId);
}

async function endingWith(client: Client, part: string): Promise<readonly string[]> {
  const { executions } = await listExecutions(client, { query: ofTypes(), pageSize: lookedThrough });
  return executions.map(({ workflowId }) => workflowId).filter((id) => endsSo(id, part));
}

function endsSo(id: string, part: string): boolean {
  return id.split('/').at(-1)?.startsWith(part) === true;
}

function noRun(id: string): ServiceError {
  return new ServiceError({
    code: 'not-found',
    message: `There is no run "${id}"; runs are kept for 30 days.`,
    remedy: 'Look for it: list_runs, or `npx proxmox-mcp runs list`.',
  });
}

function several(id: string, found: readonly string[]): ServiceError {
  const more = found.length > named ? ' and more' : '';
  return new ServiceError({
    code: 'conflict',
    message: `Several runs are called "${id}": ${found.slice(0, named).join(', ')}${more}.`,
    remedy: 'Give more of the id.',
  });
}
