import type { Verdict } from '../operations/finding.ts';
import type { Question } from '../operations/run.ts';
import { cleanLine } from '../reports/clean.ts';
import { readableTime, relativeTime } from '../reports/units.ts';
import { verdictWords } from '../reports/verdicts.ts';
import { runPagePath } from '../run-url.ts';
import type { RunSummary } from '../runs/runs.ts';
import { signatureNamespace } from '../ssh-signature.ts';

/** A word with the colour and the icon of a verdict, or of what goes on. */
export interface Badge {
  readonly verdict: Verdict | 'running' | 'paused';
  readonly word: string;
}

/** A moment: how far it is from now, and what the clock of the host's zone shows then. */
export interface Moment {
  readonly iso: string;
  readonly relative: string;
  readonly local: string;
}

export type ToMoment = (iso: string, zone: string) => Moment;

/** Longest texts of others: a question has a line or two, a reason less. */
export const limits = { word: 100, question: 1_000, note: 300, id: 500 } as const;

/** How a run that isn't done stands, by what it means for whoever looks. */
const verdictOfState: Readonly<Record<RunSummary['state'], Badge['verdict']>> = {
  running: 'running',
  paused: 'paused',
  done: 'ok',
  planned: 'skipped',
  undone: 'failed',
  failed: 'failed',
  cancelled: 'skipped',
  terminated: 'failed',
  'timed-out': 'failed',
};

export function momentsAt(now: number): ToMoment {
  return (iso, zone) => ({ iso, relative: relativeTime(iso, now), local: localTime(iso, zone) });
}

/** The same moments are shown again and again, and their writing is half of what a page takes. */
const localTimes = new Map<string, string>();
const mostTimes = 5_000;

function localTime(iso: string, zone: string): string {
  const key = `${zone} ${iso}`;
  const known = localTimes.get(key);
  if (known !== undefined) return known;
  const local = readableTime(iso, zone);
  if (localTimes.size >= mostTimes) localTimes.clear();
  localTimes.set(key, local);
  return local;
}

/** The path of something's page; empty for what no id of ours looks like. */
export function pageOf(id: string, path: (id: string) => string): string {
  return id.length <= limits.id ? path(id) : '';
}

export function runView(run: RunSummary, moment: ToMoment) {
  const { id, operation, target, state, verdict, requestedBy, url } = run;
  return {
    id,
    operation: cleanLine(operation, limits.word),
    target: cleanLine(target, limits.word),
    by: cleanLine(requestedBy ?? '', limits.word),
    page: pageOf(id, runPagePath),
    url,
    when: moment(run.closedAt ?? run.startedAt, run.timeZone),
    outcome: stateBadge(state),
    ...(verdict === undefined ? {} : { found: verdictBadge(verdict) }),
  };
}

export function stateBadge(state: RunSummary['state']): Badge {
  return { verdict: verdictOfState[state], word: state };
}

export function verdictBadge(verdict: Verdict): Badge {
  return { verdict, word: verdictWords[verdict].toLowerCase() };
}

/** What a paused run asks. Each choice is a button for whoever may decide, and a command for everybody else. */
export function questionView({ id, question, timeZone }: RunSummary, moment: ToMoment) {
  if (question === undefined) {
    return { question: `What it asks: npx proxmox-mcp runs get ${id}`, asks: '', choices: [], isApproval: false };
  }
  const { approval, until } = question;
  return {
    asks: question.id,
    question: cleanLine(question.text, limits.question),
    isApproval: question.kind === 'approval',
    asked: moment(question.askedAt, timeZone),
    ...(until === undefined ? {} : { until: moment(until, timeZone) }),
    ...(approval === undefined
      ? {}
      : {
          approval: {
            count: approval.count,
            approvers: cleanLine(approval.approvers.join(', ') || 'nobody', limits.note),
            given: cleanLine(approval.given.join(', ') || 'nobody yet', limits.note),
            ...signedView(approval.toSign ?? []),
          },
        }),
    choices: question.choices.map(({ name, meaning }) => ({
      name: cleanLine(name, limits.word),
      meaning: cleanLine(meaning, limits.note),
      command: `npx proxmox-mcp runs decide ${id} ${cleanLine(name, limits.word)}`,
    })),
  };
}

/** Printable: what is pasted has to be the very bytes that the host is shown. */
const pastable = /^[\x20-\x7e\n]+\n$/;
const endOfText = 'END-OF-PLAN';

/** What each host wants signed, as a command to paste where the approver's key is. */
function signedView(toSign: NonNullable<NonNullable<Question['approval']>['toSign']>) {
  const texts = toSign.filter(({ text }) => pastable.test(text) && !text.includes(endOfText));
  return {
    isSigned: toSign.length > 0,
    toSign: texts.map(({ host, text }) => ({
      host: cleanLine(host, limits.word),
      command: `ssh-keygen -Y sign -n ${signatureNamespace} -f ~/.ssh/id_ed25519 <<'${endOfText}'\n${text}${endOfText}`,
    })),
  };
}
