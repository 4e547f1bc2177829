import { ServiceError } from '../errors.ts';
import { catalogue, type OperationName } from '../operations/catalogue.generated.ts';
import { worstRisk } from '../operations/definition.ts';
import type { RunDetails, Runs } from '../runs/runs.ts';
import { plainDeep } from './host-text.ts';
import { detailsOf, hasFailed } from './run-schema.ts';
import { describeProgress, runText } from './run-text.ts';
import { type Caller, mayUse, scopeFor } from './scopes.ts';
import type { CallToolResultLike, TaskSource, TaskState } from './task-source.ts';

/** How long a run can be asked for after it was started: the retention of the Temporal namespace. Milliseconds. */
const ttlMs = 30 * 24 * 3_600_000;

/** How often a client asks. Milliseconds. */
const pollIntervalMs = 1_000;

/** Runs as MCP Tasks: the task's id is the run's. */
export function runTasks(runs: Runs): TaskSource {
  return {
    async get(id) {
      return stateOf(await runs.get(id));
    },
    async cancel(id, caller) {
      const run = await runs.get(id);
      if (run.status !== 'running') return;
      checkMayCancel(run, caller);
      await runs.cancel(id, `cancelled as an MCP task by ${caller.name}`, { kind: 'mcp', name: caller.name });
    },
    async update(id) {
      // No run asks its client for anything; what comes anyway is answered like any answer nobody waits for.
      await runs.get(id);
    },
  };
}

/** Whoever may start an operation may stop its run. */
function checkMayCancel(run: RunDetails, caller: Caller): void {
  const operation = catalogue[run.operation as OperationName];
  const risk = operation === undefined ? 'dangerous' : worstRisk(operation);
  if (mayUse(caller, risk)) return;
  throw new ServiceError({
    code: 'forbidden',
    message: `Cancelling ${run.operation} needs the scope "${scopeFor(risk)}", and the token "${caller.name}" has "${caller.scope}"`,
    remedy: 'Ask an administrator for a token of that scope.',
  });
}

function stateOf(run: RunDetails): TaskState {
  const common = {
    taskId: run.id,
    createdAt: run.startedAt,
    lastUpdatedAt: run.closedAt ?? new Date().toISOString(),
    ttlMs,
    pollIntervalMs,
    statusMessage: statusMessage(run),
  };
  if (run.status === 'running') return { ...common, status: 'working' };
  if (run.status === 'cancelled') return { ...common, status: 'cancelled' };
  // A run that failed is an answer about the host, not a failure of the protocol.
  return { ...common, status: 'completed', result: resultOf(run) };
}

function statusMessage(run: RunDetails): string {
  if (run.status === 'running') {
    return run.progress === undefined ? 'starting' : describeProgress(run.progress).line;
  }
  return run.result?.report.summary ?? run.failure?.message ?? run.outcome ?? run.status;
}

function resultOf(run: RunDetails): CallToolResultLike {
  return {
    content: [{ type: 'text', text: runText(run) }],
    structuredContent: plainDeep(detailsOf(run)),
    ...(hasFailed(run) ? { isError: true } : {}),
  };
}
