import type { OperationDefinition } from '../../operations/definition.ts';
import type { Notice } from '../../operations/notice.ts';
import { cleanLine, cleanText } from '../../reports/clean.ts';
import { readableDuration, readableTime } from '../../reports/units.ts';
import type { BadEnd, ScheduledRun } from './decide.ts';

/** Why a run didn't do what it was to do: `message` holds the remedy, too, as the Temporal UI shows it. */
interface Why {
  readonly message: string;
  readonly remedy: string;
}

/** A run, and what every notice of it says. */
export interface RunWords {
  readonly run: ScheduledRun;
  /** Of its operation. */
  readonly title: string;
  readonly subject?: Notice['subject'] | undefined;
  readonly timeZone: string;
  /** Where it is to be seen. */
  readonly look: string;
}

const limits = { cause: 100, summary: 480, remedy: 400 };

const said: Readonly<Record<BadEnd, string>> = {
  failed: 'failed',
  undone: 'failed and was undone',
  terminated: 'was ended by force',
  'timed-out': 'ran out of its time',
  'not-met': 'was not done',
};

/** What is said of a run that ended badly. */
export function ofEnd(words: RunWords, kind: BadEnd, why: Why): Notice {
  const { run, title, timeZone } = words;
  const end = new Date(run.closedAt ?? run.startedAt).toISOString();
  const took = Math.max(0, Date.parse(end) - run.startedAt);
  const when = `${readableTime(end, timeZone)}, ${readableDuration(took)} after it was started`;
  const wasForced = kind === 'terminated';
  const what = wasForced ? `somebody ended it by force: ${why.message}` : withoutRemedy(why);
  return {
    ...about(words),
    key: `${kind}:${run.runId}`,
    kind,
    headline: `${title} ${said[kind]}`,
    cause: causeIn(wasForced ? why.message : what),
    summary: cleanLine(`At ${when}: ${what}`, limits.summary),
    remedy: remedyIn(
      wasForced ? 'What it had begun was not undone: look at what it has left, then start it again.' : why.remedy,
    ),
    at: end,
    from: new Date(run.startedAt).toISOString(),
  };
}

/** What is said of a run that takes longer than its schedule's runs usually do. `message`: what it says it is doing. */
export function ofOverrun(
  words: RunWords,
  { usual, message, now }: { readonly usual: number; readonly message: string | undefined; readonly now: number },
): Notice {
  const { run, title, timeZone } = words;
  const takes = readableDuration(now - run.startedAt);
  const doing = message === undefined ? '' : ` It says: ${message}`;
  return {
    ...about(words),
    key: `overran:${run.runId}`,
    kind: 'overran',
    headline: `${title} takes too long`,
    cause: `it has run for ${takes}`,
    summary: cleanLine(
      `It has run for ${takes}, since ${readableTime(new Date(run.startedAt).toISOString(), timeZone)}; more than ${readableDuration(usual)} is unusual for it.${doing}`,
      limits.summary,
    ),
    remedy: `Stop it (npx proxmox-mcp runs cancel ${run.id}), unless it gets on.`,
    at: new Date(now).toISOString(),
  };
}

/** What is said of a run that a person must decide about, when the run's own mail could not be sent. */
export function ofQuestion(
  words: RunWords,
  mail: { readonly event: string; readonly askedAt: string; readonly question: string; readonly remedy: string },
): Notice {
  const { run, title, timeZone } = words;
  return {
    ...about(words),
    key: `paused:${run.runId}:${mail.event}`,
    kind: 'paused',
    headline: `${title} is paused and needs you`,
    cause: causeIn(mail.question),
    summary: cleanLine(`Since ${readableTime(mail.askedAt, timeZone)}: ${mail.question}`, limits.summary),
    remedy: cleanLine(mail.remedy, limits.remedy),
    at: mail.askedAt,
  };
}

/** What is said of a run that ended well, whose report could not be mailed. */
export function ofReport(
  words: RunWords,
  { summary, why }: { readonly summary: string; readonly why: string },
): Notice {
  const { run, title, timeZone } = words;
  const end = new Date(run.closedAt ?? run.startedAt).toISOString();
  return {
    ...about(words),
    key: `not-mailed:${run.runId}`,
    kind: 'not-mailed',
    headline: `The report of ${title} was not mailed`,
    cause: causeIn(summary),
    summary: cleanLine(
      `It was made at ${readableTime(end, timeZone)} and says: ${summary} The mail: ${why}`,
      limits.summary,
    ),
    remedy: 'Read the report, and see why it was not mailed (npx proxmox-mcp doctor).',
    at: end,
    from: new Date(run.startedAt).toISOString(),
  };
}

/** What is said of runs that were due and were not started. */
export function ofMissed(
  schedule: { readonly id: string; readonly next: Date | undefined; readonly going: string | undefined },
  { title, subject }: Pick<OperationDefinition, 'title' | 'subject'>,
  counted: {
    readonly kind: 'missed' | 'skipped';
    readonly times: number;
    readonly total: number;
    readonly now: number;
  },
  timeZone: string,
): Notice {
  const { kind, times } = counted;
  const often = times === 1 ? 'once' : `${times} times`;
  const next =
    schedule.next === undefined
      ? ''
      : `It is due again at ${readableTime(schedule.next.toISOString(), timeZone)}${schedule.going === undefined ? '' : ', if that run has ended then'}. `;
  const act =
    schedule.going === undefined
      ? `To start it now: npx proxmox-mcp schedules trigger ${schedule.id}`
      : `Look at that run: npx proxmox-mcp runs get ${schedule.going}`;
  return {
    target: targetIn(schedule.id),
    timeZone,
    ...toldFirst({ subject }),
    key: `${kind}:${schedule.id}:${counted.total}`,
    kind,
    headline: `${title} was not started`,
    cause: kind === 'missed' ? 'the service was down when it was due' : 'its last run was still going',
    summary:
      kind === 'missed'
        ? `It was due ${often} while the service was down, and was not made up for: its time for that had passed.`
        : `It was due ${often} while its last run was still going, and is not made up for.`,
    remedy: `${next}${act}`,
    at: new Date(counted.now).toISOString(),
  };
}

/** What is said of a schedule that could not be made when the service started. */
export function ofRefused(
  id: string,
  reason: string,
  { title, subject }: Pick<OperationDefinition, 'title' | 'subject'>,
  { key, now, timeZone }: { readonly key: string; readonly now: number; readonly timeZone: string },
): Notice {
  return {
    target: targetIn(id),
    timeZone,
    ...toldFirst({ subject }),
    key,
    kind: 'refused',
    headline: `${title} is not scheduled`,
    cause: causeIn(reason),
    summary: cleanLine(`The schedule ${id} could not be made: ${reason}`, limits.summary),
    remedy:
      'Correct what is named, and restart the service; the other schedules run. See: npx proxmox-mcp schedules list',
    at: new Date(now).toISOString(),
  };
}

/** The target in a schedule's id: operation/schedule/target. */
export function targetIn(schedule: string): string {
  return schedule.split('/').slice(2).join('/');
}

/** The first sentence as a mail's subject goes on with it after a colon. */
export function causeIn(text: string): string {
  const [first = ''] = /^.*?[.!?](?=\s|$)|^.+$/s.exec(cleanText(text).replace(/\s+/g, ' ').trim()) ?? [];
  const words = first.replace(/[.:]$/, '');
  const begun = /^(The|A|An|It|Its|No|There|Somebody|Nobody|This|Could)\b/.test(words)
    ? words.charAt(0).toLowerCase() + words.slice(1)
    : words;
  return begun.length <= limits.cause ? begun : `${begun.slice(0, limits.cause - 3).trimEnd()}...`;
}

function withoutRemedy({ message, remedy }: Why): string {
  const at = message.indexOf(remedy);
  if (remedy === '' || at < 0) return message;
  // What was undone comes after it; the full stop that joined them goes with it.
  const rest = message.slice(at + remedy.length).replace(/^\.?\s*/, '');
  return [message.slice(0, at).trim(), rest].filter(Boolean).join(' ');
}

function remedyIn(text: string): string {
  const short = cleanLine(text, limits.remedy);
  return /[.!?]$/.test(short) ? short : `${short}.`;
}

function about({ run, timeZone, look, subject }: RunWords): Pick<Notice, 'target' | 'timeZone' | 'run' | 'subject'> {
  return { target: run.target, timeZone, run: { id: run.id, look }, ...toldFirst({ subject }) };
}

function toldFirst({ subject }: { readonly subject?: Notice['subject'] | undefined }): Pick<Notice, 'subject'> {
  return subject === undefined ? {} : { subject };
}
