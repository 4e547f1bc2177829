import type { Verdict } from '../operations/finding.ts';
import type { Progress, Question, RunStep } from '../operations/run.ts';
import { cleanLine, cleanText } from '../reports/clean.ts';
import { planReport } from '../reports/plan.ts';
import { quoteNotice } from '../reports/quote.ts';
import { stepLine } from '../reports/steps.ts';
import { renderText } from '../reports/text.ts';
import { readableList, readableTime } from '../reports/units.ts';
import { failureText } from '../runs/failure-text.ts';
import type { RunDetails, RunSummary } from '../runs/runs.ts';
import { limits, quotedFailure } from './host-text.ts';

const finished: ReadonlySet<RunStep['state']> = new Set(['done', 'failed', 'skipped', 'undone']);

/** How far a run is: steps behind it, all its steps, and one line for a person. */
export function describeProgress(progress: Progress): { done: number; total: number; line: string } {
  const total = progress.steps.length;
  const done = progress.steps.filter((step) => finished.has(step.state)).length;
  if (isPaused(progress))
    return { done, total, line: cleanLine(`paused: ${whatItWaitsFor(progress)}`, limits.message) };
  const current = progress.steps.find((step) => step.state === 'running');
  const where = total === 0 ? '' : `${Math.min(done + (current === undefined ? 0 : 1), total)}/${total} `;
  return { done, total, line: cleanLine(`${where}${progress.message}`, limits.line) };
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
  const { progress } = run;
  const question = questionOf(run);
  if (question === undefined && (progress === undefined || !isPaused(progress))) {
    return `${howItGoesOn(progress, run.waits)}wait_for_run waits for its report and shows progress; cancel_run stops it.`;
  }
  const paused = `It is paused and does not go on by itself: ${whatItWaitsFor({ message: 'paused', ...progress, question })}`;
  if (question === undefined) return cleanLine(paused, limits.message);
  const how =
    question.kind === 'approval'
      ? `No tool answers it: tell the user. ${whoApproves(question)} ${whereToAnswer(run)}. Then it carries on by itself.`
      : 'Ask the user, then answer with decide_run.';
  return `${cleanLine(paused, limits.message)} ${how}`;
}

/** What it is doing now as the status of an MCP task: of one that waits for a person for whom, until when, and where. */
export function workingLine(run: RunDetails): string {
  const { progress, timeZone } = run;
  const question = questionOf(run);
  if (question === undefined) return progress === undefined ? 'starting' : describeProgress(progress).line;
  if (question.kind === 'decision') return describeProgress(progress ?? unknownProgress(question)).line;
  const { approval, until } = question;
  const names = approval === undefined ? 'an administrator' : readableList(approval.approvers);
  const count = approval !== undefined && approval.count > 1 ? `${approval.count} of ` : '';
  const given = approval?.given.length ? `, ${readableList(approval.given)} said yes already` : '';
  const end = until === undefined ? '' : ` until ${readableTime(until, timeZone)}`;
  return cleanLine(
    `waits for the approval of ${count}${names}${end}${given}. To be answered by them ${whereToAnswer(run)}. It asks: ${question.text}`,
    limits.message,
  );
}

/** Known from the memo, too, where no worker answers. */
function questionOf({ progress, question }: RunDetails): Question | undefined {
  return progress === undefined ? question : progress.question;
}

function unknownProgress(question: Question): Progress {
  return { phase: 'paused', message: question.text, steps: [], question };
}

function whereToAnswer({ id, page }: RunDetails): string {
  return `on the administrators' page${page === undefined ? '' : ` (${page})`}, or in a terminal: npx proxmox-mcp runs decide ${id} approve`;
}

/** Whether it goes on by itself, and when; nothing where nobody has said how far it is. */
function howItGoesOn(progress: Progress | undefined, [wait]: NonNullable<RunDetails['waits']> = []): string {
  if (wait !== undefined) return `It can't get on now: ${cleanLine(sentence(wait.text), limits.line)} `;
  switch (progress?.phase) {
    case undefined:
      return '';
    case 'waiting-for-lock':
      return `It does nothing yet: ${cleanLine(sentence(progress.message), limits.line)} It goes on when that run gives the lock back. `;
    case 'undoing':
      return 'It takes back what it did, and ends then. ';
    default:
      return 'It goes on by itself. ';
  }
}

/** How a run ended, in one line: what became of it, and what it found, which are two things. */
export function endLine({ operation, target, state, result, failure }: RunDetails): string {
  if (result !== undefined) {
    const { title, verdict, summary, target: on } = result.report;
    const found = cleanLine(sentence(summary), limits.line);
    // Many titles name it already.
    const what = title.endsWith(` ${on}`) ? title : `${title} (${on})`;
    return `${cleanLine(what, limits.name * 2)}: ${result.outcome}, verdict: ${verdictInWords[verdict]}. ${found}`;
  }
  const what = cleanLine(`${operation} on ${target}`, limits.name * 2);
  if (failure === undefined) return `${what}: ${state}.`;
  return `${what}: ${state} (${cleanLine(failure.code, limits.name)}): ${cleanLine(sentence(failureText(failure)), limits.message)}`;
}

/** For a model, which reads "done" as "all is well". */
const verdictInWords: Readonly<Record<Verdict, string>> = {
  ok: 'ok',
  warning: 'warning, something needs a look',
  failed: 'failed, what it looked at is not well',
  unknown: 'unknown, not all could be looked at',
  skipped: 'skipped, nothing of it applied',
};

function whatItWaitsFor({
  message,
  question,
}: {
  readonly message: string;
  readonly question?: Question | undefined;
}): string {
  if (question === undefined) return sentence(message);
  const choices = question.choices.map(({ name, meaning }) => `${name} (${meaning})`).join('; ');
  const what = question.kind === 'approval' ? 'an administrator has to approve' : 'it asks';
  return `${what}: ${cleanLine(sentence(question.text), limits.line)} Choices: ${cleanLine(choices, limits.line)}.${until(question)}`;
}

function whoApproves({ approval }: Question): string {
  if (approval === undefined) return 'An administrator does';
  const { approvers, count, given } = approval;
  const so = given.length > 0 ? ` (${readableList(given)} said yes already)` : '';
  return `${count > 1 ? `${count} of ${readableList(approvers)} do` : `${readableList(approvers)} does`}${so}`;
}

function until({ until: end }: Question): string {
  return end === undefined ? '' : ` Without an answer by ${end} it is a no.`;
}

/** With a full stop, where it has no end of its own. */
export function sentence(text: string): string {
  return /[.!?:]$/.test(text) ? text : `${text}.`;
}

/** A run's live checklist, one line per step. */
export function checklist(steps: readonly RunStep[]): string {
  return steps
    .slice(0, limits.steps)
    .map((step) =>
      stepLine({ ...step, title: cleanLine(step.title, limits.name) }, (note) => cleanLine(note, limits.line)),
    )
    .join('\n');
}

/** One line about a run. */
export function runLine(run: RunSummary): string {
  const what = run.dryRun ? `${run.operation} (dry run)` : run.operation;
  const found = run.verdict === undefined ? '' : ` (verdict: ${run.verdict})`;
  const at = (time: string) => readableTime(time, run.timeZone);
  const ended = run.closedAt === undefined ? '' : `, ended ${at(run.closedAt)}`;
  return `${what} on ${cleanLine(run.target, limits.name)}: ${run.state}${found}, started ${at(run.startedAt)}${ended}`;
}

function failureLines(failure: NonNullable<RunDetails['failure']>): string {
  const { code, message, remedy } = quotedFailure(failure);
  // Some messages say already what to do.
  const toDo = failure.message.includes(failure.remedy) ? '' : `\nTo do: ${remedy}`;
  return `It failed (${code}):\n${message}${toDo}`;
}

/** A run as a text that says all that its data says: state, checklist, question, failure, report. */
export function runText(run: RunDetails): string {
  const { failure, progress, result } = run;
  const parts = [`${runLine(run)}\nid: ${run.id}\nTemporal UI: ${run.url}`];
  if (failure ?? progress ?? result) parts.push(quoteNotice);
  if (failure !== undefined) parts.push(failureLines(failure));
  if (progress !== undefined && result === undefined) {
    const waits = (run.waits ?? []).map(({ text }) => `\n${cleanLine(text, limits.line)}`).join('');
    parts.push(`${cleanLine(progress.message, limits.line)}\n${checklist(progress.steps)}${waits}`);
    if (run.closedAt === undefined && isPaused(progress)) parts.push(nextStep(run));
    if (progress.plan !== undefined && progress.question?.kind === 'approval') {
      const { askedAt: at } = progress.question;
      parts.push(renderText(planReport({ ...run, at }, progress.plan), { timeZone: run.timeZone }).trimEnd());
    }
  }
  if (result !== undefined) parts.push(renderText(result.report, { timeZone: run.timeZone }).trimEnd());
  return cleanText(parts.join('\n\n'));
}
