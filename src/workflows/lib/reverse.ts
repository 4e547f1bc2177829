import { ApplicationFailure } from '@temporalio/workflow';
import type { OperationDefinition } from '../../operations/definition.ts';
import type { PlanDraft } from '../../operations/plan.ts';
import type { Section } from '../../operations/report.ts';
import type { Reversal, Undoes } from '../../operations/reversal.ts';
import { cleanLine } from '../../reports/clean.ts';

/** How a run that is done is taken back; undefined where its operation has nothing to say about that. */
export function wayBack(
  definition: OperationDefinition,
  input: Readonly<Record<string, unknown>>,
  output: Readonly<Record<string, unknown>>,
): Reversal | undefined {
  try {
    return definition.undo?.reverse(input, output);
  } catch {
    // What was done is done, whatever can be said of taking it back.
    return { why: 'What it recorded is not enough to take it back.' };
  }
}

/** The plan of a run that takes another one back says so. Throws `conflict` where all is not as that one left it. */
export function planOfUndo(undoes: Undoes | undefined, plan: PlanDraft, target: string): PlanDraft {
  if (undoes === undefined) return plan;
  const { run, expects, remains } = undoes;
  const now = new Map(plan.state.map(({ name, value }) => [name, value]));
  const changed = expects
    .filter(({ name, value }) => now.get(name) !== value)
    .map(({ name, value }) => `${name} was ${value}, and is ${now.get(name) ?? 'not there'} now`);
  if (changed.length > 0) throw notAsLeft(run, target, cleanLine(changed.join('; '), 600));
  return {
    ...plan,
    summary: `undo ${run}: ${plan.summary}`,
    risks: [...(remains === undefined ? [] : [remains]), ...plan.risks],
  };
}

/** What the report of such a run says of that. */
export function undoSection({ run, remains }: Undoes, isDryRun: boolean): Section {
  const takenBack = isDryRun ? `Would take back ${run}` : `Took back ${run}`;
  return {
    title: 'Undo',
    findings: [
      { check: 'Undo', verdict: 'ok', summary: takenBack },
      ...(remains === undefined ? [] : [{ check: 'Stays', verdict: 'ok', summary: remains } as const]),
    ],
  };
}

function notAsLeft(run: string, target: string, changed: string): ApplicationFailure {
  const remedy = 'Look who did that and why (list_runs, the ledger), then change it to what it is to be now.';
  return ApplicationFailure.create({
    message: `${target} is not as ${run} left it, so nothing was taken back: ${changed}.`,
    type: 'conflict',
    nonRetryable: true,
    details: [{ code: 'conflict', remedy }],
  });
}
