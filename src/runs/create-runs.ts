import { createHash } from 'node:crypto';
import {
  type Client,
  WorkflowExecutionAlreadyStartedError,
  type WorkflowExecutionDescription,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { type OperationDefinition, workflowType } from '../operations/definition.ts';
import type { Undoes } from '../operations/reversal.ts';
import type { Answer, Progress, Question, Requester, RunMemo } from '../operations/run.ts';
import { labelFor } from '../operations/target.ts';
import { cleanLine } from '../reports/clean.ts';
import { endingText } from '../reports/ending.ts';
import { runUrl } from '../run-url.ts';
import { zoneOfTarget } from '../time-zone.ts';
import { currentTrace, inSpan } from '../trace.ts';
import { traceparentOf } from '../trace-context.ts';
import { runIdPrefix, startOptions } from '../workflows/lib/attributes.ts';
import { decideUpdate, progressQuery, serviceQueue } from '../workflows/lib/messages.ts';
import { readCancelRequest } from './cancel-request.ts';
import { findOperation } from './find-operation.ts';
import { findRun, isMoved } from './find-run.ts';
import { inWords } from './history.ts';
import { listRuns } from './list-runs.ts';
import { createMovedRuns } from './moved-runs.ts';
import { type GuestFinders, nameGuest } from './name-guest.ts';
import { parseInput } from './parse-input.ts';
import { activityQueues, activitySummaries, notBegun, pendingActivities } from './pending-activities.ts';
import { endOf, memoOf, summaryOf, traceOf } from './run-details.ts';
import { keyedPart, randomPart } from './run-id.ts';
import { readLog } from './run-log.ts';
import type { LiveProgress, RunDetails, RunSummary, Runs, Wait } from './runs.ts';
import { whyUnserved } from './serving.ts';
import { createUndoing } from './undo-run.ts';
import { requireWhoMayAnswer } from './who-answers.ts';

/** How often a watched run is asked for its progress, ms. */
const progressIntervalMs = 1_000;
/** How long a run may take to answer a query; only a worker can answer. */
const queryTimeoutMs = 3_000;

/** {@link Runs} over a Temporal client. */
export function createRuns({
  client,
  config,
  ...finders
}: GuestFinders & {
  readonly client: Client;
  readonly config: Config;
}): Runs {
  // A guest that has moved since, or has another name, must not make a second run of a request that is sent again.
  const named = createKept();
  const moved = createMovedRuns(config);
  const { undo, told } = createUndoing({ client, moved, config, launch });
  return {
    start,
    list: (filter) => listRuns({ client, config, moved }, filter, told),
    get,
    wait,
    cancel,
    undo,
    decide,
    log,
  };

  async function start(
    name: string,
    rawInput: unknown,
    by: Requester,
    options: { readonly idempotencyKey?: string } = {},
  ): Promise<RunSummary & { existing: boolean }> {
    const operation = findOperation(name);
    const key = options.idempotencyKey;
    const unique = key === undefined ? randomPart() : keyedPart(by.kind, by.name, name, key);
    const find = () => nameGuest(operation, rawInput, { config, ...finders });
    const meant = key === undefined ? await find() : await named(`${unique} ${JSON.stringify(rawInput)}`, find);
    const input = parseInput(operation, meant, config);
    const started = await launch(operation, input, by, { unique });
    if (started !== undefined) return { ...started, existing: false };
    // Two random parts that happen to be alike.
    if (key === undefined) return start(name, rawInput, by);
    const info = await findRun(client, moved, `${runIdPrefix(operation, input)}/${unique}`);
    if (info.memo?.inputDigest !== inputDigestOf(input)) throw keyReused(name);
    return { ...summaryOf(config, info), existing: true };
  }

  /** Undefined where there is a run of this id. */
  async function launch(
    operation: OperationDefinition,
    input: Readonly<Record<string, unknown>>,
    by: Requester,
    { unique, undoes }: { readonly unique: string; readonly undoes?: Undoes },
  ): Promise<RunSummary | undefined> {
    const workflowId = `${runIdPrefix(operation, input)}/${unique}`;
    if (moved.get(workflowId) !== undefined) return undefined;
    const attributes = { 'proxmox_mcp.operation': operation.name, temporalWorkflowID: workflowId };
    try {
      await inSpan({ name: `start ${operation.name}`, kind: 'client', attributes }, () =>
        client.workflow.start(workflowType(operation.name), {
          workflowId,
          workflowIdReusePolicy: 'REJECT_DUPLICATE',
          workflowIdConflictPolicy: 'FAIL',
          taskQueue: serviceQueue,
          args: [{ input, requestedBy: by, ...(undoes && { undoes }) }],
          memo: { inputDigest: inputDigestOf(input), ...(undoes && { undoes: undoes.run }), ...traceMemo() },
          ...startOptions(operation, input, by, undoes?.run),
        }),
      );
    } catch (error) {
      if (error instanceof WorkflowExecutionAlreadyStartedError) return undefined;
      throw error;
    }
    const target = labelFor(operation, input);
    return {
      id: workflowId,
      operation: operation.name,
      target,
      state: 'running',
      dryRun: input.dryRun === true,
      requestedBy: `${by.kind}:${by.name}`,
      ...(undoes && { undoes: undoes.run }),
      startedAt: new Date().toISOString(),
      timeZone: zoneOfTarget(config, target),
      url: runUrl(config, workflowId),
    };
  }

  async function get(id: string): Promise<RunDetails> {
    const info = await findRun(client, moved, id);
    const summary = summaryOf(config, info);
    if (isMoved(info)) return { ...(await told(summary, info)), ...moved.get(summary.id)?.end };
    if (summary.closedAt === undefined) {
      const [progress, waits] = await Promise.all([queryProgress(summary.id), waitsOf(info)]);
      return {
        ...summary,
        ...traceOf(config, info),
        ...(progress && { progress }),
        ...(waits.length > 0 && { waits: [...waits] }),
      };
    }
    return withEnd(info, await endOf(() => client.workflow.getHandle(summary.id, info.runId).result()));
  }

  /** Where a run that isn't done stopped, and of a cancelled one, of which Temporal keeps no text, who ended it. */
  async function withEnd(
    info: WorkflowExecutionDescription,
    end: Awaited<ReturnType<typeof endOf>>,
  ): Promise<RunDetails> {
    const summary = await told(summaryOf(config, info), info);
    const { ending } = memoOf(info);
    const details = { ...summary, ...traceOf(config, info), ...end, ...(ending && end.failure && { ending }) };
    // One that found its condition not met says so itself.
    if (end.failure === undefined || summary.state !== 'cancelled' || end.failure.code === 'condition-not-met') {
      return details;
    }
    const asked = await readCancelRequest(client, info).catch(() => undefined);
    const why = asked?.reason ? `: ${asked.reason}` : '';
    const by = asked === undefined ? 'It was cancelled.' : `Cancelled by ${cleanLine(`${asked.by}${why}`, 600)}.`;
    return {
      ...details,
      failure: { ...end.failure, message: ending === undefined ? by : `${by} ${endingText(ending)}` },
    };
  }

  async function wait(
    meant: string,
    options: {
      readonly timeoutMs: number;
      readonly signal?: AbortSignal;
      readonly onProgress?: (progress: LiveProgress) => void;
    },
  ): Promise<RunDetails> {
    const stop = AbortSignal.any([AbortSignal.timeout(options.timeoutMs), ...(options.signal ? [options.signal] : [])]);
    const { onProgress } = options;
    const found = await findRun(client, moved, meant);
    const { workflowId: id } = found;
    if (isMoved(found)) return get(id);
    const known = newKnown();
    const poll = onProgress
      ? setInterval(() => void live(id, known).then((progress) => progress && onProgress(progress)), progressIntervalMs)
      : undefined;
    try {
      const ended = await client.withAbortSignal(stop, () => endOf(() => client.workflow.getHandle(id).result()));
      return await withEnd(await client.workflow.getHandle(id).describe(), ended);
    } catch (error) {
      if (!stop.aborted) throw error;
      if (!options.signal?.aborted) return await get(id);
      throw new ServiceError({
        code: 'cancelled',
        message: `Waiting for ${id} was given up; the run goes on.`,
        remedy: 'Look at it later: get_run, or `npx proxmox-mcp runs get`.',
      });
    } finally {
      clearInterval(poll);
    }
  }

  async function cancel(id: string, reason: string, by: Requester): Promise<RunDetails> {
    const info = await findRun(client, moved, id);
    const { workflowId, runId, status } = info;
    const { question } = memoOf(info);
    if (status.name === 'RUNNING' && question?.ifCancelled === 'nothing') throw endsAlready(workflowId, question);
    if (status.name === 'RUNNING') {
      await client.workflowService.requestCancelWorkflowExecution({
        namespace: config.temporal.namespace,
        workflowExecution: { workflowId, runId },
        identity: `${by.kind}:${by.name}`,
        reason,
      });
    }
    return get(workflowId);
  }

  async function decide(meant: string, answer: Answer, by: Requester): Promise<RunDetails> {
    const { id, progress, question: remembered } = await get(meant);
    // A worker that has just begun may not tell yet what the memo says.
    const question = progress?.question ?? remembered;
    if (question === undefined) throw notAnswered(id, 'It waits for no answer now.');
    requireWhoMayAnswer(id, question, by);
    try {
      await client.workflow
        .getHandle(id)
        .executeUpdate(decideUpdate, { args: [{ question: question.id, ...answer, by }] });
    } catch (error) {
      if (error instanceof WorkflowUpdateFailedError) throw notAnswered(id, error.cause?.message ?? 'It was refused.');
      throw error;
    }
    return get(id);
  }

  async function log(id: string) {
    const found = await findRun(client, moved, id);
    const { workflowId } = found;
    if (isMoved(found)) return moved.get(workflowId)?.log ?? [];
    return readLog(await client.workflow.getHandle(workflowId).fetchHistory());
  }

  /** Undefined when nobody knows how far it is. */
  async function live(id: string, known: Known): Promise<LiveProgress | undefined> {
    const [progress, waits] = await Promise.all([
      queryProgress(id),
      client.workflow
        .getHandle(id)
        .describe()
        .then((info) => waitsOf(info, known))
        .catch(() => []),
    ]);
    return progress && { ...progress, ...(waits.length > 0 && { waits: [...waits] }) };
  }

  /**
   * Their steps are only in the history, which is read where something doesn't get on that isn't known yet.
   *
   * @param known what earlier readings have found; is added to
   */
  async function waitsOf(
    { raw, workflowId }: WorkflowExecutionDescription,
    { summaries, queues } = newKnown(),
  ): Promise<readonly Wait[]> {
    const { pendingActivities: pending } = raw;
    if (pendingActivities(pending).length === 0) return [];
    if (pending?.some(({ activityId }) => !summaries.has(activityId ?? ''))) {
      const history = await client.workflow.getHandle(workflowId).fetchHistory();
      for (const [id, summary] of activitySummaries(history)) summaries.set(id, summary);
      for (const [id, queue] of activityQueues(history)) queues.set(id, queue);
      // One without a summary is not looked for again.
      for (const { activityId, activityType } of pending) {
        if (activityId && !summaries.has(activityId)) summaries.set(activityId, inWords(activityType?.name ?? ''));
      }
    }
    const unserved = new Map<string, string>();
    for (const id of notBegun(pending)) {
      const queue = queues.get(id);
      const why = queue === undefined ? undefined : await whyUnserved(client, queue);
      if (why !== undefined) unserved.set(id, why);
    }
    return pendingActivities(pending, { summaries, unserved });
  }

  /** Undefined when no worker answers: the run's state is known, only its checklist isn't. */
  async function queryProgress(id: string): Promise<Progress | undefined> {
    try {
      return await client.withDeadline(Date.now() + queryTimeoutMs, () =>
        client.workflow.getHandle(id).query(progressQuery),
      );
    } catch {
      return undefined;
    }
  }
}

function endsAlready(id: string, { text, choices }: Question): ServiceError {
  const ways = choices.map(({ name, meaning }) => `npx proxmox-mcp runs decide ${id} ${name} (${meaning})`);
  return new ServiceError({
    code: 'conflict',
    message: `${id} is ending already and waits for a person: ${text}`,
    remedy: `Cancelling changes nothing. Decide with one of: ${ways.join('; ')}`,
  });
}

function notAnswered(id: string, why: string): ServiceError {
  return new ServiceError({
    code: 'conflict',
    message: `${id} was not answered. ${why}`,
    remedy: 'Look at what it asks now: get_run, or `npx proxmox-mcp runs get`.',
  });
}

function keyReused(operation: string): ServiceError {
  return new ServiceError({
    code: 'conflict',
    message: `The idempotency key was used before for ${operation} with another input, and nothing was started.`,
    remedy: 'Use a new key for a new request; the same key only for a repeat of the same request.',
  });
}

/** By which the run's own spans, made by whatever process, find what started it. */
function traceMemo(): Pick<RunMemo, 'trace' | 'traceState'> {
  const trace = currentTrace();
  if (trace === undefined) return {};
  return { trace: traceparentOf(trace), ...(trace.state && { traceState: trace.state }) };
}

function inputDigestOf(input: Readonly<Record<string, unknown>>): string {
  return createHash('sha256').update(JSON.stringify(input)).digest('hex').slice(0, 32);
}

/** Of so many requests it is known which guest they mean. */
const keptRequests = 1_000;

/** What a request was found to mean, by the request; the oldest are forgotten. */
function createKept() {
  const kept = new Map<string, unknown>();
  return async (request: string, find: () => Promise<unknown>): Promise<unknown> => {
    if (kept.has(request)) return kept.get(request);
    const meant = await find();
    kept.set(request, meant);
    for (const oldest of kept.keys()) {
      if (kept.size <= keptRequests) break;
      kept.delete(oldest);
    }
    return meant;
  };
}

/** What is known of a run's activities by their ids: their history is read where something is pending that isn't. */
interface Known {
  readonly summaries: Map<string, string>;
  readonly queues: Map<string, string>;
}

function newKnown(): Known {
  return { summaries: new Map(), queues: new Map() };
}
