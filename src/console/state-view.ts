import type { HostConfig } from '../config.ts';
import type { Verdict } from '../operations/finding.ts';
import type { Notices } from '../operations/notice.ts';
import { cleanLine } from '../reports/clean.ts';
import { noticesFinding } from '../reports/notices.ts';
import { readableBytes, readableTime, relativeTime } from '../reports/units.ts';
import { verdictWords } from '../reports/verdicts.ts';
import type { RunSummary } from '../runs/runs.ts';
import type { ScheduleSummary } from '../runs/schedules.ts';
import type { Backup } from './backups.ts';
import type { BackupState, ConsoleState, HostState, Part } from './state.ts';

/** A word with the colour of a verdict. */
export interface Badge {
  readonly verdict: Verdict;
  readonly word: string;
}

/** A moment: how far it is from now, and what the clock of the host's zone shows then. */
export interface Moment {
  readonly iso: string;
  readonly relative: string;
  readonly local: string;
}

type ToMoment = (iso: string, zone: string) => Moment;

/** How a run that isn't done stands, by what it means for whoever looks. */
const verdictOfState: Readonly<Record<RunSummary['state'], Verdict>> = {
  running: 'skipped',
  paused: 'warning',
  done: 'ok',
  planned: 'skipped',
  undone: 'failed',
  failed: 'failed',
  cancelled: 'skipped',
  terminated: 'failed',
  'timed-out': 'failed',
};

/** So many of the next fires of schedules are shown; paused ones and those with a problem always. */
const nextShown = 10;

/** The newest of what could not be mailed. */
const shownNotices = 10;

/** Longest texts of others: a question has a line or two, a reason less. */
const limits = { word: 100, question: 1_000, note: 300 } as const;

/** The state in words and numbers for the page. Foreign texts are cleaned and bounded; the template escapes all. */
export function viewOf(
  state: ConsoleState,
  { hosts, mayDecide }: { readonly hosts: readonly HostConfig[]; readonly mayDecide: (run: RunSummary) => boolean },
  now = Date.now(),
) {
  const moment: ToMoment = (iso, zone) => ({
    iso,
    relative: relativeTime(iso, now),
    local: readableTime(iso, zone),
  });
  const run = (one: RunSummary) => runView(one, moment(one.closedAt ?? one.startedAt, one.timeZone));

  return {
    hosts: mapPart(state.hosts, (all) => all.map((one) => hostView(one, run))),
    backups: mapPart(state.backups, (all) => all.map((one) => backupView(one, run))),
    waiting: mapPart(state.waiting, (all) =>
      all.map((one) => ({
        ...run(one),
        ...questionView(one, moment),
        mayDecide: mayDecide(one) && one.question?.kind === 'decision',
      })),
    ),
    runs: mapPart(state.runs, (all) => all.map(run)),
    schedules: mapPart(state.schedules, (all) => inOrder(all).map((one) => scheduleView(one, moment))),
    notices: mapPart(state.notices, (notices) => noticesView(notices, hosts[0]?.timeZone ?? 'UTC', moment)),
  };
}

function mapPart<T, View>(part: Part<T>, view: (value: T) => View): Part<View> {
  return 'problem' in part ? { problem: cleanLine(part.problem, limits.question) } : { value: view(part.value) };
}

type RunView = ReturnType<typeof runView>;

function runView(run: RunSummary, when: Moment) {
  const { id, operation, target, state, verdict, requestedBy, url } = run;
  const outcome: Badge = { verdict: verdictOfState[state], word: state };
  return {
    id,
    operation: cleanLine(operation, limits.word),
    target: cleanLine(target, limits.word),
    by: cleanLine(requestedBy ?? '', limits.word),
    url,
    when,
    outcome,
    // Done says that it did its work; what it found is the verdict, which has the colour then.
    isPlain: verdictOfState[state] === 'ok' || verdictOfState[state] === 'skipped',
    ...(verdict === undefined ? {} : { found: badgeOf(verdict) }),
  };
}

function badgeOf(verdict: Verdict): Badge {
  return { verdict, word: verdictWords[verdict].toLowerCase() };
}

function hostView({ host, checked }: HostState, run: (one: RunSummary) => RunView) {
  const reachedBy = [
    ...(host.local === undefined ? [] : ['this machine']),
    ...(host.ssh === undefined ? [] : ['SSH']),
    ...(host.api === undefined ? [] : ['Proxmox API']),
  ].join(', ');
  const last = checked === undefined ? undefined : run(checked);
  return { name: host.name, reachedBy, ...(last === undefined ? {} : { last, health: last.found ?? last.outcome }) };
}

function backupView({ host, last, failed }: BackupState, run: (one: RunSummary) => RunView) {
  return {
    name: host.name,
    ...(last === undefined ? {} : { when: run(last.run).when, url: last.run.url, ...archiveView(last) }),
    ...(failed === undefined ? {} : { failed: run(failed) }),
  };
}

function archiveView({ archive }: Backup): { readonly size: string; readonly path: string; readonly verified: Badge } {
  if (archive === undefined) {
    return { size: '', path: '', verified: { verdict: 'skipped', word: 'nothing to back up' } };
  }
  return {
    size: readableBytes(archive.bytes),
    path: cleanLine(archive.path, limits.note),
    verified: archive.counts
      ? { verdict: 'ok', word: 'verified' }
      : { verdict: 'warning', word: 'holds less than the one before' },
  };
}

/** What a paused run asks. Each choice is a button for whoever may decide, and a command for everybody else. */
function questionView({ id, question, timeZone }: RunSummary, moment: ToMoment) {
  if (question === undefined) {
    return { question: `What it asks: npx proxmox-mcp runs get ${id}`, asks: '', choices: [], kind: 'decision' };
  }
  return {
    asks: question.id,
    question: cleanLine(question.text, limits.question),
    kind: question.kind,
    asked: moment(question.askedAt, timeZone),
    choices: question.choices.map(({ name, meaning }) => ({
      name: cleanLine(name, limits.word),
      meaning: cleanLine(meaning, limits.note),
      command: `npx proxmox-mcp runs decide ${id} ${cleanLine(name, limits.word)}`,
    })),
  };
}

/** What a person should have been told of and was not. Nothing where mail works, or where health says what is wrong. */
function noticesView(notices: Notices | 'absent' | 'silent' | undefined, zone: string, moment: ToMoment) {
  if (notices === undefined || notices === 'silent') return [];
  if (notices === 'absent') {
    return [
      { text: 'Nobody watches over the scheduled runs: what fails is told to nobody.', remedy: 'Restart the service.' },
    ];
  }
  const { verdict, summary, remedy = '' } = noticesFinding(notices, zone);
  if (verdict === 'ok' || verdict === 'skipped') return [];
  const line = (text: string) => cleanLine(text, limits.note);
  return [
    { text: line(summary), remedy: line(remedy) },
    ...notices.pending.slice(-shownNotices).map(({ target, headline, cause, remedy: toDo, at, timeZone }) => ({
      text: line(`${target}: ${headline}: ${cause}`),
      remedy: line(toDo),
      when: moment(at, timeZone),
    })),
  ];
}

/** What needs a look first, then by when they fire. */
function inOrder(schedules: readonly ScheduleSummary[]): readonly ScheduleSummary[] {
  const next = ({ nextRuns: [first] }: ScheduleSummary) =>
    first === undefined ? Number.POSITIVE_INFINITY : Date.parse(first);
  const odd = schedules.filter(({ paused, problem }) => paused || problem !== undefined);
  const even = schedules.filter((one) => !odd.includes(one)).sort((a, b) => next(a) - next(b));
  return [...odd, ...even.slice(0, nextShown)];
}

function scheduleView(schedule: ScheduleSummary, moment: ToMoment) {
  const { id, operation, target, cron, timeZone, paused, note, problem, nextRuns, clockChange } = schedule;
  const [next] = nextRuns;
  return {
    id,
    operation: cleanLine(operation, limits.word),
    target: cleanLine(target, limits.word),
    cron: cleanLine(cron, limits.word),
    timeZone: cleanLine(timeZone, limits.word),
    paused,
    ...(paused && note !== undefined ? { note: cleanLine(note, limits.note) } : {}),
    ...(problem === undefined ? {} : { problem: cleanLine(problem, limits.note) }),
    ...(clockChange === undefined ? {} : { clockChange: cleanLine(clockChange, limits.note) }),
    ...(next === undefined || paused ? {} : { next: moment(next, timeZone) }),
  };
}
