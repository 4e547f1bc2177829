import { z } from 'zod';
import { progress, question } from '../operations/run.ts';
import { cleanLine } from '../reports/clean.ts';
import { quoteNotice, quoteReport } from '../reports/quote.ts';
import type { RunDetails, RunSummary } from '../runs/runs.ts';
import { runFailure, runResult, runSummary } from '../runs/schema.ts';
import { boundedOutput, limits, quotedFailure, quotedPlan, quotedProgress, quotedQuestion } from './host-text.ts';
import { endLine, nextStep, sentence } from './run-text.ts';

/** A run's id as callers give it. */
export const runId = z
  .string()
  .max(300)
  .regex(/^[a-z0-9-]+(\/[A-Za-z0-9_.:,-]+)+$/, "expected a run's id, e.g. back-up/pve1/0f3c…")
  .describe("Run's id, as list_runs has it");

/** Every conversation pays for what the definitions say of these; the note says in words what is in them. */
const loose = z.record(z.string(), z.unknown()).optional();
const asked = question.extend({ approval: loose, ifCancelled: z.enum(['ends', 'nothing']).optional() }).optional();
/** The same as in `progress`, which has its shape. */
const askedToo = loose.describe('As in progress');
const undoToo = loose.describe('Whether undo_run can take it back');

/** A run as tools answer it. */
export const runData = z.object({
  note: z.string().describe('The essence, and what to do next'),
  run: runSummary.extend({ question: askedToo, undo: undoToo }),
  existing: z.boolean().optional().describe('true: the same request had started this run before'),
  progress: progress.extend({ question: asked, plan: loose }).optional(),
  // Who approved it stands in the report.
  result: runResult.omit({ approvedBy: true }).extend({ plan: loose }).optional(),
  failure: runFailure.optional(),
});
export type RunData = z.infer<typeof runData>;

/** What of {@link runData} is published: every conversation pays for it, and the note says in words what is in the rest. */
export const runShape = z.object({
  note: z.string().describe('The essence, and what to do next'),
  run: z.object({
    id: z.string(),
    operation: z.string(),
    target: z.string().describe('host, host/VMID, fleet or service'),
    state: runSummary.shape.state,
    verdict: runSummary.shape.verdict,
    dryRun: z.boolean(),
    requestedBy: z.string().optional(),
    startedAt: z.string(),
    closedAt: z.string().optional(),
    timeZone: z.string().describe("Its host's: tell people times in it"),
    url: z.string().describe('In the Temporal UI'),
    undo: loose.describe('Whether undo_run can take it back'),
  }),
  progress: loose.describe('phase, message, steps, and the question that is asked'),
  result: loose.describe('outcome, report, output'),
  failure: loose.describe('code, message, remedy'),
});

/** A run as {@link runData} has it. */
export function dataOf(run: RunDetails & { readonly existing?: boolean }): RunData {
  const { progress: now, result, failure, existing, ...summary } = run;
  return {
    // First, because Claude Code shows its model only the data of an answer that has data, not the text.
    note: noteOn(run),
    run: boundedSummary(summary),
    ...(existing === undefined ? {} : { existing }),
    ...(now === undefined ? {} : { progress: quotedProgress(now) }),
    ...(result === undefined
      ? {}
      : {
          result: {
            outcome: result.outcome,
            report: quoteReport(result.report),
            output: boundedOutput(result.output),
            // The whole of it is in the report of a dry run.
            ...(result.plan === undefined ? {} : { plan: quotedPlan(result.plan) }),
          },
        }),
    ...(failure === undefined ? {} : { failure: quotedFailure(failure) }),
  };
}

/** No more than its shape says; who asked is a name that a client or a person chose. */
export function boundedSummary(run: RunSummary): RunSummary {
  const { target, requestedBy, question, undoes, undo, ...others } = runSummary.parse(run);
  return {
    ...others,
    target: cleanLine(target, limits.line),
    ...(question === undefined ? {} : { question: quotedQuestion(question) }),
    ...(undoes === undefined ? {} : { undoes: cleanLine(undoes, limits.line) }),
    ...(undo === undefined ? {} : { undo: { ...undo, text: cleanLine(undo.text, limits.line) } }),
    ...(requestedBy === undefined ? {} : { requestedBy: cleanLine(requestedBy, limits.name) }),
  };
}

/** Whether the run ended without doing what it was to do. */
export function hasFailed(run: RunDetails): boolean {
  return run.closedAt !== undefined && run.result === undefined;
}

function noteOn(run: RunDetails): string {
  if (run.result !== undefined || run.failure !== undefined) {
    return `${endLine(run)}${whatNext(run)} ${quoteNotice}`;
  }
  return run.progress === undefined && run.question === undefined ? nextStep(run) : `${nextStep(run)} ${quoteNotice}`;
}

/** What may follow on a run that has ended well. */
function whatNext({ result, undo }: RunDetails): string {
  if (result?.outcome === 'planned') return ' To do it: the same call without dryRun.';
  if (undo === undefined) return '';
  const can = undo.possible ? 'can take it back.' : "can't take it back:";
  return ` undo_run ${can} ${cleanLine(sentence(undo.text), limits.line)}`;
}
