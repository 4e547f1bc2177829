import type { Plan } from '../operations/plan.ts';
import type { Progress, Question } from '../operations/run.ts';
import { cleanLine } from '../reports/clean.ts';
import { planReport } from '../reports/plan.ts';
import { stepLine } from '../reports/steps.ts';
import { renderText } from '../reports/text.ts';
import { readableTime } from '../reports/units.ts';
import { failureText } from '../runs/failure-text.ts';
import type { LiveProgress, RunDetails, RunSummary, Runs } from '../runs/runs.ts';
import type { CliContext } from './context.ts';
import { exitCodes } from './exit-codes.ts';
import { listenForInterruption, note, print, printJson } from './terminal.ts';

/** Says each change of a run's live checklist once, as a line. */
function progressLines(say: (line: string) => void): (progress: LiveProgress) => void {
  const said = new Set<string>();
  const once = (line: string, what = line) => {
    if (said.has(what)) return;
    said.add(what);
    say(line);
  };
  return ({ phase, message, steps, question, waits = [] }) => {
    if (phase === 'waiting-for-lock' || phase === 'undoing') once(`· ${message}`);
    if (question !== undefined) once(`· Paused: ${question.text}`);
    for (const step of steps) {
      if (step.state === 'pending') continue;
      const what = step.state === 'running' ? '…' : `: ${step.state}${step.note ? ` (${step.note})` : ''}`;
      once(`· ${step.title}${what}`);
    }
    // Each attempt once, though the time until the next one changes all the while.
    for (const { step, why, attempt, text } of waits) once(`· ${text}`, `${step} ${attempt} ${why}`);
  };
}

interface WaitOptions {
  /** Give up waiting after this many milliseconds. */
  readonly timeoutMs: number;
  readonly json: boolean;
}

/** Follows a run to its end, showing its steps, and prints what came of it. Ctrl-C leaves the run running. */
export async function followRun(context: CliContext, runs: Runs, run: RunSummary, options: WaitOptions): Promise<void> {
  const { signal, dispose } = listenForInterruption();
  try {
    const onProgress = options.json ? () => undefined : progressLines(note);
    const details = await runs.wait(run.id, { timeoutMs: options.timeoutMs, signal, onProgress });
    showRun(context, details, options.json);
    if (details.closedAt !== undefined) return;
    // A script that goes on after 0 would take it for done.
    note(`It is still running. ${howToGoOn(run)}`);
    context.exitWith(exitCodes.failed);
  } catch (error) {
    if (!signal.aborted) throw error;
    note(`\nThe run goes on. ${howToGoOn(run)}`);
    context.exitWith(exitCodes.interrupted);
  } finally {
    dispose();
  }
}

function howToGoOn(run: RunSummary): string {
  return `Follow it with: npx proxmox-mcp runs wait ${run.id}\nStop it with: npx proxmox-mcp runs cancel ${run.id}`;
}

/** Prints a run; the exit code says whether it did well. */
export function showRun(context: CliContext, run: RunDetails, json: boolean): void {
  if (json) printJson(run);
  else print(describeRun(run));
  if (run.closedAt !== undefined && (run.result === undefined || run.result.report.verdict === 'failed')) {
    context.exitWith(exitCodes.failed);
  }
}

function describeRun(run: RunDetails): string {
  const { timeZone } = run;
  const question = run.progress?.question ?? run.question;
  const lines = [
    ...(run.result === undefined
      ? [`${run.operation} of ${run.target}: ${run.state}`]
      : [renderText(run.result.report, { timeZone, now: Date.now() })]),
    ...(run.failure === undefined ? [] : [failureText(run.failure)]),
    ...(run.closedAt === undefined && run.progress ? [run.progress.message, ...checklist(run.progress)] : []),
    ...(run.progress === undefined && question !== undefined ? [question.text] : []),
    ...(run.waits ?? []).map(({ text }) => `  ${text}`),
    ...(question?.kind === 'approval' && run.progress?.plan ? [planText(run, run.progress.plan, question)] : []),
    ...(question === undefined ? [] : howToDecide(run, question)),
    ...(run.undoes === undefined ? [] : [`It takes back ${run.undoes}`]),
    ...(run.undo === undefined ? [] : undoLines(run.id, run.undo)),
    `Run ${run.id}`,
    ...(run.trace === undefined ? [] : [`Trace ${run.trace}`]),
    run.url,
  ];
  return lines.join('\n');
}

function undoLines(id: string, { possible, text }: NonNullable<RunSummary['undo']>): string[] {
  if (!possible) return [`Undo: ${text}`];
  return [`Undo: npx proxmox-mcp runs undo ${id}`, `  ${text}`];
}

function howToDecide({ id, timeZone }: RunSummary, { choices, approval, until }: Question): string[] {
  const end = until === undefined ? '' : ` until ${readableTime(until, timeZone)}; without an answer it is a no`;
  const who =
    approval === undefined
      ? []
      : [
          `It waits for ${approval.count > 1 ? `${approval.count} of ` : ''}${approval.approvers.join(', ')}${end}.`,
          ...(approval.given.length > 0 ? [`Said yes already: ${approval.given.join(', ')}.`] : []),
        ];
  return [
    ...who,
    'Decide with:',
    ...choices.map(({ name, meaning }) => `  npx proxmox-mcp runs decide ${id} ${name}   ${meaning}`),
  ];
}

/** The plan that a person is to decide about. */
export function planText({ operation, target, timeZone }: RunSummary, plan: Plan, { askedAt }: Question): string {
  return renderText(planReport({ operation, target, at: askedAt }, plan), { timeZone });
}

function checklist({ steps }: Progress): string[] {
  return steps.map((step) => `  ${stepLine(step, (note) => cleanLine(note, 500))}`);
}
