import type { Progress, Question, RunStep } from '../operations/run.ts';
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
  if (isPaused(progress)) return { done, total, line: cleanText(`paused: ${whatItWaitsFor(progress)}`) };
  const current = progress.steps.find((step) => step.state === 'running');
  const where = total === 0 ? '' : `${Math.min(done + (current === undefined ? 0 : 1), total)}/${total} `;
  return { done, total, line: cleanText(`${where}${progress.message}`) };
}

/** Whether it goes on only after a person has done something. */
export function isPaused(progress: Progress): boolean {
  return progress.phase === 'paused' || progress.question !== undefined;
}

/** Whether whoever waits for the run is asked: an approval is given by somebody else. */
export function asksCaller(progress: Progress | undefined): boolean {
  return progress?.question?.kind === 'decision';
}

/** What comes of a run that was asked for or looked at, and what to do to get there. */
export function nextStep(run: RunDetails): string {
  if (run.closedAt !== undefined) return 'It has ended; get_run has its report.';
  if (run.progress === undefined || !isPaused(run.progress)) {
    return 'It goes on by itself. wait_for_run waits for its report and shows progress; cancel_run stops it.';
  }
  const { question } = run.progress;
  const paused = `It is paused and does not go on by itself: ${whatItWaitsFor(run.progress)}`;
  if (question === undefined) return cleanText(paused);
  const how =
    question.kind === 'approval'
      ? `No tool answers it. An administrator does: proxmox-mcp runs decide ${run.id}`
      : 'Ask the user, then answer with decide_run.';
  return cleanText(`${paused} ${how}`);
}

function whatItWaitsFor({ message, question }: Progress): string {
  if (question === undefined) return sentence(message);
  const choices = question.choices.map(({ name, meaning }) => `${name} (${meaning})`).join('; ');
  const what = question.kind === 'approval' ? 'an administrator has to approve' : 'it asks';
  return `${what}: ${sentence(question.text)} Choices: ${choices}.${until(question)}`;
}

function until({ until: end }: Question): string {
  return end === undefined ? '' : ` Without an answer by ${end} it is a no.`;
}

function sentence(text: string): string {
  return /[.!?:]$/.test(text) ? text : `${text}.`;
}

/** A run's live checklist, one line per step. */
export function checklist(steps: readonly RunStep[]): string {
  return steps.map((step) => stepLine(step, (note) => cleanLine(note, 500))).join('\n');
}

/** One line about a run. */
export function runLine(run: RunSummary): string {
  const what = run.dryRun ? `${run.operation} (dry run)` : run.operation;
  const found = run.verdict === undefined ? '' : ` (verdict: ${run.verdict})`;
  return `${what} on ${run.target}: ${run.state}${found}, started ${run.startedAt}${run.closedAt === undefined ? '' : `, ended ${run.closedAt}`}`;
}

/** A run as a text that says all that its data says: state, checklist, question, failure, report. */
export function runText(run: RunDetails): string {
  const { failure, progress, result } = run;
  const parts = [`${runLine(run)}\nid: ${run.id}\nTemporal UI: ${run.url}`];
  if (failure ?? progress ?? result) parts.push(quoteNotice);
  if (failure !== undefined) parts.push(cleanText(`It failed (${failure.code}): ${failureText(failure)}`));
  if (progress !== undefined && result === undefined) {
    parts.push(`${cleanText(progress.message)}\n${checklist(progress.steps)}`);
    if (run.closedAt === undefined && isPaused(progress)) parts.push(nextStep(run));
  }
  if (result !== undefined) parts.push(renderText(result.report).trimEnd());
  return cleanText(parts.join('\n\n'));
}
