import { cleanText } from '../reports/clean.ts';
import type { RunDetails } from '../runs/runs.ts';
import { checkMaySteer } from './decisions.ts';
import type { McpDependencies } from './dependencies.ts';
import { plainDeep } from './host-text.ts';
import type { CallToolResultLike, McpTask, McpTaskSource } from './mcp-task.ts';
import { dataOf, hasFailed } from './run-data.ts';
import { endLine, runText, workingLine } from './run-text.ts';
import { asRequester } from './scopes.ts';

/** How long a run can be asked for after it was started: the retention of the Temporal namespace. Milliseconds. */
const ttlMs = 30 * 24 * 3_600_000;

/** How often a client asks. Milliseconds. */
const pollIntervalMs = 1_000;

/** Runs as MCP tasks: the MCP task's id is the run's. */
export function runMcpTasks({ runs, operations }: Pick<McpDependencies, 'runs' | 'operations'>): McpTaskSource {
  return {
    async get(id) {
      return mcpTaskOf(await runs.get(id));
    },
    async cancel(id, caller) {
      const run = await runs.get(id);
      if (run.closedAt !== undefined) return;
      checkMaySteer(run, operations, caller, 'Cancelling');
      await runs.cancel(id, `cancelled as an MCP task by ${caller.name}`, asRequester(caller));
    },
    async update(id) {
      // No run asks its client for anything; what comes anyway is answered like any answer nobody waits for.
      await runs.get(id);
    },
  };
}

function mcpTaskOf(run: RunDetails): McpTask {
  const common = {
    taskId: run.id,
    createdAt: run.startedAt,
    lastUpdatedAt: run.closedAt ?? new Date().toISOString(),
    ttlMs,
    pollIntervalMs,
    statusMessage: cleanText(statusMessage(run)),
  };
  if (run.closedAt === undefined) return { ...common, status: 'working' };
  if (run.state === 'cancelled') return { ...common, status: 'cancelled' };
  // A run that failed is an answer about the host, not a failure of the protocol.
  return { ...common, status: 'completed', result: resultOf(run) };
}

function statusMessage(run: RunDetails): string {
  return run.closedAt === undefined ? workingLine(run) : endLine(run);
}

function resultOf(run: RunDetails): CallToolResultLike {
  return {
    content: [{ type: 'text', text: runText(run) }],
    structuredContent: plainDeep(dataOf(run)),
    ...(hasFailed(run) ? { isError: true } : {}),
  };
}
