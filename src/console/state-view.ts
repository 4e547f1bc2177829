import type { HostConfig } from '../config.ts';
import type { Notices } from '../operations/notice.ts';
import { cleanLine } from '../reports/clean.ts';
import { noticesFinding } from '../reports/notices.ts';
import { readableBytes } from '../reports/units.ts';
import { schedulePagePath } from '../run-url.ts';
import type { RunDetails, RunSummary } from '../runs/runs.ts';
import type { ScheduleSummary } from '../runs/schedules.ts';
import type { Backup } from './backups.ts';
import type { BackupState, ConsoleState, HostState, Part } from './state.ts';
import { type Badge, limits, momentsAt, pageOf, questionView, runView, type ToMoment } from './words.ts';

/** The newest of what could not be mailed. */
const shownNotices = 10;

/** The state in words and numbers for the page. Foreign texts are cleaned and bounded; the template escapes all. */
export function viewOf(
  state: ConsoleState,
  given: {
    readonly hosts: readonly HostConfig[];
    readonly mayDecide: (run: RunSummary) => boolean;
    /** The one that is looked at. */
    readonly host?: string | undefined;
  },
  now = Date.now(),
) {
  const { hosts, mayDecide, host } = given;
  const moment = momentsAt(now);
  const run = (one: RunSummary) => runView(one, moment);
  const isShown = (name: string) => host === undefined || name === host;

  return {
    tree: mapPart(state.hosts, (all) => all.map((one) => hostView(one, run))),
    hosts: mapPart(state.hosts, (all) => all.filter((one) => isShown(one.host.name)).map((one) => hostView(one, run))),
    backups: mapPart(state.backups, (all) =>
      all.filter((one) => isShown(one.host.name)).map((one) => backupView(one, run)),
    ),
    waiting: mapPart(state.waiting, (all) =>
      all
        .map((one) => ({ ...run(one), ...questionView(one, moment), mayDecide: mayDecide(one) }))
        .sort((a, b) => Number(b.mayDecide) - Number(a.mayDecide)),
    ),
    running: mapPart(state.running, (all) => all.map((one) => ({ ...run(one), ...doingOf(one) }))),
    runs: mapPart(state.runs, (all) => all.map(run)),
    schedules: mapPart(state.schedules, (all) => inOrder(all).map((one) => scheduleView(one, moment))),
    notices: mapPart(state.notices, (notices) => noticesView(notices, hosts[0]?.timeZone ?? 'UTC', moment)),
  };
}

/** What a run that goes on is doing, and how far it is. */
function doingOf({ progress, waits = [] }: RunDetails) {
  const steps = progress?.steps ?? [];
  return {
    doing: cleanLine(waits[0]?.text ?? progress?.message ?? 'No worker says what it is doing.', limits.note),
    done: steps.filter(({ state }) => state !== 'pending' && state !== 'running').length,
    of: steps.length,
  };
}

function mapPart<T, View>(part: Part<T>, view: (value: T) => View): Part<View> {
  return 'problem' in part ? { problem: cleanLine(part.problem, limits.question) } : { value: view(part.value) };
}

type RunView = ReturnType<typeof runView>;

function hostView({ host, checked }: HostState, run: (one: RunSummary) => RunView) {
  const reachedBy = [
    ...(host.local === undefined ? [] : ['this machine']),
    ...(host.ssh === undefined ? [] : ['SSH']),
    ...(host.api === undefined ? [] : ['Proxmox API']),
  ].join(', ');
  const last = checked === undefined ? undefined : run(checked);
  return {
    name: host.name,
    look: `/?host=${encodeURIComponent(host.name)}`,
    reachedBy,
    ...(last === undefined ? {} : { last, health: last.found ?? last.outcome }),
  };
}

function backupView({ host, last, failed }: BackupState, run: (one: RunSummary) => RunView) {
  return {
    name: host.name,
    ...(last === undefined ? {} : { when: run(last.run).when, page: run(last.run).page, ...archiveView(last) }),
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
  const isOdd = ({ paused, problem }: ScheduleSummary) => paused || problem !== undefined;
  const next = ({ nextRuns: [first] }: ScheduleSummary) =>
    first === undefined ? Number.MAX_SAFE_INTEGER : Date.parse(first);
  return [...schedules].sort((a, b) => Number(isOdd(b)) - Number(isOdd(a)) || next(a) - next(b));
}

export function scheduleView(schedule: ScheduleSummary, moment: ToMoment) {
  const { id, operation, target, cron, timeZone, paused, note, problem, nextRuns, clockChange, own } = schedule;
  const [next] = nextRuns;
  return {
    id,
    page: pageOf(id, schedulePagePath),
    operation: cleanLine(operation, limits.word),
    target: cleanLine(target, limits.word),
    cron: cleanLine(cron, limits.word),
    timeZone: cleanLine(timeZone, limits.word),
    paused,
    ...(paused && note !== undefined ? { note: cleanLine(note, limits.note) } : {}),
    ...(problem === undefined ? {} : { problem: cleanLine(problem, limits.note) }),
    ...(clockChange === undefined ? {} : { clockChange: cleanLine(clockChange, limits.note) }),
    ...(next === undefined || paused ? {} : { next: moment(next, timeZone) }),
    ...(own === undefined ? {} : { own: ownView(own) }),
  };
}

/** What somebody who made a schedule has said of it, and who has to say yes before its runs act. */
function ownView({ madeBy, at, isDone, condition, approval, input }: NonNullable<ScheduleSummary['own']>) {
  const approvers = approval?.approvers.join(', ');
  return {
    madeBy: cleanLine(madeBy, limits.word),
    once: at === undefined ? '' : `once${isDone ? ', and it ran' : ''}`,
    condition: condition === undefined ? '' : `its host is ${condition} right before`,
    approval: approval === undefined ? '' : cleanLine(`${approval.count} of these: ${approvers}`, limits.note),
    input: cleanLine(JSON.stringify(input), limits.question),
  };
}
