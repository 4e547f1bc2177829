import { createHash } from 'node:crypto';
import type { OperationDefinition } from '../../operations/definition.ts';
import { toolName, worstRisk } from '../../operations/definition.ts';
import type { RunSummary, Runs } from '../../runs/runs.ts';
import { type AnyTool, defineTool, type ToolCall } from '../define-tool.ts';
import { runDetails, summaryOf } from '../run-schema.ts';
import { runLine } from '../run-text.ts';

/** After this long, the same key from a client is a new request that happens to be numbered alike. Milliseconds. */
const retryWindowMs = 2 * 60_000;

/** How many ended runs of one key are looked through before the last is taken for the one that was asked for. */
const longestChain = 50;

/** The tool that starts an operation of the catalogue. */
export function operationTool(operation: OperationDefinition): AnyTool {
  const risk = worstRisk(operation);
  const reads = risk === 'read';
  return defineTool({
    name: toolName(operation.name),
    title: operation.title,
    description: `${operation.description} Starts a durable run and returns at once with its id and its page in the Temporal UI; wait_for_run waits for its report.`,
    risk,
    annotations: {
      readOnlyHint: reads,
      destructiveHint: risk === 'dangerous',
      idempotentHint: operation.idempotent,
      // What it looks at or changes is a machine outside of this service.
      openWorldHint: true,
    },
    input: operation.input,
    output: runDetails(operation.output),
    async handler(input, { runs, metrics }, call) {
      const run = await startOnce(runs, operation.name, input, call);
      metrics.runStarted(operation.name, run.existing);
      return {
        data: { note: nextStep(run), run: summaryOf(run), existing: run.existing },
        text: startedText(run),
        ...(call.takesTasks ? { task: run.id } : {}),
      };
    },
  });
}

function startedText(run: RunSummary & { readonly existing: boolean }): string {
  const what = run.existing ? 'This request had already started a run' : 'Started';
  return `${what}: ${runLine(run)}\nid: ${run.id}\nTemporal UI: ${run.url}\n${nextStep(run)}`;
}

function nextStep(run: RunSummary): string {
  return run.status === 'running'
    ? 'It goes on by itself. wait_for_run waits for its report and shows progress; cancel_run stops it.'
    : 'It has ended; get_run has its report.';
}

/**
 * Starts a run, or finds the one that an earlier try of the same call started. Clients number their calls, and some
 * number them alike in every session: a run of the same number that ended a while ago is taken for another request's,
 * and the key goes on from there, in the same way for every retry.
 */
async function startOnce(runs: Runs, operation: string, input: unknown, call: ToolCall) {
  const by = { kind: 'mcp', name: call.caller.name } as const;
  if (call.idempotencyKey === undefined) return runs.start(operation, input, by);
  const digest = createHash('sha256').update(JSON.stringify(input)).digest('base64url').slice(0, 16);
  let key = `${call.idempotencyKey}:${digest}`;
  for (let link = 1; ; link += 1) {
    const run = await runs.start(operation, input, by, { idempotencyKey: key });
    if (!run.existing || run.closedAt === undefined || link === longestChain) return run;
    if (Date.now() - Date.parse(run.closedAt) < retryWindowMs) return run;
    key = `${call.idempotencyKey}:${digest}:${run.closedAt}`;
  }
}
