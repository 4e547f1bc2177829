import type { Plan } from '../operations/plan.ts';
import type { Report } from '../operations/report.ts';
import type { RunStep } from '../operations/run.ts';
import { cleanLine, cleanReport, cleanText } from '../reports/clean.ts';
import { endingText } from '../reports/ending.ts';
import { planDifferences, usually } from '../reports/plan.ts';
import { viewOf as orderOf } from '../reports/view.ts';
import { failureText } from '../runs/failure-text.ts';
import type { RunDetails } from '../runs/runs.ts';
import { type Badge, limits, type Moment, momentsAt, questionView, runView } from './words.ts';

/** What the ledger knows of the plans of a run. */
export interface KnownPlans {
  /** The newest. */
  readonly last?: Plan;
  /** The one that was asked about before the question that is open now. */
  readonly before?: Plan;
}

/** Longer than a line: why something failed, with what to do. */
const longText = 2_000;

const stepBadges: Readonly<Record<RunStep['state'], Badge>> = {
  pending: { verdict: 'skipped', word: 'to do' },
  running: { verdict: 'running', word: 'running' },
  done: { verdict: 'ok', word: 'done' },
  failed: { verdict: 'failed', word: 'failed' },
  skipped: { verdict: 'skipped', word: 'skipped' },
  undone: { verdict: 'warning', word: 'undone' },
};

/**
 * One run in words: what it asks with its plan, what it is doing, what came of it.
 *
 * @param given.mayNot why the viewer can't answer it; undefined: they can
 */
export function runPageView(
  run: RunDetails,
  given: { readonly plans: KnownPlans; readonly mayNot: string | undefined },
  now = Date.now(),
) {
  const moment = momentsAt(now);
  const { progress, failure, ending, result, waits = [], timeZone } = run;
  // What it says itself is newer than what lists have.
  const question = progress?.question ?? run.question;
  const { plans, mayNot } = given;
  const plan = progress?.plan ?? plans.last;
  const isApproval = question?.kind === 'approval';
  // Nobody decides about what they can't read.
  const unread =
    isApproval && progress?.plan === undefined ? 'No worker answers, so that its plan can not be shown.' : undefined;
  return {
    ...runView(run, moment),
    started: moment(run.startedAt, timeZone),
    ...(run.closedAt === undefined ? {} : { closed: moment(run.closedAt, timeZone) }),
    dryRun: run.dryRun,
    ledger: `/ledger?run=${encodeURIComponent(run.id)}`,
    ...(question === undefined || run.closedAt !== undefined
      ? {}
      : { asks: { ...questionView({ ...run, question }, moment), mayNot: unread ?? mayNot } }),
    ...(isApproval && plan && plans.before
      ? { changed: planDifferences(plans.before, plan).map((line) => cleanText(line)) }
      : {}),
    ...(plan === undefined ? {} : { plan: planView(plan) }),
    // What it asks stands above.
    doing: run.closedAt === undefined && progress && !question ? cleanLine(progress.message, longText) : '',
    steps: (progress?.steps ?? []).map(({ title, state, note }) => ({
      title: cleanLine(title, limits.word),
      badge: stepBadges[state],
      note: cleanLine(note ?? '', limits.note),
    })),
    waits: waits.map(({ text }) => cleanLine(text, limits.question)),
    ...(failure === undefined
      ? {}
      : {
          failure: cleanText(failureText(failure), longText),
          // Some messages say it already.
          ending:
            ending && !failure.message.includes(endingText(ending)) ? cleanText(endingText(ending), longText) : '',
        }),
    ...(result === undefined ? {} : { report: reportView(result.report, moment(result.report.finishedAt, timeZone)) }),
  };
}

/** Hidden characters are shown, and nothing is cut: what is approved is all of it. */
function planView(plan: Plan) {
  const lines = (texts: readonly string[], none: string) =>
    texts.length === 0 ? [none] : texts.map((t) => cleanText(t));
  return {
    summary: cleanText(plan.summary),
    affected: lines(plan.affected, 'Nobody: nothing stops and nothing goes.'),
    risks: lines(plan.risks, 'Nothing that is known.'),
    undo: lines(plan.undo, 'It can not be taken back.'),
    takes: usually(plan),
    steps: plan.steps.map(({ title, does }) => ({
      title: cleanText(title),
      does: does.map((call) => cleanText(call)),
    })),
    state: plan.state.map(({ name, value }) => ({ name: cleanText(name), value: cleanText(value) })),
    digest: plan.digest,
    fingerprint: plan.fingerprint,
  };
}

/** A report in the order of the mail: what needs a look first. */
function reportView(report: Report, finished: Moment) {
  const shown = cleanReport(report);
  const { lead, problems, contents, good, skipped } = orderOf(shown);
  return {
    title: shown.title,
    verdict: shown.verdict,
    summary: shown.summary,
    finished,
    tables: [...lead, ...contents],
    problems,
    good,
    skipped,
  };
}
