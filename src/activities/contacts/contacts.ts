import type { Config } from '../../config.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import type { Subject } from '../../operations/subject.ts';
import { type Hearing, whoHears } from '../../policy/contacts.ts';
import { approvedPolicy } from '../../policy/create-judge.ts';
import { inspectPolicy } from '../../policy/read-policy.ts';
import { defaultPolicy, type Policy } from '../../policy/schema.ts';
import { zoneOfTarget } from '../../time-zone.ts';

export const queue = 'ledger';

/** What goes wrong, and for how long by now. */
export interface Asked {
  /** What it is about; of several things at once, more than one. */
  readonly subjects: readonly Subject[];
  /** A host, host/VMID, several of them, fleet or service. */
  readonly target: string;
  readonly sinceMs: number;
}

/** Who is to be told now. */
export interface Told extends Pick<Hearing, 'addresses' | 'webhooks' | 'level' | 'times'> {
  /** From now until the next level is due, or all once more; absent where there are no contacts, so that nothing climbs. */
  readonly nextInMs?: number;
  /** By whose clock they read times. */
  readonly timeZone: string;
}

/** Contacts, and the addresses that are told of everything at once beside them. */
export interface KnownContacts extends Pick<Policy, 'contacts' | 'escalation'> {
  readonly always?: readonly string[];
}

export type ContactActivities = ReturnType<typeof createContactActivities>;

/**
 * Who hears of what goes wrong. Who is told decides who can say no in time, so that what was approved counts. Where no
 * policy was ever approved those of the file do, and `MAIL_TO` hears of everything as well: whoever may write the file
 * can add somebody by that, and take nobody away.
 */
export function createContactActivities({
  config,
  configFolder,
  ledger,
}: {
  readonly config: Pick<Config, 'hosts' | 'mail' | 'dangerousCommands'>;
  /** Of `policy.yaml`. */
  readonly configFolder: string;
  readonly ledger: Pick<Ledger, 'search'>;
}) {
  function contacts(): KnownContacts {
    const [record] = ledger.search({ kind: 'policy', limit: 1 }).records;
    if (record !== undefined) return approvedPolicy(record.data?.document, `the policy of ${record.at}`);
    const { contacts: written, escalation } = inspectPolicy(configFolder, config).read?.policy ?? defaultPolicy;
    return { contacts: written, escalation, always: config.mail?.to ?? [] };
  }

  return {
    /** Throws `unreadable` where a later version has written the policy: then `MAIL_TO` is told. */
    async whoHears(asked: Asked): Promise<Told> {
      return tellOf(contacts(), asked, config);
    },
  };
}

/** Who of these contacts is told by now. */
export function tellOf(
  known: KnownContacts,
  { subjects, target, sinceMs }: Asked,
  config: Pick<Config, 'hosts'> & Partial<Pick<Config, 'mail'>>,
): Told {
  const timeZone = zoneOfTarget(config, target);
  const mailTo = config.mail?.to ?? [];
  const hearings = [...new Set(subjects)].map((subject) => whoHears(known, { subject, sinceMs, mailTo }));
  const [first] = hearings;
  if (known.contacts.length === 0 || first === undefined) {
    return { addresses: [...mailTo], webhooks: [], level: 'all', times: 1, timeZone };
  }
  return {
    addresses: distinct([...(known.always ?? []), ...hearings.flatMap(({ addresses }) => addresses)]),
    webhooks: distinct(hearings.flatMap(({ webhooks }) => webhooks)),
    level: hearings.reduce((highest, { level }) => higher(highest, level), first.level),
    times: Math.max(...hearings.map(({ times }) => times)),
    nextInMs: Math.min(...hearings.map(({ nextInMs }) => nextInMs)),
    timeZone,
  };
}

function higher(one: Hearing['level'], other: Hearing['level']): Hearing['level'] {
  return one === 'all' || other === 'all' ? 'all' : Math.max(one, other);
}

function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}
