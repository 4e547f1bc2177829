import { ServiceError } from '../errors.ts';
import type { Risk } from '../operations/definition.ts';
import type { Answer } from '../operations/run.ts';
import { includesRole } from '../people/person.ts';
import { readableTime } from '../reports/units.ts';
import type { RunSummary, Runs } from '../runs/runs.ts';
import { requesterOf, type TokenViewer, type Viewer } from './sessions.ts';

/** What a token may do here, and answer of what paused runs ask. An approval is none of it: no token gives one. */
export interface Decisions {
  /** Whether its scope lets it ask for something of this risk. */
  mayAsk(viewer: TokenViewer, risk: Risk): boolean;
  may(viewer: TokenViewer, run: RunSummary): boolean;
  /** Throws `forbidden`, and `conflict` where the run doesn't ask that (any more). */
  decide(viewer: TokenViewer, run: string, answer: Answer): Promise<unknown>;
}

/** Why this viewer can't answer what a paused run asks now; undefined: they can. The run itself has the last word. */
export function whyMayNotAnswer(
  viewer: Viewer,
  run: RunSummary,
  decisions: Decisions,
  now = Date.now(),
): string | undefined {
  const { question, timeZone } = run;
  if (question === undefined) return 'It asks nothing now.';
  if (question.kind === 'decision') {
    if (viewer.kind === 'token') {
      return decisions.may(viewer, run) ? undefined : `The token ${viewer.name} may only look.`;
    }
    return includesRole(viewer.role, 'operator') ? undefined : 'An observer only looks.';
  }
  if (viewer.kind === 'token') return 'A token approves nothing: sign in as yourself, with name and password.';
  const { approval, until } = question;
  if (approval === undefined) return 'It does not say who may approve it.';
  if (until !== undefined && Date.parse(until) <= now) return `Its time was over at ${readableTime(until, timeZone)}.`;
  if (!approval.approvers.includes(viewer.name)) {
    return 'You are none of those who may. Who asked for a run does not approve it.';
  }
  if (approval.given.includes(viewer.name)) return 'You have said yes already; it waits for others.';
  return undefined;
}

/**
 * Answers as the viewer. Throws `invalid-input` for a no without a reason, `forbidden`, and `conflict` where the run
 * doesn't ask that (any more), or about that plan.
 */
export async function answerAs(
  viewer: Viewer,
  { runs, decisions }: { readonly runs: Pick<Runs, 'decide'>; readonly decisions: Decisions },
  { run, ...answer }: Answer & { readonly run: string },
): Promise<void> {
  if (answer.choice === 'refuse' && answer.reason === undefined) {
    throw new ServiceError({
      code: 'invalid-input',
      message: 'A no needs a reason, which whoever asked is told',
      remedy: 'Write down why, and send it again. Nothing was answered.',
    });
  }
  const given = { ...answer, via: 'page' };
  if (viewer.kind === 'token') {
    await decisions.decide(viewer, run, given);
    return;
  }
  if (!includesRole(viewer.role, 'operator')) {
    throw new ServiceError({
      code: 'forbidden',
      message: `${viewer.name} is an observer, who only looks`,
      remedy: 'An operator or an administrator decides.',
    });
  }
  await runs.decide(run, given, requesterOf(viewer));
}
