import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { executionInfoFromRaw } from '@temporalio/client/lib/helpers.js';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { momentOf } from '../moment.ts';
import { type OperationDefinition, workflowType, worstRisk } from '../operations/definition.ts';
import { requester } from '../operations/run.ts';
import { searchAttributes } from '../operations/search-attributes.ts';
import { findOperation, operations } from './find-operation.ts';
import type { MovedExecution, MovedRuns } from './moved-runs.ts';
import { summaryOf } from './run-details.ts';
import type { RunSummary, Runs } from './runs.ts';

type Filter = Parameters<Runs['list']>[0];

const { outcome, phase, target, verdict, dryRun, risk, requestedBy } = searchAttributes;
const ended = (as: string) => `${outcome} = ${quote(as)} AND ExecutionStatus NOT IN ('Terminated', 'TimedOut')`;

const stateQueries: Readonly<Record<RunSummary['state'], string>> = {
  running: "ExecutionStatus = 'Running'",
  paused: `ExecutionStatus = 'Running' AND ${phase} = 'paused'`,
  done: ended('done'),
  planned: ended('planned'),
  undone: ended('undone'),
  // One whose workflow failed before it could say anything, too.
  failed: `ExecutionStatus = 'Failed' AND (${outcome} IS NULL OR ${outcome} = 'failed')`,
  // Also one whose condition was not met.
  cancelled: `(ExecutionStatus = 'Canceled' OR (ExecutionStatus = 'Failed' AND ${outcome} = 'cancelled'))`,
  terminated: "ExecutionStatus = 'Terminated'",
  'timed-out': "ExecutionStatus = 'TimedOut'",
};

/** What only answers a question, as often as somebody asks it, stands in no list unless it is asked for. */
const listed = Object.values(operations).filter(({ answersAtOnce }) => answersAtOnce !== true);

/** How many pages are looked through for a run that can be taken back, which Temporal has no index of. */
const mostPages = 20;

/** Adds to a run whether it can be taken back. */
type Tell = (run: RunSummary, info: Listed) => Promise<RunSummary>;
/** Of this server, or of an earlier one. */
type Listed = WorkflowExecutionInfo | MovedExecution;

/**
 * A page of runs, newest first. The cursor is the server's own page token; behind its last page come the runs that ended on
 * an earlier server, which are all older.
 */
export async function listRuns(
  { client, config, moved }: { readonly client: Client; readonly config: Config; readonly moved: MovedRuns },
  filter: Filter,
  told: Tell,
): ReturnType<Runs['list']> {
  const query = queryOf(filter, config);
  const older = moved.list().filter(isWanted(filter, config));
  let { cursor } = filter;
  for (let number = 1; ; number += 1) {
    const page = await pageOf(client, { query, pageSize: filter.limit, cursor }, older);
    const all = await Promise.all(page.executions.map((info) => told(summaryOf(config, info), info)));
    const runs = filter.undoable ? all.filter(({ undo }) => undo?.possible) : all;
    ({ cursor } = page);
    if (!filter.undoable || runs.length > 0 || cursor === undefined || number === mostPages) {
      return { runs, ...(cursor === undefined ? {} : { cursor }) };
    }
  }
}

/** Its number is how many of the older runs have been shown. */
const olderCursor = /^moved-(\d{1,9})$/;

async function pageOf(
  client: Client,
  asked: Parameters<typeof listExecutions>[1],
  older: readonly MovedExecution[],
): Promise<{ readonly executions: readonly Listed[]; readonly cursor?: string }> {
  const shown = olderCursor.exec(asked.cursor ?? '')?.[1];
  const page = shown === undefined ? await serverPage(client, asked) : { executions: [] };
  if (page.cursor !== undefined) return page;
  const from = Number(shown ?? 0);
  const to = from + asked.pageSize - page.executions.length;
  return {
    executions: [...page.executions, ...older.slice(from, to)],
    ...(to < older.length ? { cursor: `moved-${to}` } : {}),
  };
}

async function serverPage(
  client: Client,
  asked: Parameters<typeof listExecutions>[1],
): ReturnType<typeof listExecutions> {
  return listExecutions(client, asked).catch((error: unknown) => {
    if (asked.cursor === undefined) throw error;
    throw new ServiceError({
      code: 'invalid-input',
      message: 'The cursor is not one that list_runs gave for this filter.',
      remedy: 'Leave the cursor out to start with the newest runs.',
      cause: error,
    });
  });
}

/** A page of what Temporal finds, newest first. */
export async function listExecutions(
  client: Client,
  {
    query,
    pageSize,
    cursor,
  }: { readonly query: string; readonly pageSize: number; readonly cursor?: string | undefined },
): Promise<{ readonly executions: readonly WorkflowExecutionInfo[]; readonly cursor?: string }> {
  const { namespace } = client.options;
  const page = await client.workflowService.listWorkflowExecutions({
    namespace,
    pageSize,
    query,
    ...(cursor === undefined ? {} : { nextPageToken: Buffer.from(cursor, 'base64url') }),
  });
  const executions = await Promise.all(
    page.executions.map((raw) => executionInfoFromRaw(raw, client.options.loadedDataConverter, raw, namespace)),
  );
  return {
    executions,
    ...(page.nextPageToken?.length ? { cursor: Buffer.from(page.nextPageToken).toString('base64url') } : {}),
  };
}

/** Values are names from closed lists or host names, checked by their callers' schemas; quoted all the same. */
function queryOf(filter: Filter, { hosts }: Config): string {
  const { since, until } = filter;
  const host = hosts.find(({ name }) => name === filter.host) ?? hosts[0];
  const timeZone = filter.timeZone ?? host?.timeZone ?? 'UTC';
  return [
    ofTypes(...(filter.operation ? [findOperation(filter.operation)] : listed)),
    // Of the host itself, and of its guests.
    ...(filter.host
      ? [`(${target} = ${quote(filter.host)} OR ${target} STARTS_WITH ${quote(`${filter.host}/`)})`]
      : []),
    ...(filter.state ? [stateQueries[filter.state]] : []),
    ...(filter.requestedBy ? [askedBy(filter.requestedBy)] : []),
    ...(filter.undoable ? [stateQueries.done, `${risk} != 'read'`] : []),
    ...(filter.verdict ? [`${verdict} = ${quote(filter.verdict)}`] : []),
    ...(since === undefined ? [] : [`StartTime >= ${quote(momentOf(since, 'since', timeZone))}`]),
    ...(until === undefined ? [] : [`StartTime < ${quote(momentOf(until, 'until', timeZone))}`]),
    // Who asks for plans gets plans.
    ...(filter.dryRuns || filter.state === 'planned'
      ? []
      : [`(${dryRun} IS NULL OR ${dryRun} != 'yes') AND (${outcome} IS NULL OR ${outcome} != 'planned')`]),
  ].join(' AND ');
}

/** What `queryOf` asks of Temporal, asked of a run that isn't there. */
function isWanted(filter: Filter, config: Config): (info: MovedExecution) => boolean {
  const { operation, host, state, verdict: wanted, since, until, requestedBy: by } = filter;
  const timeZone =
    filter.timeZone ?? (config.hosts.find(({ name }) => name === host) ?? config.hosts[0])?.timeZone ?? 'UTC';
  const from = since === undefined ? '' : momentOf(since, 'since', timeZone);
  const before = until === undefined ? undefined : momentOf(until, 'until', timeZone);
  const names = new Set(operation === undefined ? listed.map(({ name }) => name) : [operation]);
  const isBy = (who: string) => by === undefined || who === by || who.endsWith(`:${by}`) || who.startsWith(`${by}:`);
  return (info) => {
    const run = summaryOf(config, info);
    const known = Object.hasOwn(operations, run.operation) ? operations[run.operation] : undefined;
    return (
      names.has(run.operation) &&
      (host === undefined || run.target === host || run.target.startsWith(`${host}/`)) &&
      (state === undefined || run.state === state) &&
      isBy(run.requestedBy ?? '') &&
      (!filter.undoable || (run.state === 'done' && known !== undefined && worstRisk(known) !== 'read')) &&
      (wanted === undefined || run.verdict === wanted) &&
      run.startedAt >= from &&
      (before === undefined || run.startedAt < before) &&
      (filter.dryRuns === true || state === 'planned' || !run.dryRun)
    );
  };
}

/** `mcp:claude`, or the name or the kind alone. */
function askedBy(who: string): string {
  if (who.includes(':')) return `${requestedBy} = ${quote(who)}`;
  const named = requester.shape.kind.options.map((kind) => `${requestedBy} = ${quote(`${kind}:${who}`)}`);
  const isKind = requester.shape.kind.safeParse(who).success;
  return `(${[...named, ...(isKind ? [`${requestedBy} STARTS_WITH ${quote(`${who}:`)}`] : [])].join(' OR ')})`;
}

/** Runs of operations, of all where none is named: the service's inner workflows (locks) are none. */
export function ofTypes(...some: readonly OperationDefinition[]): string {
  const types = some.length > 0 ? some : Object.values(operations);
  return `WorkflowType IN (${types.map(({ name }) => quote(workflowType(name))).join(', ')})`;
}

/** What asks for the runs that go on, and not for the inner workflows. */
export const openRuns = `${ofTypes()} AND ExecutionStatus = 'Running'`;

/** The workflow ids of whatever a query finds. */
export async function idsOf(client: Client, query: string): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { workflowId } of client.workflow.list({ query })) found.push(workflowId);
  return found;
}

export function quote(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}
