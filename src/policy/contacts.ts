import type { Subject } from '../operations/subject.ts';
import type { Contact, Policy, webhookKeys } from './schema.ts';

const hourMs = 60 * 60_000;

/** The guide's matrix: the system administrator, the security team, the infrastructure team, the development team. */
const levelOf: Readonly<Record<Subject, number>> = { operations: 1, security: 2, infrastructure: 3, application: 4 };

/** How long after the stage before each one is told, and how often all are told after the last one, ms. */
const usual = { level2: hourMs, level3: hourMs, level4: hourMs, all: hourMs, repeat: 4 * hourMs } as const;

/** Some contacts that are told at the same time. */
export interface Stage {
  readonly level: number | 'all';
  /** Since it went wrong, ms. */
  readonly atMs: number;
  readonly contacts: readonly Contact[];
}

/** Who has been told by now. */
export interface Hearing {
  /** Mail addresses of all of them. */
  readonly addresses: readonly string[];
  /** Keys of the webhooks that page some of them. */
  readonly webhooks: readonly (typeof webhookKeys)[number][];
  /** Of the last stage. */
  readonly level: Stage['level'];
  /** How often somebody was told: it grows by one when the next stage, or the next repetition, is due. */
  readonly times: number;
  /** From now until then. */
  readonly nextInMs: number;
}

/**
 * The stages of what goes wrong, in their order: the level of its subject first, then every higher one that has
 * contacts, and after the last level all contacts, who are told again and again. Empty where there are no contacts.
 */
export function stagesOf(
  { contacts, escalation }: Pick<Policy, 'contacts' | 'escalation'>,
  subject: Subject,
): readonly Stage[] {
  if (contacts.length === 0) return [];
  const own = contacts.filter(({ subjects }) => subjects?.includes(subject));
  const first = own.length === 0 ? levelOf[subject] : Math.min(...own.map(({ level }) => level));
  const stages: Stage[] = [];
  for (const level of [1, 2, 3, 4].filter((one) => one >= first)) {
    const all = contacts.filter((one) => one.level === level);
    // At its own level only who is there for it; higher up whoever is there.
    const meant = level === first ? all.filter(({ subjects = [subject] }) => subjects.includes(subject)) : all;
    const told = meant.length === 0 ? all : meant;
    if (told.length > 0) stages.push({ level, atMs: after(stages, delayOf(level)), contacts: told });
  }
  return [...stages, { level: 'all', atMs: after(stages, escalation.all ?? usual.all), contacts }];

  function delayOf(level: number): number {
    const key = `level${Math.max(2, level)}` as 'level2' | 'level3' | 'level4';
    return escalation[key] ?? usual[key];
  }
}

function after(before: readonly Stage[], delayMs: number): number {
  const last = before.at(-1);
  return last === undefined ? 0 : last.atMs + delayMs;
}

/**
 * Who hears by now of what went wrong.
 *
 * @param sinceMs how long ago it went wrong
 * @param mailTo who gets mails where the policy has no contacts: they are told at once, and again and again
 */
export function whoHears(
  policy: Pick<Policy, 'contacts' | 'escalation'>,
  {
    subject,
    sinceMs,
    mailTo = [],
  }: { readonly subject: Subject; readonly sinceMs: number; readonly mailTo?: readonly string[] },
): Hearing {
  const stages = stagesOf(policy, subject);
  const told = stages.filter(({ atMs }) => atMs <= Math.max(0, sinceMs));
  const next = stages[told.length];
  const lastAt = stages.at(-1)?.atMs ?? 0;
  const repeatMs = policy.escalation.repeat ?? usual.repeat;
  const repeated = next === undefined ? Math.floor(Math.max(0, sinceMs - lastAt) / repeatMs) : 0;
  const nextAt = next?.atMs ?? lastAt + (repeated + 1) * repeatMs;
  const contacts = told.flatMap((stage) => stage.contacts);
  return {
    addresses: stages.length === 0 ? [...mailTo] : distinct(contacts.flatMap(({ mail = [] }) => mail)),
    webhooks: distinct(contacts.flatMap(({ webhook }) => (webhook === undefined ? [] : [webhook]))),
    level: told.at(-1)?.level ?? 'all',
    times: Math.max(1, told.length) + repeated,
    nextInMs: nextAt - sinceMs,
  };
}

function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}
