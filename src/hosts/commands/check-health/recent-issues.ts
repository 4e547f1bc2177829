import { z } from 'zod';
import type { HostLayout } from '../../../config.ts';
import type { Argv } from '../../execution/executor.ts';
import { admittedOnPurpose, refusedOnPurpose } from '../../self-tests.ts';
import { count, keyValues, many, one, optional, words } from '../answer.ts';
import { defineCommand } from '../command.ts';
import { type HostClock, readLogTime, readOffset } from './log-times.ts';

const offset = z.string().transform((text, context) => {
  const seconds = readOffset(text);
  if (seconds !== undefined) return seconds;
  context.addIssue('expected an offset from UTC');
  return z.NEVER;
});

/** Size and time of the last change of a log, or why its lines are not there. */
const log = z.union([z.literal('unreadable'), words(count, count)]);

/** The journal's first entry in seconds since 1970, or nothing where it is empty. */
const journal = z.union([z.literal(''), count]);

/** A line of a log about the service's user. */
export interface LogLine {
  readonly text: string;
  /** In seconds since 1970; undefined: the line has no time that is understood. */
  readonly at: number | undefined;
  /** sudo refused a command. */
  readonly isRefusal: boolean;
  /** How many times it happened: rsyslog folds equal lines. */
  readonly times: number;
}

/** A log that can be read. */
export interface Log {
  readonly lines: readonly LogLine[];
  /** There may be more: the host sends no more lines than this. */
  readonly isFull: boolean;
}

/** As many lines as the host sends at most. */
const sentAtMost = { sudo: 500, auth: 1_000 };

export const recentIssues = defineCommand({
  name: 'recent-issues',
  summary: "Refused sudo commands and failed logins of the service's user in the logs",
  doing: 'Reading the logs',
  as: 'root',
  risk: 'read',
  job: false,
  becomesRoot: 'no',
  parameters: [],
  script: new URL('./recent-issues.sh', import.meta.url),
  timeoutMs: 30_000,
  maxOutputBytes: 2 * 1024 * 1024,
  answer: keyValues({
    now: one(words(count, offset)),
    yesterday: one(offset),
    'sudo-version': optional(z.string()),
    'sudo-log': optional(log),
    sudo: many(z.string()),
    'sudo-last': optional(z.string()),
    'auth-log': optional(log),
    auth: many(z.string()),
    journal: optional(journal),
    'journal-line': many(z.string()),
  }).transform((said) => {
    const [now, zone] = said.now;
    const clock: HostClock = { now, offset: zone, earlierOffset: said.yesterday };
    const system = (texts: readonly string[]): Log => ({
      lines: texts.map((text) => readLine(text, clock, isRefusal(text))),
      isFull: texts.length >= sentAtMost.auth,
    });
    const last = said['sudo-last'];
    return {
      /** The host's clock, in seconds since 1970. */
      now,
      /** Whether each line of sudo's log is one event: since 1.9.13. */
      isOnOneLine: isSince1913(said['sudo-version'] ?? ''),
      /** sudo's own log. `last`: its last line, whatever that is about. */
      sudo:
        typeof said['sudo-log'] !== 'object'
          ? said['sudo-log']
          : {
              lines: said.sudo
                .map((text) => readLine(text, clock, isRefusal(text)))
                .filter((line) => line.isRefusal || line.at === undefined),
              isFull: said.sudo.length >= sentAtMost.sudo,
              last: last ? readLine(last, clock, false) : undefined,
            },
      /** The system's log of logins, where there is a file for it. */
      auth:
        typeof said['auth-log'] !== 'object'
          ? said['auth-log']
          : { ...system(said.auth), writtenAt: said['auth-log'][1] },
      /** The same in the journal, of the last 24 hours. `since`: its first entry. */
      journal: typeof said.journal !== 'number' ? undefined : { ...system(said['journal-line']), since: said.journal },
    };
  }),
});

export type RecentIssues = z.output<typeof recentIssues.answer>;

function readLine(text: string, clock: HostClock, isRefusal: boolean): LogLine {
  const times = Number(/message repeated (\d{1,9}) times/.exec(text)?.[1] ?? 1);
  return { text, at: readLogTime(text, clock), isRefusal, times };
}

/** CVE-2023-28486: older ones write control characters of folders and arguments into their logs as they are. */
function isSince1913(version: string): boolean {
  const [, minor = 0, patch = 0] = (/^1\.(\d+)\.(\d+)/.exec(version) ?? []).map(Number);
  return minor > 9 || (minor === 9 && patch >= 13);
}

/** When a log says it, where it stands at the line's beginning: what follows is the host and the program, or a user. */
const time = String.raw`(?:\d{9,11}\.\d+|\d{4}-\d\d-\d\d[T ]\S+|[A-Z][a-z]{2} +\d{1,2} [\d:]{8}(?: \d{4})?)`;
const bySudo = new RegExp(String.raw`^${time} \S+ sudo(?:\[\d+\])?: +\S+ : ([^;]*)`);
const inOwnLog = new RegExp(String.raw`^${time} : \S+ : ([^;]*)`);

/**
 * A line of sudo about a command that it refused; the same words as in the script. Only what sudo says before the first
 * semicolon counts: names, folders and arguments come after it, and anybody may have made them up.
 */
function isRefusal(text: string): boolean {
  // sudo's log in JSON has been asked for refusals by the script.
  if (/"server_time"/.test(text)) return true;
  const said = (bySudo.exec(text) ?? inOwnLog.exec(text))?.[1] ?? '';
  const reasons =
    /not allowed|NOT in sudoers|NOT authorized|password is required|incorrect password|terminal is required/;
  return !/^[A-Z]+=/.test(said) && reasons.test(said);
}

/** As many characters of a line as the host sends: a longer one has lost its end. */
const lineAtMost = 600;

/**
 * Whether a line is sudo's about a self-test of the service: all of it, so that it is about nothing else. Its folder has a
 * plain name, and its end is there, as the rest of the line might name another command.
 */
export function isSelfTest(text: string, layout: Pick<HostLayout, 'helper' | 'user'>): boolean {
  if (text.length >= lineAtMost) return false;
  const literally = (words: string) => words.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const any = (...argvs: readonly Argv[]) => argvs.map((argv) => literally(argv.join(' '))).join('|');
  const refused = refusedOnPurpose(layout);
  const command = `(?:${any(...refused)}|list(?: (?:${any(...refused, admittedOnPurpose(layout))}))?)`;
  const said = `${literally(layout.user)} : (?:command not allowed|a password is required)`;
  const where = String.raw`(?: ; TTY=[\w/]+)?(?: ; PWD=[\w./-]+)? ; USER=root`;
  const by = String.raw`(?: \S+ sudo(?:\[\d+\])?: +| : )`;
  return new RegExp(`^${time}${by}${said}${where} ; COMMAND=${command}$`).test(text);
}
