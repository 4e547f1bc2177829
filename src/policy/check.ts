import { type ConfigFinding, configWarning } from '../config/problems.ts';
import { catalogue } from '../operations/catalogue.generated.ts';
import { whoMayApprove } from '../people/approvers.ts';
import { readableList } from '../reports/units.ts';
import type { Approval, Policy, Rule, Window, webhookKeys } from './schema.ts';
import type { KnownPerson } from './who.ts';

/** What there is, to compare with what a policy names. */
export interface PolicyWorld {
  readonly hosts: readonly string[];
  readonly people: readonly KnownPerson[];
  readonly tokens: readonly string[];
  /** Webhooks that `.env` has a URL for. */
  readonly webhooks: readonly (typeof webhookKeys)[number][];
  /** Whether mails can be sent at all. */
  readonly hasMail: boolean;
}

/** What a policy names and nothing here is called, and what can't work as things are: each with its line. */
export function policyWarnings(policy: Policy, world: PolicyWorld): readonly ConfigFinding[] {
  const entries: readonly (readonly [string, Rule | Window | Approval])[] = [
    ...policy.rules.map((entry) => ['rules', entry] as const),
    ...policy.windows.map((entry) => ['windows', entry] as const),
    ...policy.snapshotFirst.map((entry) => ['snapshotFirst', entry] as const),
    ...policy.approvals.map((entry) => ['approvals', entry] as const),
  ];
  return [
    ...entries.flatMap(([key, { on, operations = [], at }]) => [
      ...unknown(`${key}, hosts`, at, 'host', on?.hosts ?? [], world.hosts),
      ...unknown(`${key}, operations`, at, 'operation', operations, Object.keys(catalogue)),
    ]),
    ...unknown('protected, hosts', policy.protected.at, 'host', policy.protected.hosts ?? [], world.hosts),
    ...policy.rules.flatMap(({ who, at }) => [
      ...unknown(
        'rules, who',
        at,
        'person',
        namesOf(who, 'person'),
        world.people.map(({ name }) => name),
      ),
      ...unknown('rules, who', at, 'token', namesOf(who, 'token'), world.tokens),
    ]),
    ...policy.approvals.flatMap((entry) => tooFew(entry, world)),
    ...unreachable(policy, world),
  ];
}

function namesOf(who: readonly string[], kind: string): readonly string[] {
  return who.filter((one) => one.startsWith(`${kind}:`)).map((one) => one.slice(kind.length + 1));
}

/** One that is mistyped restricts nothing, and one that is gone may come back as another one. */
function unknown(
  key: string,
  source: string,
  what: string,
  named: readonly string[],
  known: readonly string[],
): readonly ConfigFinding[] {
  return named
    .filter((name) => !known.includes(name))
    .map((name) =>
      configWarning({
        key,
        source,
        summary: `there is no ${what} named ${name}, so that it is about nothing.`,
        remedy: known.length === 0 ? `There is no ${what} at all.` : `There are: ${readableList(known, 12)}.`,
      }),
    );
}

function tooFew(
  { count = 1, role = 'administrator', at }: Approval,
  { people }: PolicyWorld,
): readonly ConfigFinding[] {
  // Whoever asks is one less, where that is one of them.
  const there = whoMayApprove(people, { role, count, requestedBy: { kind: 'cli', name: '' } }).length;
  if (there >= count) return [];
  const summary = `it needs ${count} of the role ${role}, and there ${there === 1 ? 'is one' : `are ${there}`}: what it is about is refused.`;
  return [
    configWarning({
      key: 'approvals',
      source: at,
      summary,
      remedy: `Run: npx proxmox-mcp people add NAME --role ${role}`,
    }),
  ];
}

function unreachable({ contacts }: Policy, { webhooks, hasMail }: PolicyWorld): readonly ConfigFinding[] {
  return contacts.flatMap(({ name, mail, webhook }) => {
    const key = `contacts, ${name}`;
    const source = 'policy.yaml';
    return [
      ...(webhook === undefined || webhooks.includes(webhook)
        ? []
        : [
            configWarning({
              key,
              source,
              summary: `${webhook} isn't set, so that nobody is paged.`,
              remedy: `Write ${webhook}_FILE=PATH into .env.`,
            }),
          ]),
      ...(mail === undefined || hasMail
        ? []
        : [
            configWarning({
              key,
              source,
              summary: 'no mail server is set up.',
              remedy: 'Set SMTP_HOST, MAIL_FROM and MAIL_TO in .env.',
            }),
          ]),
    ];
  });
}
