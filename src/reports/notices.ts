import type { Finding } from '../operations/finding.ts';
import type { Notice, Notices } from '../operations/notice.ts';
import { makeReport, type Report } from '../operations/report.ts';
import { readableTime } from './units.ts';

/** A mail about some notices, oldest first; one at least. */
export interface NoticeMail {
  readonly subject: string;
  readonly report: Report;
  /** The run that it is about, where that is one. */
  readonly run: string | null;
  /** What it is about: the same for the same notices. */
  readonly id: string;
}

/** One mail of everything that waits: a line each, and why it comes late where it does. */
export function mailOf({ pending, dropped, unsent }: Notices, now: number): NoticeMail {
  const at = new Date(now).toISOString();
  const [first] = pending;
  const total = pending.length + dropped;
  const only = total === 1 ? first : undefined;
  const lines = pending.map((notice) => findingOf(notice, only !== undefined));
  const more = dropped === 0 ? [] : [older(dropped)];
  const late = unsent === undefined || unsent.tries === 0 ? [] : [lateness(unsent, now, first?.timeZone)];
  return {
    subject: subjectOf(pending, total),
    run: only?.run?.id ?? null,
    id: `notices ${pending.map(({ key }) => key).join(' ')}${dropped === 0 ? '' : ` and ${dropped}`}`,
    report: makeReport({
      title: only ? only.headline : `${total} things need a look`,
      target: targetsOf(pending),
      summary: only ? sentence(only.cause) : `${[...headlinesOf(pending)].join('; ')}.`,
      ...(only?.from !== undefined && late.length === 0
        ? { startedAt: only.from, finishedAt: only.at }
        : { startedAt: at, finishedAt: at }),
      sections: [
        // Lines that need no section: what each is about stands before it.
        { title: '', findings: [...lines, ...more, ...late] },
      ],
    }),
  };
}

function sentence(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? '' : '.'}`;
}

/** The watch's own state as a line of `doctor` or of a health check. */
export function noticesFinding({ pending, dropped, unsent, lastMailedAt }: Notices, timeZone: string): Finding {
  const check = 'Notices';
  const last = lastMailedAt === undefined ? '' : ` The last one went out at ${readableTime(lastMailedAt, timeZone)}.`;
  const count = pending.length + dropped;
  if (unsent === undefined || count === 0) {
    return { check, verdict: 'ok', summary: `Failures of scheduled runs are mailed; nothing waits.${last}` };
  }
  return {
    check,
    verdict: 'failed',
    summary: `${count === 1 ? '1 notice' : `${count} notices`} of scheduled runs could not be mailed since ${readableTime(unsent.since, timeZone)}: ${unsent.why}${last}`,
    remedy: `${unsent.remedy === undefined ? '' : `${unsent.remedy} `}They are tried again by themselves, next at ${readableTime(unsent.nextTryAt, timeZone)}, and when the service is restarted.`,
    evidence: pending
      .slice(-5)
      .map(({ target, headline, cause }) => `${target}: ${headline}: ${cause}`)
      .join('\n'),
  };
}

/** A mail about one run says by itself where that is to be seen. */
function findingOf({ target, headline, kind, summary, remedy, run }: Notice, isAlone: boolean): Finding {
  const verdict = kind === 'overran' || kind === 'skipped' || kind === 'missed' ? 'warning' : 'failed';
  const look = isAlone || run === undefined ? '' : ` Look at it: ${run.look}`;
  return { check: isAlone ? headline : `${target}: ${headline}`, verdict, summary, remedy: `${remedy}${look}` };
}

function older(count: number): Finding {
  return {
    check: 'Older ones',
    verdict: 'failed',
    summary: `${count} more happened before these, while mail did not work.`,
    remedy: 'Look at them: npx proxmox-mcp runs list',
  };
}

function lateness({ since, why }: NonNullable<Notices['unsent']>, now: number, timeZone = 'UTC'): Finding {
  return {
    check: 'Mail',
    verdict: 'warning',
    summary: `This comes late: mail could not be sent from ${readableTime(since, timeZone)} to ${readableTime(new Date(now).toISOString(), timeZone)}. ${why}`,
    remedy: 'Nothing, if it stays so. See: npx proxmox-mcp doctor',
  };
}

/** The cause stands there where it is one, so that a telephone's list of mails tells it. */
function subjectOf(pending: readonly Notice[], total: number): string {
  const headlines = headlinesOf(pending);
  const causes = new Set(pending.map(({ cause }) => cause));
  const [headline] = headlines;
  const [cause] = causes;
  const about = `[${targetsOf(pending)}]`;
  if (total === 1) return `${about} ${headline}: ${cause}`;
  if (headlines.size > 1) return `${about} ${total} things need a look: ${someOf([...headlines])}`;
  const times = `${headline} (${total} times)`;
  return causes.size === 1 ? `${about} ${times}: ${cause}` : `${about} ${times}`;
}

function headlinesOf(pending: readonly Notice[]): ReadonlySet<string> {
  return new Set(pending.map(({ headline }) => headline));
}

function targetsOf(pending: readonly Notice[]): string {
  return someOf([...new Set(pending.map(({ target }) => target))]);
}

/** How many are named. */
const named = 3;

function someOf(names: readonly string[]): string {
  const more = names.length > named ? ` and ${names.length - named} more` : '';
  return `${names.slice(0, named).join(', ')}${more}`;
}
