import { z } from 'zod';
import { report } from '../operations/report.ts';
import { outcome, progress } from '../operations/run.ts';
import { cleanText } from '../reports/clean.ts';
import { quoteNotice, quoteReport } from '../reports/quote.ts';
import { failureText } from '../runs/failure-text.ts';
import type { RunDetails, RunSummary } from '../runs/runs.ts';

/** A run's id as callers give it. */
export const runId = z
  .string()
  .min(1)
  .max(300)
  .regex(/^[a-z0-9-]+\/[a-z0-9-]+\/[A-Za-z0-9_.:-]+$/, "expected a run's id, e.g. back-up/pve1/0f3c…")
  .describe("A run's id, from the tool that started it or from list_runs");

export const runSummary = z.object({
  id: z.string(),
  operation: z.string(),
  target: z.string().describe('The host'),
  status: z.enum(['running', 'completed', 'failed', 'cancelled', 'terminated', 'timed-out']),
  outcome: outcome.optional(),
  requestedBy: z.string().optional(),
  startedAt: z.string().describe('ISO 8601, UTC'),
  closedAt: z.string().optional(),
  url: z.string().describe('The run in the Temporal UI'),
});

const failure = z.object({ code: z.string(), message: z.string(), remedy: z.string() });

/** A run with what it is doing or what came of it; `output` is the operation's own. */
export function runDetails<Output extends z.ZodType>(output: Output) {
  return z.object({
    note: z.string().optional().describe('The essence in a sentence or two, and what to do next'),
    run: runSummary,
    existing: z.boolean().optional().describe('true: the same request had started this run before'),
    progress: progress.optional(),
    result: z.object({ outcome: z.enum(['done', 'planned']), report, output }).optional(),
    failure: failure.optional(),
  });
}

/** Only the summary's own fields of a run that may have more. */
export function summaryOf(run: RunSummary): z.infer<typeof runSummary> {
  const { id, operation, target, status, startedAt, url } = run;
  return {
    id,
    operation,
    target,
    status,
    startedAt,
    url,
    ...(run.outcome === undefined ? {} : { outcome: run.outcome }),
    ...(run.requestedBy === undefined ? {} : { requestedBy: run.requestedBy }),
    ...(run.closedAt === undefined ? {} : { closedAt: run.closedAt }),
  };
}

/** A run's details as {@link runDetails} has them. */
export function detailsOf(run: RunDetails) {
  return {
    // First, because Claude Code shows its model only the data of an answer that has data, not the text.
    ...noteOn(run),
    run: summaryOf(run),
    ...(run.progress === undefined ? {} : { progress: run.progress }),
    ...(run.result === undefined ? {} : { result: { ...run.result, report: quoteReport(run.result.report) } }),
    ...(run.failure === undefined ? {} : { failure: run.failure }),
  };
}

/** Whether the run ended without doing what it was to do. */
export function hasFailed(run: RunDetails): boolean {
  return run.status !== 'running' && run.result === undefined;
}

function noteOn(run: RunDetails): { note?: string } {
  if (run.result !== undefined) {
    const { title, verdict, summary } = run.result.report;
    return { note: cleanText(`${title}: ${verdict}. ${summary} ${quoteNotice}`) };
  }
  if (run.failure !== undefined) return { note: cleanText(`${failureText(run.failure)} ${quoteNotice}`) };
  return run.status === 'running' ? { note: 'It goes on by itself; wait_for_run waits for its report.' } : {};
}
