import { createHash } from 'node:crypto';
import { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import {
  type OperationDefinition,
  type Risk,
  riskOf,
  risksOf,
  toolName,
  worstRisk,
} from '../../operations/definition.ts';
import { writtenInput } from '../../runs/name-guest.ts';
import type { RunDetails, Runs } from '../../runs/runs.ts';
import { type AnyTool, defineTool, type ToolAnswer, type ToolCall } from '../define-tool.ts';
import type { McpDependencies } from '../dependencies.ts';
import { invalidInput } from '../input-errors.ts';
import { createOperationSearch } from '../operation-search.ts';
import { dataOf, hasFailed, type RunData } from '../run-data.ts';
import { describeProgress, nextStep, runLine, runText } from '../run-text.ts';
import { asRequester, mayUse, scopeFor } from '../scopes.ts';

/** After this long, the same key from a client is a new request that happens to be numbered alike. Milliseconds. */
const retryWindowMs = 2 * 60_000;

/** How many ended runs of one key are looked through before the last is taken for the one that was asked for. */
const longestChain = 50;

/** How long a tool waits for the report of an operation that answers at once. Milliseconds. */
const atOnceMs = 20_000;

const starts = 'Returns a run id at once; wait_for_run waits for the report.';
const answers = `Answers with the report itself; if that takes longer than ${atOnceMs / 1_000} s, with the id of its run, for wait_for_run.`;

/**
 * The tool of its own of an operation that is asked for daily. What of several risks is dangerous it leaves to the tool
 * that takes nothing else: so a client that always lets its user start a guest lets nobody pull its plug.
 */
export function operationTool(operation: OperationDefinition): AnyTool {
  const risks = risksOf(operation);
  const name = toolName(operation.name);
  const leaves = leavesDangerous(operation);
  return defineTool({
    name,
    title: operation.title,
    description: [
      operation.description,
      operation.answersAtOnce ? answers : starts,
      ...(leaves ? [`${dangerousValues(operation)}: by ${startTools.dangerous.name}.`] : []),
    ].join(' '),
    ...(operation.searchHint === undefined ? {} : { searchHint: operation.searchHint }),
    risk: operation.risk,
    annotations: {
      readOnlyHint: worstRisk(operation) === 'read',
      destructiveHint: risks[0] === 'dangerous',
      idempotentHint: operation.idempotent,
      // What it looks at or changes is a machine outside of this service.
      openWorldHint: true,
    },
    input: writtenInput(operation),
    async handler(input, dependencies, call) {
      if (leaves && riskOf(operation, input) === 'dangerous') throw wrongTool(name, operation, 'dangerous', call);
      return start(operation, input, dependencies, call);
    },
  });
}

/** Whether some requests of an operation are dangerous and others not. */
function leavesDangerous(operation: OperationDefinition): boolean {
  return risksOf(operation).length > 1 && worstRisk(operation) === 'dangerous';
}

/** `action stop` */
function dangerousValues({ risk }: OperationDefinition): string {
  if (typeof risk === 'string') return '';
  const values = Object.entries(risk.of).flatMap(([value, one]) => (one === 'dangerous' ? [value] : []));
  return `${risk.by} ${values.join(', ')}`;
}

/** The tool for each risk that a request of the operation can have. */
export function howToStart(operation: OperationDefinition): string | Readonly<Record<string, string>> {
  const { risk } = operation;
  const own = operation.exposure === 'direct' ? toolName(operation.name) : undefined;
  if (own !== undefined && !leavesDangerous(operation)) return own;
  if (typeof risk === 'string') return startTools[risk].name;
  const toolOf = (one: Risk) => (one === 'dangerous' ? undefined : own) ?? startTools[one].name;
  return Object.fromEntries(Object.entries(risk.of).map(([value, one]) => [`${risk.by}: ${value}`, toolOf(one)]));
}

/** The tools for the operations that have none of their own, by the risk of the requests that each takes. */
export const startTools: Readonly<Record<Risk, AnyTool>> = {
  read: startTool({
    name: 'run_read_operation',
    title: 'Run a read operation',
    risk: 'read',
    description:
      'Run an operation that only looks (risk read): checks, audits, reports, a service: is it running, its status and logs. Name and input as search_operations says. Returns a run id at once; wait_for_run waits for the report. Refuses other risks.',
  }),
  change: startTool({
    name: 'start_change',
    title: 'Start a change',
    risk: 'change',
    searchHint: 'snapshot all guests before the upgrade',
    description:
      'Start an operation that changes something and can undo it (risk change), e.g. start, stop or restart a service; snapshot, clone, resize, migrate … Name and input as search_operations says. Many guests at once: change-guests, e.g. { change: "snapshot", with: { snapshot: "before-upgrade" }, tag: "web" }. Returns a run id at once; wait_for_run waits for the report. Refuses other risks.',
  }),
  dangerous: startTool({
    name: 'start_dangerous_change',
    title: 'Start a dangerous change',
    risk: 'dangerous',
    description:
      'Start an operation that can lose data, access or service (risk dangerous). Name and input as search_operations says; with dryRun: true first, and show the plan. Returns a run id at once; wait_for_run waits for the report. Refuses other risks.',
  }),
};

interface StartTool {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly searchHint?: string;
  readonly risk: Risk;
}

function startTool({ risk, ...said }: StartTool): AnyTool {
  const { name } = said;
  return defineTool({
    ...said,
    risk,
    annotations: {
      readOnlyHint: risk === 'read',
      destructiveHint: risk === 'dangerous',
      idempotentHint: risk === 'read',
      openWorldHint: true,
    },
    input: z.object({
      operation: operationName().describe('e.g. check-health'),
      input: z.record(z.string(), z.unknown()).describe("The operation's own fields, as its schema says"),
    }),
    async handler({ operation: asked, input }, dependencies, call) {
      const operation = findOperation(asked, dependencies.operations);
      // Where no request of it can be right here, that comes before whatever else may be wrong with this one.
      if (!risksOf(operation).includes(risk)) throw wrongTool(name, operation, risksOf(operation)[0], call);
      const parsed = writtenInput(operation).strict().safeParse(input);
      if (!parsed.success) throw invalidInput(operation, input, parsed.error);
      const actual = riskOf(operation, parsed.data);
      if (actual !== risk) throw wrongTool(name, operation, actual, call);
      return start(operation, parsed.data, dependencies, call);
    },
  });
}

/** An operation's name; its tool's, with `_`, is taken too. */
export function operationName() {
  return z
    .string()
    .max(64)
    .regex(/^[a-z][a-z0-9_-]*$/, "expected an operation's name, e.g. back-up")
    .transform((name) => name.replaceAll('_', '-'));
}

/** Throws `not-found`, with the one that was meant. */
export function findOperation(name: string, operations: readonly OperationDefinition[]): OperationDefinition {
  const found = operations.find((operation) => operation.name === name);
  if (found !== undefined) return found;
  const meant = createOperationSearch(operations).meant(name);
  const hint = meant === undefined ? '' : `Did you mean ${meant.name}? `;
  throw new ServiceError({
    code: 'not-found',
    message: `operation: there is no operation "${name}", and nothing was started`,
    remedy: `${hint}search_operations finds them by words, and names all without a query.`,
  });
}

/** Each tool takes exactly its own risk, so that leave to use one tool is leave for nothing else. */
function wrongTool(tool: string, operation: OperationDefinition, risk: Risk, { caller }: ToolCall): ServiceError {
  const right = startTools[risk].name;
  const scope = mayUse(caller, risk)
    ? ''
    : `; it needs a token of the scope "${scopeFor(risk)}", and "${caller.name}" has "${caller.scope}"`;
  return new ServiceError({
    code: 'invalid-input',
    message: `operation: this request of ${operation.name} is of the risk "${risk}", which ${tool} does not take, and nothing was started`,
    remedy: `Call ${right} with the operation ${operation.name} and the same input${scope}.`,
    details: { field: 'operation', tool: right },
  });
}

async function start(
  operation: OperationDefinition,
  input: unknown,
  { runs, metrics }: McpDependencies,
  call: ToolCall,
): Promise<ToolAnswer<RunData>> {
  const { existing, ...started } = await startOnce(runs, operation.name, input, call);
  metrics.runStarted(operation.name, existing);
  // One that was there before may be waiting for a person by now, or have ended.
  const run: RunDetails = operation.answersAtOnce
    ? await waitAtOnce(runs, started.id, call)
    : existing
      ? await runs.get(started.id)
      : started;
  const what = existing ? 'This request had already started a run' : 'Started';
  if (run.closedAt !== undefined) {
    const text = existing ? `${what}, and nothing was started now.\n\n${runText(run)}` : runText(run);
    return { data: { ...dataOf(run), existing }, text, failed: hasFailed(run) };
  }
  return {
    data: { ...dataOf(run), existing },
    text: `${what}: ${runLine(run)}\nid: ${run.id}\nTemporal UI: ${run.url}\n${nextStep(run)}`,
    ...(call.takesMcpTasks ? { mcpTask: run.id } : {}),
  };
}

/** Until the run has ended, or it is time to answer with its id. */
async function waitAtOnce(
  runs: Runs,
  id: string,
  { signal, progress, answerWithinMs = atOnceMs }: ToolCall,
): Promise<RunDetails> {
  return await runs.wait(id, {
    timeoutMs: Math.min(atOnceMs, answerWithinMs),
    signal,
    onProgress(now) {
      const { done, total, line } = describeProgress(now);
      progress?.(done, total, line);
    },
  });
}

/**
 * Starts a run, or finds the one that an earlier try of the same call started. Clients number their calls, and some
 * number them alike in every session: a run of the same number that ended a while ago is taken for another request's,
 * and the key goes on from there, in the same way for every retry.
 */
async function startOnce(runs: Runs, operation: string, input: unknown, call: ToolCall) {
  const by = asRequester(call.caller);
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
