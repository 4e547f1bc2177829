import type { Client } from '@temporalio/client';
import type { ActivityInterceptorsFactory, InjectedSinks } from '@temporalio/worker';
import { catalogue } from '../operations/catalogue.generated.ts';
import { type OperationDefinition, workflowType } from '../operations/definition.ts';
import { ownTrace, spanOfRun, startedIn } from '../run-trace.ts';
import { currentTracer, inSpan, type SpanAttributes } from '../trace.ts';
import type { TraceContext } from '../trace-context.ts';
import { keys } from '../workflows/lib/attributes.ts';
import { hostOfQueue, type RunSinks } from '../workflows/lib/messages.ts';

/** Of so many runs it is known what their steps belong to. */
const keptRuns = 2_000;
/** How long a step waits to learn what it belongs to, ms; without that it is done untraced. */
const askMs = 1_000;

const operations: ReadonlyMap<string, OperationDefinition> = new Map(
  Object.values(catalogue).map((operation) => [workflowType(operation.name), operation]),
);

/** What a step of a run belongs to, and what is said of it. */
interface RunPlace {
  readonly context: TraceContext;
  readonly attributes: SpanAttributes;
}

export interface RunTraces {
  /** Outermost, so that it sees a step's failure as the run does, and what is logged meanwhile names the span. */
  readonly activity: readonly ActivityInterceptorsFactory[];
  readonly sinks: InjectedSinks<RunSinks>;
}

/** What a worker needs where nothing is traced: runs tell all the same. */
export const untraced: RunTraces = {
  activity: [],
  sinks: { run: { began: { fn() {}, callDuringReplay: false }, ended: { fn() {}, callDuringReplay: false } } },
};

/**
 * Makes the spans of runs: one when a run begins, under which its steps are, each with a span of its own, and one over all
 * of it when it has ended. None is open for longer than its process does the work, so that a crash costs the spans of what
 * it interrupts and no more; what they belong to is found anew by whoever goes on. Where tracing is off it does nothing.
 */
export function traceRuns(client: Client): RunTraces {
  const tracer = currentTracer();
  if (tracer === undefined) return untraced;
  const places = new Map<string, Promise<RunPlace | undefined>>();

  function keep(runId: string, place: Promise<RunPlace | undefined>): void {
    places.set(runId, place);
    for (const oldest of places.keys()) {
      if (places.size <= keptRuns) break;
      places.delete(oldest);
    }
  }

  /** Undefined for the service's own workflows, and where Temporal doesn't say it in time. */
  async function placeOf(type: string, id: { workflowId: string; runId: string }): Promise<RunPlace | undefined> {
    const known = places.get(id.runId);
    if (known !== undefined) return await known;
    const asked = ask(type, id).catch(() => {
      places.delete(id.runId);
      return undefined;
    });
    keep(id.runId, asked);
    return await asked;
  }

  async function ask(type: string, { workflowId, runId }: { workflowId: string; runId: string }) {
    const info = await client.withDeadline(Date.now() + askMs, () =>
      client.workflow.getHandle(workflowId, runId).describe(),
    );
    // A part of a run that is a workflow by itself belongs to that run.
    const own = operations.has(type) ? runId : (info.parentExecution?.runId ?? undefined);
    if (own === undefined) return undefined;
    const { traceId, sampled } = rootOf(info.memo, info.rootExecution?.runId || runId);
    const risk = info.typedSearchAttributes.get(keys.risk);
    return {
      context: { traceId, sampled, spanId: spanOfRun(own) },
      attributes: { ...namesOf(type, { workflowId, runId }), 'proxmox_mcp.risk': risk },
    };
  }

  return {
    activity: [
      ({ info }) => ({
        inbound: {
          async execute(input, next) {
            const run = info.workflowExecution;
            const place = run && (await placeOf(info.workflowType ?? '', run));
            if (place === undefined) return await next(input);
            const attributes = {
              ...place.attributes,
              'proxmox_mcp.attempt': info.attempt,
              'proxmox_mcp.host': hostOfQueue(info.taskQueue),
            };
            return await inSpan({ name: info.activityType, parent: place.context, attributes }, () => next(input));
          },
        },
      }),
    ],
    sinks: {
      run: {
        began: {
          fn(info, { risk }) {
            const { workflowType: type, workflowId, runId, parent } = info;
            const { traceId, sampled } = rootOf(info.memo, info.root?.runId ?? runId);
            const spanId = spanOfRun(runId);
            const attributes = { ...namesOf(type, { workflowId, runId }), 'proxmox_mcp.risk': risk };
            keep(runId, Promise.resolve({ context: { traceId, sampled, spanId }, attributes }));
            const above = parent ? { traceId, sampled, spanId: spanOfRun(parent.runId) } : startedIn(info.memo);
            tracer
              .open({
                name: `begin ${nameOf(type)}`,
                parent: above ?? 'none',
                ids: { traceId, spanId },
                at: info.runStartTime.getTime(),
                attributes,
              })
              .end();
          },
          callDuringReplay: false,
        },
        ended: {
          fn(info, { target, risk, verdict }, outcome) {
            const { workflowType: type, workflowId, runId } = info;
            const { traceId, sampled } = rootOf(info.memo, info.root?.runId ?? runId);
            tracer
              .open({
                name: `run ${nameOf(type)}`,
                parent: { traceId, sampled, spanId: spanOfRun(runId) },
                at: info.runStartTime.getTime(),
                attributes: {
                  ...namesOf(type, { workflowId, runId }),
                  'proxmox_mcp.risk': risk,
                  'proxmox_mcp.target': target,
                  'proxmox_mcp.outcome': outcome,
                  'proxmox_mcp.verdict': verdict,
                },
              })
              .end(outcome === 'done' || outcome === 'planned' ? undefined : outcome);
          },
          callDuringReplay: false,
        },
      },
    },
  };
}

function rootOf(memo: Readonly<Record<string, unknown>> | undefined, rootRunId: string) {
  const { traceId, sampled } = startedIn(memo) ?? { traceId: ownTrace(rootRunId), sampled: true };
  return { traceId, sampled };
}

function nameOf(type: string): string {
  return operations.get(type)?.name ?? type;
}

/** Under the names that Temporal's own tracing gives them. */
function namesOf(type: string, { workflowId, runId }: { workflowId: string; runId: string }): SpanAttributes {
  return { 'proxmox_mcp.operation': nameOf(type), temporalWorkflowID: workflowId, temporalRunID: runId };
}
