import type { Progress, RunStep } from '../operations/run.ts';
import { cleanLine, cleanText } from '../reports/clean.ts';
import { quoteNotice } from '../reports/quote.ts';
import { stepLine } from '../reports/steps.ts';
import { renderText } from '../reports/text.ts';
import { failureText } from '../runs/failure-text.ts';
import type { RunDetails, RunSummary } from '../runs/runs.ts';

const finished: ReadonlySet<RunStep['state']> = new Set(['done', 'failed', 'skipped', 'undone']);

/** How far a run is: steps behind it, all its steps, and one line for a person. */
export function describeProgress(progress: Progress): { done: number; total: number; line: string } {
  const total = progress.steps.length;
  const done = progress.steps.filter((step) => finished.has(step.state)).length;
  const current = progress.steps.find((step) => step.state === 'running');
  const where = total === 0 ? '' : `${Math.min(done + (current === undefined ? 0 : 1), total)}/${total} `;
  return { done, total, line: cleanText(`${where}${progress.message}`) };
}

/** A run's live checklist, one line per step. */
export function checklist(steps: readonly RunStep[]): string {
  return steps.map((step) => stepLine(step, (note) => cleanLine(note, 500))).join('\n');
}

/** One line about a run. */
export function runLine(run: RunSummary): string {
  const state = run.outcome ?? run.status;
  return `${run.operation} on ${run.target}: ${state}, started ${run.startedAt}${run.closedAt === undefined ? '' : `, ended ${run.closedAt}`}`;
}

/** A run as a text that says all that its data says: state, checklist, failure, report. */
export function runText(run: RunDetails): string {
  const parts = [`${runLine(run)}\nid: ${run.id}\nTemporal UI: ${run.url}`];
  if (run.failure ?? run.progress ?? run.result) parts.push(quoteNotice);
  if (run.failure !== undefined) {
    parts.push(cleanText(`It failed (${run.failure.code}): ${failureText(run.failure)}`));
  }
  if (run.progress !== undefined && run.result === undefined) {
    parts.push(`${cleanText(run.progress.message)}\n${checklist(run.progress.steps)}`);
  }
  if (run.result !== undefined) parts.push(renderText(run.result.report).trimEnd());
  return parts.join('\n\n');
}
