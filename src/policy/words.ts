import { subjects } from '../operations/subject.ts';
import { readableDuration } from '../reports/units.ts';
import { stagesOf } from './contacts.ts';
import {
  type About,
  type Approval,
  type Contact,
  type Policy,
  type Rule,
  type SnapshotFirst,
  type Targets,
  type Window,
  weekdays,
} from './schema.ts';

/** One line of a policy in words, and where it stands. */
export interface PolicyLine {
  readonly text: string;
  readonly at: string;
}

/** A policy in words, part by part, with the defaults that hold where nothing is written. */
export function policyLines(
  policy: Policy,
): readonly { readonly title: string; readonly lines: readonly PolicyLine[] }[] {
  const byDefault = (text: string): PolicyLine => ({ text, at: 'the default' });
  const protects = protectionText(policy.protected);
  return [
    {
      title: 'Who may do what',
      lines: [
        ...policy.rules.map((rule) => ({ text: ruleText(rule), at: rule.at })),
        byDefault(
          `${policy.rules.length === 0 ? 'Changes' : 'Changes that no rule is about'} may be made by operators, administrators and tokens of scope operate; observers and tokens of scope read only look.`,
        ),
        byDefault('What is dangerous needs an approval, unless a rule that names that risk lets it through.'),
      ],
    },
    {
      title: 'Protected',
      lines: protects === undefined ? [byDefault('Nothing.')] : [{ text: protects, at: policy.protected.at }],
    },
    {
      title: 'Change windows',
      lines:
        policy.windows.length === 0
          ? [byDefault('None: changes may be made at any time.')]
          : policy.windows.map((window) => ({ text: windowText(window), at: window.at })),
    },
    {
      title: 'Approvals',
      lines: [
        ...policy.approvals.map((approval) => ({ text: approvalText(approval), at: approval.at })),
        byDefault(
          `${policy.approvals.length === 0 ? 'One' : 'Otherwise one'} administrator (of a change an operator is enough), who answers within 24 h and is reminded every 4 h; it is carried out within 1 h after that.`,
        ),
      ],
    },
    {
      title: 'Snapshots first',
      lines:
        policy.snapshotFirst.length === 0
          ? [byDefault('None is taken unless it is asked for.')]
          : policy.snapshotFirst.map((entry) => ({ text: snapshotText(entry), at: entry.at })),
    },
    { title: 'Contacts', lines: contactLines(policy) },
    {
      title: 'Commands of any kind',
      lines: [
        {
          text: policy.dangerousCommands
            ? 'Commands and API calls of any kind, and deletions, may be asked for.'
            : 'Commands and API calls of any kind, and deletions, are refused, approved or not.',
          at: '.env',
        },
      ],
    },
  ];
}

const mayWords = { yes: 'may do', ask: 'must ask for', no: 'may not do' } as const;

/** `agents may not do control-guest (dangerous) on guests 100 and 200–299: customers`. */
export function ruleText({ who, may, why, ...about }: Omit<Rule, 'at'>): string {
  const risks = about.risks ?? (may === 'yes' ? ['change'] : ['change', 'dangerous']);
  return withWhy(`${list(who.map(whoText))} ${mayWords[may]} ${whatText({ ...about, risks })}`, why);
}

function whoText(who: string): string {
  const [kind = '', ...rest] = who.split(':');
  const name = rest.join(':');
  if (name === '') return who;
  if (kind === 'role') return `every ${name}`;
  return kind === 'person' ? name : `the ${kind} ${name}`;
}

/** `control-guest and back-up (change or dangerous) on pve1`. */
function whatText({ operations, risks = ['change', 'dangerous'], on }: About): string {
  const what = operations === undefined ? riskText(risks) : `${list(operations)} (${risks.join(' or ')})`;
  return on === undefined ? what : `${what} on ${targetText(on)}`;
}

function riskText(risks: readonly string[]): string {
  const words = risks.map((risk) => (risk === 'change' ? 'changes' : 'what is dangerous'));
  return words.join(' and ');
}

/** `pve1, guests 100 and 200–299, guests tagged production, guests of the pool customers`. */
export function targetText({ hosts = [], guests = [], tags = [], pools = [] }: Targets): string {
  const vmids = guests.map(([from, to]) => (from === to ? String(from) : `${from}–${to}`));
  const parts = [
    ...(hosts.length === 0 ? [] : [`${list(hosts)} with ${hosts.length === 1 ? 'its' : 'their'} guests`]),
    ...(vmids.length === 0 ? [] : [`guest${vmids.length === 1 && !vmids[0]?.includes('–') ? '' : 's'} ${list(vmids)}`]),
    ...(tags.length === 0 ? [] : [`guests tagged ${list(tags, 'or')}`]),
    ...(pools.length === 0 ? [] : [`guests of the pool${pools.length === 1 ? '' : 's'} ${list(pools, 'or')}`]),
  ];
  return list(parts);
}

/** Undefined: nothing is protected. */
export function protectionText({ at: _, ...on }: Policy['protected']): string | undefined {
  if (Object.keys(on).length === 0) return undefined;
  return `Nothing dangerous is done to ${targetText(on)}, and changes of them need an approval`;
}

/** `Changes and what is dangerous on pve1: only sat and sun 22:00–04:00, in the zone of the host`. */
export function windowText({ days, from, to, timeZone, why, ...about }: Omit<Window, 'at'>): string {
  const named = days.length === weekdays.length ? 'daily' : list(fromMonday.filter((day) => days.includes(day)));
  const zone = timeZone === undefined ? 'by the clock of the host' : `in ${timeZone}`;
  return withWhy(`${lineStart(about)} only ${named} ${clock(from)}–${clock(to)} ${zone}`, why);
}

const fromMonday = [...weekdays.slice(1), ...weekdays.slice(0, 1)];

function clock(minutes: number): string {
  const two = (value: number) => String(value).padStart(2, '0');
  return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** `What is dangerous needs 2 approvers, each yes signed, an answer within 24 h`. */
export function approvalText({ why, operations, risks, on, ...terms }: Omit<Approval, 'at'>): string {
  const about = {
    operations,
    on,
    risks: risks ?? (operations === undefined ? ['dangerous'] : ['change', 'dangerous']),
  };
  const { count, role, answerWithin, executeWithin, remindEvery, signed } = terms;
  const parts = [
    approverText(count ?? 1, role),
    ...(signed ? ['each yes signed'] : []),
    ...(answerWithin === undefined ? [] : [`an answer within ${span(answerWithin)}`]),
    ...(executeWithin === undefined ? [] : [`carried out within ${span(executeWithin)}`]),
    ...(remindEvery === undefined ? [] : [`a reminder every ${span(remindEvery)}`]),
  ];
  return withWhy(`${lineStart(about)}: ${parts.join(', ')}`, why);
}

/** `Before configure-guest (change or dangerous) on guests tagged production a snapshot of the guest is taken`. */
export function snapshotText({ why, ...about }: Omit<SnapshotFirst, 'at'>): string {
  return withWhy(`Before ${whatText(about)} a snapshot of the guest is taken, and removed when all went well`, why);
}

function approverText(count: number, role: Approval['role']): string {
  const one = role ?? 'approver';
  return count === 1 ? `an ${one}` : `${count} ${one}s`;
}

/** `30 min`, `24 h`, `3 days`: as it is written. */
function span(ms: number): string {
  const minutes = ms / 60_000;
  if (minutes % (60 * 24) === 0 && minutes > 60 * 24) return `${minutes / 60 / 24} days`;
  return minutes % 60 === 0 ? `${minutes / 60} h` : minutes < 60 ? `${minutes} min` : readableDuration(ms);
}

export function contactText({ name, level, subjects: on, mail = [], webhook }: Contact): string {
  const ways = [...mail, ...(webhook === undefined ? [] : [`the webhook ${webhook}`])];
  return `Level ${level}: ${name} (${list(ways)})${on === undefined ? '' : ` for ${list(on)}`}`;
}

function contactLines(policy: Policy): PolicyLine[] {
  if (policy.contacts.length === 0) return [{ text: 'None: the addresses of MAIL_TO are told.', at: 'the default' }];
  const at = 'contacts';
  const way = (subject: (typeof subjects)[number]) =>
    stagesOf(policy, subject)
      .map(
        ({ level, atMs }) =>
          `${level === 'all' ? 'all' : `level ${level}`} ${atMs === 0 ? 'at once' : `after ${span(atMs)}`}`,
      )
      .join(', ');
  return [
    ...policy.contacts.map((contact) => ({ text: contactText(contact), at })),
    ...subjects.map((subject) => ({ text: `${capital(subject)}: ${way(subject)}`, at: 'escalation' })),
  ];
}

function withWhy(text: string, why: string | undefined): string {
  return why === undefined ? text : `${text}: ${why}`;
}

/** An operation's name stays as it is. */
function lineStart(about: About): string {
  return about.operations === undefined ? capital(whatText(about)) : whatText(about);
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function list(words: readonly string[], last = 'and'): string {
  if (words.length < 2) return words.join('');
  return `${words.slice(0, -1).join(', ')} ${last} ${words.at(-1)}`;
}
