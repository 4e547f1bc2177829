import type { Host, RunOptions } from '../../hosts/host.ts';
import type { Finding } from '../../operations/finding.ts';
import { readLines, requireSuccess } from '../lib/output.ts';
import { finding, unexpected } from './finding.ts';
import { authenticationFailed } from './limits.ts';
import { type HostClock, readLogTime, readOffset } from './log-times.ts';

const day = 86_400;
/** As many lines as the host sends at most. */
const sentAtMost = { sudo: 500, auth: 1_000 };

/** Refused sudo commands and failed logins of the service's user in the last 24 hours. */
export async function lookAtIssues(host: Host, options: RunOptions): Promise<Finding[]> {
  const { layout } = host.config;
  const result = await host.run('recentIssues', {}, { ...options, maxOutputBytes: 2 * 1024 * 1024 });
  requireSuccess(result, 'Reading the logs', { host: host.name, folder: layout.sudoLog });
  return readIssues(result.stdout, { user: layout.user, sudoLog: layout.sudoLog, authLog: layout.authLog });
}

interface Places {
  readonly user: string;
  readonly sudoLog: string;
  readonly authLog: string;
}

/** The findings from what `recentIssues` printed. */
export function readIssues(output: string, places: Places): Finding[] {
  const read = readLines(output);
  const clock = readClock(read('now')[0] ?? '', read('then')[0] ?? '');
  if (!clock) throw unexpected('date', output.slice(0, 100));
  const auth = authSource(read, clock, places);
  return [blocked(read, clock, places, auth), failures(clock, places, auth)];
}

function readClock(now: string, then: string): HostClock | undefined {
  const [seconds, zone] = now.split(' ');
  const offset = readOffset(zone ?? '');
  const earlierOffset = readOffset(then);
  if (offset === undefined || earlierOffset === undefined || !/^\d+$/.test(seconds ?? '')) return undefined;
  return { now: Number(seconds), offset, earlierOffset };
}

interface Source {
  /** For people: a path, or the journal. */
  readonly name: string;
  readonly lines: readonly string[];
  /** Why the answer is worth less than it looks. */
  readonly doubt?: string;
}

type Read = (key: string) => readonly string[];

/**
 * Where the host logs logins: auth.log while somebody writes it, else the journal (Debian 12 has no rsyslog by
 * default, and leaves an old auth.log behind when it is removed).
 */
function authSource(read: Read, clock: HostClock, { authLog }: Places): Source | undefined {
  const [log] = read('auth-log');
  const written = log === undefined || log === 'unreadable' ? undefined : Number(log.split(' ')[1]);
  if (written !== undefined && written >= clock.now - day) return { name: authLog, lines: read('auth') };
  const first = Number(read('journal')[0] || Number.NaN);
  if (!Number.isNaN(first)) {
    const short = first > clock.now - day;
    return {
      name: 'the journal',
      lines: read('journal-line'),
      ...(short ? { doubt: `the journal only reaches back ${((clock.now - first) / 3600).toFixed(1)} hours` } : {}),
    };
  }
  return undefined;
}

/**
 * sudo's own log and the system's both count, because one of them may be switched off; what is in both is the same, so
 * the larger number is right.
 */
function blocked(read: Read, clock: HostClock, places: Places, auth: Source | undefined): Finding {
  const check = 'Blocked commands';
  const own = ownLog(read, clock, places);
  if ('verdict' in own) return own;
  const sources: readonly Source[] = [
    ...(own.source ? [own.source] : []),
    ...(auth ? [{ ...auth, lines: auth.lines.filter(isBlocked) }] : []),
  ];
  const [first, second] = sources.map((source) => ({ source, ...count(source, clock) }));
  if (!first) {
    return finding(check, 'unknown', `There is no ${places.sudoLog}, and sudo logs nowhere else that can be read.`);
  }
  const worse = second && second.count > first.count ? second : first;
  if (worse.count > 0 || !second) return counted(check, worse.source, clock, blockedVerdict);
  const both = { ...first.source, name: `${first.source.name} and ${second.source.name}` };
  return counted(check, { ...both, lines: [...first.source.lines, ...second.source.lines] }, clock, blockedVerdict);
}

function ownLog(read: Read, clock: HostClock, { sudoLog }: Places): Finding | { readonly source?: Source } {
  const check = 'Blocked commands';
  const [log] = read('sudo-log');
  if (log === 'unreadable') return finding(check, 'unknown', `${sudoLog} can't be read.`);
  if (log === undefined) return {};
  const [last] = read('sudo-last');
  if (last && readLogTime(last, clock) === undefined) {
    return finding(check, 'unknown', `The lines of ${sudoLog} have no time that is understood.`, last);
  }
  const doubt = read('sudo').length >= sentAtMost.sudo ? { doubt: 'there are more than are counted' } : {};
  return { source: { name: sudoLog, lines: read('sudo'), ...doubt } };
}
/** A line of sudo in the system's log about a command that it refused; see `refusals` in `src/hosts/commands`. */
function isBlocked(line: string): boolean {
  const reasons =
    /not allowed|NOT in sudoers|NOT authorized|password is required|incorrect password|terminal is required/;
  return /\bsudo(\[\d+\])?: /.test(line) && !/pam_unix/.test(line) && reasons.test(line);
}

const blockedVerdict = (count: number) => (count === 0 ? 'ok' : 'warning');

function failures(clock: HostClock, { user, authLog }: Places, auth: Source | undefined): Finding {
  const check = 'Failed logins';
  if (!auth) {
    return finding(
      check,
      'unknown',
      `Neither ${authLog} nor the journal can be read, or nothing was written to them for a day.`,
    );
  }
  // Whole names only: the failures of "claude-user2" are another's.
  const name = user.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const about = new RegExp(`(^|[^\\w.-])${name}($|[^\\w.-])`);
  const isFailure = (line: string) => about.test(line) && !isBlocked(line);
  return counted(check, { ...auth, lines: auth.lines.filter(isFailure) }, clock, (count) => {
    if (count === 0) return 'ok';
    return count >= authenticationFailed ? 'failed' : 'warning';
  });
}

interface Count {
  readonly count: number;
  readonly recent: readonly string[];
  readonly untimed: readonly string[];
}

function count({ lines }: Source, clock: HostClock): Count {
  const timed = lines.map((line) => ({ line, time: readLogTime(line, clock) }));
  const recent = timed.filter(({ time }) => time !== undefined && time > clock.now - day).map(({ line }) => line);
  const untimed = timed.filter(({ time }) => time === undefined).map(({ line }) => line);
  return { count: recent.reduce((sum, line) => sum + repeats(line), 0), recent, untimed };
}

function counted(
  check: string,
  source: Source,
  clock: HostClock,
  verdict: (count: number) => 'ok' | 'warning' | 'failed',
): Finding {
  const { count: events, recent, untimed } = count(source, clock);
  if (untimed.length > 0) {
    const what = `${untimed.length} lines of ${source.name} have no time that is understood.`;
    return finding(check, 'unknown', what, untimed[0]);
  }
  const doubt = source.doubt ? ` (${source.doubt})` : '';
  const truncated = source.lines.length >= sentAtMost.auth ? 'At least ' : '';
  return finding(
    check,
    verdict(events),
    `${events === 0 ? 'None' : `${truncated}${events}`} in the last 24 hours, says ${source.name}${doubt}.`,
    recent.slice(-5).map(withoutArguments).join('\n'),
  );
}

/** rsyslog folds equal lines: `message repeated 5 times: [ … ]`. */
function repeats(line: string): number {
  return Number(/message repeated (\d+) times/.exec(line)?.[1] ?? 1);
}

/** The program of a refused command is enough to see; what was typed after it may be a password. */
function withoutArguments(line: string): string {
  return line.replace(/(COMMAND=\S+).*$/, '$1');
}
