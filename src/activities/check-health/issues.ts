import {
  isSelfTest,
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

/** Refused self-tests in 24 hours: those of 15 checks of an installation. More are nobody's routine. */
const selfTestsAtMost = 60;

interface Places {
  readonly user: string;
  readonly helper: string;
  readonly sudoLog: string;
  readonly authLog: string;
}

/**
 * Refused sudo commands and failed logins of the service's user in the last 24 hours. The service's own self-tests, which
 * sudo refuses as it should, are counted apart.
 */
export async function inspectIssues(host: Host, options: RunOptions): Promise<Finding[]> {
  return judgeIssues(await host.run(recentIssues, {}, options), host.config.layout);
}

export function judgeIssues(issues: RecentIssues, places: Places): Finding[] {
  const auth = authSource(issues, places);
  const { commands, selfTests } = refusals(issues, places, auth);
  return [commands, failures(issues, places, auth), ...selfTests];
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

interface Refusals {
  readonly commands: Finding;
  /** None where there were none. */
  readonly selfTests: readonly Finding[];
}

/**
 * sudo's own log and the system's both count, because one of them may be switched off; what is in both is the same, so
 * the larger number is right.
 */
function refusals(issues: RecentIssues, places: Places, auth: Source | undefined): Refusals {
  const check = 'Blocked commands';
  const { sudoLog, user } = places;
  const { now, sudo } = issues;
  const unknown = (summary: string, evidence?: string): Refusals => ({
    commands: finding(check, 'unknown', summary, {
      remedy: `See on the host whether sudo writes to it: ls -l ${sudoLog}*; sudo -l -U ${user}`,
      evidence,
    }),
    selfTests: [],
  });
  if (sudo === 'unreadable') return unknown(`${sudoLog} can't be read.`);
  if (sudo?.last !== undefined && sudo.last.at === undefined) {
    return unknown(`The lines of ${sudoLog} have no time that is understood.`, sudo.last.text);
  }
  const own: readonly Source[] =
    sudo === undefined
      ? []
      : [{ ...sudo, name: sudoLog, ...(sudo.isFull && { doubt: 'there are more than are counted' }) }];
  const others =
    auth === undefined
      ? []
      : [{ ...auth, lines: auth.lines.filter((line) => line.isRefusal && line.text.includes(` ${user} : `)) }];
  const split = [
    ...own.map((source) => withoutSelfTests(source, issues.isOnOneLine, places)),
    ...others.map((source) => withoutSelfTests(source, !source.isAnybodys, places)),
  ];
  const [first, second] = split.map(({ rest }) => rest);
  if (!first) return unknown(`There is no ${sudoLog}, and sudo logs nowhere else that can be read.`);
  const tests = split.map((one) => one.tests).sort((a, b) => count(b, now).events - count(a, now).events)[0];
  const selfTests = tests === undefined ? [] : judgeSelfTests(tests, now);
  const more = {
    remedy: `Nothing of this service runs such commands. See who was logged in as ${user} then; if it was none of you, somebody has the service's key: take it out of that user's authorized_keys.`,
  };
  const verdict = (events: number) => (events === 0 ? 'ok' : 'warning');
  const worse = second && count(second, now).events > count(first, now).events ? second : first;
  if (!second || count(worse, now).events > 0)
    return { commands: counted(check, worse, now, verdict, more), selfTests };
  const lines = [...first.lines, ...second.lines];
  const both = { ...first, name: `${first.name} and ${second.name}`, lines };
  return { commands: counted(check, both, now, verdict), selfTests };
}

interface Split {
  readonly rest: Source;
  readonly tests: Source;
}

/**
 * A source without the refusals of self-tests, and those. Where the line breaks of an argument stand in the log as they are,
 * another command may look like a self-test: there all count as blocked, and so they do in what any program can write to.
 */
function withoutSelfTests(source: Source, areWhole: boolean, places: Places): Split {
  const isTest = ({ at, text, times }: LogLine) => at !== undefined && times === 1 && isSelfTest(text, places);
  const tests = areWhole ? source.lines.filter(isTest) : [];
  return {
    rest: { ...source, lines: source.lines.filter((line) => !tests.includes(line)) },
    tests: { ...source, lines: tests },
  };
}

function judgeSelfTests(tests: Source, now: number): readonly Finding[] {
  const { events } = count(tests, now);
  if (events === 0) return [];
  const summary = `${events} refused self-tests of the service in the last 24 hours, says ${tests.name}.`;
  const check = 'Self-tests of sudo';
  if (events <= selfTestsAtMost) return [finding(check, 'ok', summary)];
  return [
    finding(check, 'warning', `${summary} Checks of the installation make no more than ${selfTestsAtMost}.`, {
      remedy:
        "If nobody ran npx proxmox-mcp host check or host install so often, somebody imitates them: see who has the service's key.",
    }),
  ];
}

function failures({ now }: RecentIssues, { user, authLog }: Places, auth: Source | undefined): Finding {
  const check = 'Failed logins';
  if (!auth) {
    const summary = `Neither ${authLog} nor the journal can be read, or nothing was written to them for a day.`;
    const remedy = `See on the host what is written: journalctl -n 5; ls -l ${authLog}`;
    return finding(check, 'unknown', summary, { remedy });
  }
  // Whole names only: the failures of "claude-user2" are another's.
  const name = user.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const about = new RegExp(`(^|[^\\w.-])${name}($|[^\\w.-])`);
  const isFailure = ({ text, isRefusal }: LogLine) => about.test(text) && !isRefusal;
  const verdict = (events: number) => {
    if (events === 0) return 'ok';
    return events >= authenticationFailed ? 'failed' : 'warning';
  };
  return counted(check, { ...auth, lines: auth.lines.filter(isFailure) }, now, verdict, {
    remedy: 'See from where they come, and let nobody else reach SSH: on the host, journalctl --since=-24h -t sshd',
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
  { remedy }: { readonly remedy?: string } = {},
): Finding {
  const { events, recent, untimed } = count(source, now);
  if (untimed.length > 0) {
    const what = `${untimed.length} lines of ${source.name} have no time that is understood.`;
    const look = `Look at them on the host: ${source.isAnybodys || source.name.startsWith('/') ? `tail ${source.name}` : 'journalctl -n 20'}`;
    return finding(check, 'unknown', what, { remedy: look, evidence: untimed[0]?.text });
  }
  const doubt = source.doubt ? ` (${source.doubt})` : '';
  const number = events === 0 ? 'None' : `${source.isFull ? 'At least ' : ''}${events}`;
  return finding(check, verdict(events), `${number} in the last 24 hours, says ${source.name}${doubt}.`, {
    value: events,
    evidence: recent
      .slice(-5)
      .map(({ text }) => withoutArguments(text))
      .join('\n'),
    ...(events > 0 && remedy !== undefined && { remedy }),
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
