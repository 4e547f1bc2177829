import {
  type Log,
  type LogLine,
  type RecentIssues,
  recentIssues,
} from '../../hosts/commands/check-health/recent-issues.ts';
import type { Host, RunOptions } from '../../hosts/host.ts';
import type { Finding } from '../../operations/finding.ts';
import { finding } from './finding.ts';
import { authenticationFailed } from './limits.ts';

const day = 86_400;

interface Places {
  readonly user: string;
  readonly sudoLog: string;
  readonly authLog: string;
}

/** Refused sudo commands and failed logins of the service's user in the last 24 hours. */
export async function inspectIssues(host: Host, options: RunOptions): Promise<Finding[]> {
  return judgeIssues(await host.run(recentIssues, {}, options), host.config.layout);
}

export function judgeIssues(issues: RecentIssues, places: Places): Finding[] {
  const auth = authSource(issues, places);
  return [blocked(issues, places, auth), failures(issues, places, auth)];
}

interface Source extends Log {
  /** For people: a path, or the journal. */
  readonly name: string;
  /** Why the answer is worth less than it looks. */
  readonly doubt?: string;
  /** Any program can write to it, under any name. */
  readonly isAnybodys?: boolean;
}

/**
 * Where the host logs logins: the journal, whose lines are taken only from sudo, sshd and their like, whatever they call
 * themselves; else auth.log while somebody writes it, which any program can write to.
 */
function authSource({ now, auth, journal }: RecentIssues, { authLog }: Places): Source | undefined {
  if (journal !== undefined) {
    const hours = ((now - journal.since) / 3600).toFixed(1);
    const isShort = journal.since > now - day;
    return {
      ...journal,
      name: 'the journal',
      ...(isShort && { doubt: `the journal only reaches back ${hours} hours` }),
    };
  }
  if (typeof auth !== 'object' || auth.writtenAt < now - day) return undefined;
  return { ...auth, name: authLog, isAnybodys: true };
}

/**
 * sudo's own log and the system's both count, because one of them may be switched off; what is in both is the same, so
 * the larger number is right.
 */
function blocked(issues: RecentIssues, { sudoLog, user }: Places, auth: Source | undefined): Finding {
  const check = 'Blocked commands';
  const { now, sudo } = issues;
  if (sudo === 'unreadable') return finding(check, 'unknown', `${sudoLog} can't be read.`);
  if (sudo?.last !== undefined && sudo.last.at === undefined) {
    const summary = `The lines of ${sudoLog} have no time that is understood.`;
    return finding(check, 'unknown', summary, { evidence: sudo.last.text });
  }
  const own: readonly Source[] =
    sudo === undefined
      ? []
      : [{ ...sudo, name: sudoLog, ...(sudo.isFull && { doubt: 'there are more than are counted' }) }];
  const others =
    auth === undefined
      ? []
      : [{ ...auth, lines: auth.lines.filter((line) => line.isRefusal && line.text.includes(` ${user} : `)) }];
  const [first, second] = [...own, ...others];
  if (!first) {
    return finding(check, 'unknown', `There is no ${sudoLog}, and sudo logs nowhere else that can be read.`);
  }
  const verdict = (events: number) => (events === 0 ? 'ok' : 'warning');
  const worse = second && count(second, now).events > count(first, now).events ? second : first;
  if (!second || count(worse, now).events > 0) return counted(check, worse, now, verdict);
  const lines = [...first.lines, ...second.lines];
  return counted(check, { ...first, name: `${first.name} and ${second.name}`, lines }, now, verdict);
}

function failures({ now }: RecentIssues, { user, authLog }: Places, auth: Source | undefined): Finding {
  const check = 'Failed logins';
  if (!auth) {
    const summary = `Neither ${authLog} nor the journal can be read, or nothing was written to them for a day.`;
    return finding(check, 'unknown', summary);
  }
  // Whole names only: the failures of "claude-user2" are another's.
  const name = user.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const about = new RegExp(`(^|[^\\w.-])${name}($|[^\\w.-])`);
  const isFailure = ({ text, isRefusal }: LogLine) => about.test(text) && !isRefusal;
  return counted(check, { ...auth, lines: auth.lines.filter(isFailure) }, now, (events) => {
    if (events === 0) return 'ok';
    return events >= authenticationFailed ? 'failed' : 'warning';
  });
}

function count(
  { lines }: Log,
  now: number,
): { readonly events: number; readonly recent: readonly LogLine[]; readonly untimed: readonly LogLine[] } {
  const recent = lines.filter(({ at }) => at !== undefined && at > now - day);
  const untimed = lines.filter(({ at }) => at === undefined);
  return { events: recent.reduce((sum, { times }) => sum + times, 0), recent, untimed };
}

function counted(
  check: string,
  source: Source,
  now: number,
  verdict: (events: number) => 'ok' | 'warning' | 'failed',
): Finding {
  const { events, recent, untimed } = count(source, now);
  if (untimed.length > 0) {
    const what = `${untimed.length} lines of ${source.name} have no time that is understood.`;
    return finding(check, 'unknown', what, { evidence: untimed[0]?.text });
  }
  const doubt = source.doubt ? ` (${source.doubt})` : '';
  const number = events === 0 ? 'None' : `${source.isFull ? 'At least ' : ''}${events}`;
  return finding(check, verdict(events), `${number} in the last 24 hours, says ${source.name}${doubt}.`, {
    evidence: recent
      .slice(-5)
      .map(({ text }) => withoutArguments(text))
      .join('\n'),
    ...(events > 0 &&
      source.isAnybodys && {
        remedy: `Any program can write such lines to ${source.name}, and this host has no journal that would say which did: see first whether they are true.`,
      }),
  });
}

/** The program of a refused command is enough to see; what was typed after it may be a password. */
function withoutArguments(line: string): string {
  return line.replace(/(COMMAND=\S+).*$/, '$1');
}
