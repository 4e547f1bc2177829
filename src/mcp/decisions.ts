import type { Decisions } from '../console/deciding.ts';
import { type OperationDefinition, worstRisk } from '../operations/definition.ts';
import type { Answer } from '../operations/run.ts';
import type { RunDetails, RunSummary } from '../runs/runs.ts';
import type { McpDependencies } from './dependencies.ts';
import { asRequester, type Caller, mayUse, outOfScope } from './scopes.ts';

/** Whoever may start an operation, in its worst way, may decide how its runs end. Throws `forbidden`. */
export function checkMaySteer(
  run: RunSummary,
  operations: readonly OperationDefinition[],
  caller: Caller,
  doing: string,
): void {
  const risk = worstRiskOf(run, operations);
  if (!mayUse(caller, risk)) throw outOfScope(`${doing} a run of ${run.operation}`, risk, caller);
}

/**
 * Answers what a paused run asks, in the name of a token: by its tool, or on the page. Throws `forbidden` for an approval,
 * which no token gives, and `conflict` where the run doesn't ask that (any more).
 *
 * @param answer without a `question` it is for the open one
 */
export async function answerRun(
  { runs, operations }: Pick<McpDependencies, 'runs' | 'operations'>,
  caller: Caller,
  id: string,
  answer: Answer,
): Promise<RunDetails> {
  const run = await runs.get(id);
  checkMaySteer(run, operations, caller, 'Deciding');
  const open = run.progress?.question ?? run.question;
  // Named, so that the answer never goes to what it asks next.
  const question = answer.question ?? open?.id;
  return runs.decide(run.id, { ...answer, ...(question === undefined ? {} : { question }) }, asRequester(caller));
}

/** The console's part of it. */
export function createDecisions(dependencies: Pick<McpDependencies, 'runs' | 'operations'>): Decisions {
  return {
    mayAsk: mayUse,
    may: (viewer, run) => mayUse(viewer, worstRiskOf(run, dependencies.operations)),
    decide: (viewer, run, answer) => answerRun(dependencies, viewer, run, answer),
  };
}

function worstRiskOf({ operation: name }: RunSummary, operations: readonly OperationDefinition[]) {
  const operation = operations.find((one) => one.name === name);
  return operation === undefined ? 'dangerous' : worstRisk(operation);
}
