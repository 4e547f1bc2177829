import { z } from 'zod';
import { subjects } from '../operations/subject.ts';
import { canonicalTimeZone } from '../time-zone.ts';

/*
 * What stands in `policy.yaml`. The same schema reads what was approved: a record of the ledger holds the document as it
 * was written. Every message completes "expected …".
 */

const minuteMs = 60_000;
const unitMs = { m: minuteMs, h: 60 * minuteMs, d: 24 * 60 * minuteMs } as const;

const durationForm = 'a duration such as 30m, 24h or 3d, from 1m to 30d';
/** Written `30m`, `24h` or `3d`; milliseconds. */
const duration = z
  .string({ error: durationForm })
  .regex(/^[1-9]\d{0,4}[mhd]$/, durationForm)
  .transform((text) => Number(text.slice(0, -1)) * unitMs[text.slice(-1) as keyof typeof unitMs])
  .refine((ms) => ms <= 30 * unitMs.d, durationForm);

const operationForm = 'the name of an operation, e.g. control-guest';
const operation = z.string({ error: operationForm }).regex(/^[a-z][a-z0-9-]{0,63}$/, operationForm);

const hostForm = 'the name of a host: 1 to 63 characters of a-z, 0-9 and -, e.g. pve1';
const host = z.string({ error: hostForm }).regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, hostForm);

const whoForm = 'everybody, people, agents, schedules, person:NAME, role:ROLE, token:NAME or schedule:ID';
const who = z
  .string({ error: whoForm })
  .regex(
    /^(everybody|people|agents|schedules|(person|token):[A-Za-z0-9][A-Za-z0-9._-]{0,63}|role:(observer|operator|administrator)|schedule:[a-z0-9][a-z0-9,/-]{0,199})$/,
    whoForm,
  );

const riskForm = 'change or dangerous (who may look is a matter of the scope of a token)';
/** What a policy speaks of: looking is free to whoever has got in. */
const risk = z.enum(['change', 'dangerous'], { error: riskForm });

const guestForm = 'a VMID such as 100, or a range of them such as 200-299';
/** `[from, to]`, both included. */
const guests = z
  .union([z.int().min(100).max(999_999_999), z.string().regex(/^[1-9]\d{2,8}(-[1-9]\d{2,8})?$/)], { error: guestForm })
  .transform((written): readonly [number, number] => {
    const [from = 0, to = from] = String(written).split('-').map(Number);
    return [from, to];
  })
  .refine(([from, to]) => from <= to, guestForm);

const tagForm = 'a tag of Proxmox VE, in lower case: a-z, 0-9 and . _ + -';
/** Proxmox VE compares tags in lower case unless a datacenter says otherwise. */
const tag = z.string({ error: tagForm }).regex(/^[a-z0-9_][a-z0-9_.+-]{0,99}$/, tagForm);
const poolForm = 'the name of a pool of Proxmox VE';
const pool = z.string({ error: poolForm }).regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/, poolForm);

/** One or several; a single one may stand without its list. */
function listOf<Item extends z.ZodType>(item: Item, most = 200) {
  const list = z
    .array(item, { error: 'one value or a list of them' })
    .min(1, 'at least one')
    .max(most, `at most ${most}`);
  return z.preprocess((value) => (value === undefined || Array.isArray(value) ? value : [value]), list);
}

/** Any of what is named. */
const targets = z.strictObject(
  {
    hosts: listOf(host).optional(),
    guests: listOf(guests).optional(),
    tags: listOf(tag).optional(),
    pools: listOf(pool).optional(),
  },
  { error: 'hosts, guests, tags and pools below it' },
);
export type Targets = z.output<typeof targets>;

const someTargets = targets.refine(
  (value) => Object.keys(value).length > 0,
  'at least one of hosts, guests, tags, pools',
);

/** Kept with an entry for who reads what it decides. */
const why = z.string({ error: 'a text' }).min(1, 'a text').max(300, 'at most 300 characters').optional();

/** What an entry is about; what is absent holds for all. */
const about = {
  operations: listOf(operation).optional(),
  risks: listOf(risk).optional(),
  on: someTargets.optional(),
  why,
};

export const mayWords = ['yes', 'ask', 'no'] as const;

const rule = z.strictObject({
  who: listOf(who),
  may: z.enum(mayWords, { error: 'yes, no or ask' }),
  ...about,
});

export const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
const dayForm = 'days such as mon or sat';
const clockForm = 'a time of the day such as 22:00';
/** Minutes since midnight. */
const clock = z
  .string({ error: clockForm })
  .regex(/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/, clockForm)
  .transform((text) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3)));

const zoneForm = 'an IANA time zone such as Europe/Vienna';
const zone = z
  .string({ error: zoneForm })
  .refine((text) => canonicalTimeZone(text) !== undefined, zoneForm)
  .transform((text) => canonicalTimeZone(text) ?? text);

const changeWindow = z
  .strictObject({
    days: listOf(z.enum(weekdays, { error: dayForm })).default([...weekdays]),
    from: clock.default(0),
    to: clock.default(24 * 60),
    timeZone: zone.optional(),
    ...about,
  })
  .refine(({ from, to }) => from !== to && from < 24 * 60, {
    path: ['to'],
    error: 'another time than from (a whole day is from 00:00 to 24:00)',
  });
export type ChangeWindow = z.output<typeof changeWindow>;

export const approvingRoles = ['operator', 'administrator'] as const;
export type ApprovingRole = (typeof approvingRoles)[number];

const countForm = 'a number of approvers from 1 to 9';
const approval = z.strictObject({
  count: z.int({ error: countForm }).min(1, countForm).max(9, countForm).optional(),
  role: z.enum(approvingRoles, { error: 'operator or administrator' }).optional(),
  answerWithin: duration.optional(),
  executeWithin: duration.optional(),
  remindEvery: duration.optional(),
  signed: z.boolean({ error: 'true or false' }).optional(),
  ...about,
});

/** Before what a snapshot of the guest is taken. */
const snapshotFirst = z.strictObject({ ...about });

export const webhookKeys = ['ONCALL_WEBHOOK_URL', 'SLACK_WEBHOOK_URL', 'DISCORD_WEBHOOK_URL'] as const;
const webhookForm = `the key of .env that holds its URL, which is a secret: ${webhookKeys.join(', ')}`;
const levelForm = 'a level from 1 to 4';
const addressForm = 'a mail address';

const contact = z
  .strictObject({
    name: z.string({ error: 'a name' }).min(1, 'a name').max(100, 'at most 100 characters'),
    mail: listOf(z.email({ error: addressForm }).max(254, addressForm), 20).optional(),
    level: z.int({ error: levelForm }).min(1, levelForm).max(4, levelForm),
    subjects: listOf(z.enum(subjects, { error: subjects.join(', ') })).optional(),
    webhook: z.enum(webhookKeys, { error: webhookForm }).optional(),
  })
  .refine(({ mail, webhook }) => mail !== undefined || webhook !== undefined, {
    path: ['mail'],
    error: 'an address (mail) or a webhook, else nothing reaches this contact',
  });
export type Contact = z.output<typeof contact>;

const escalation = z.strictObject({
  level2: duration.optional(),
  level3: duration.optional(),
  level4: duration.optional(),
  all: duration.optional(),
  repeat: duration.optional(),
});

/** The document of a policy. `dangerousCommands` is put in from `.env`, which has it as the guide says. */
export const policySchema = z.strictObject({
  rules: z.array(rule, { error: 'a list of rules' }).max(500, 'at most 500 rules').default([]),
  protected: targets.default({}),
  windows: z.array(changeWindow, { error: 'a list of windows' }).max(200, 'at most 200 windows').default([]),
  approvals: z.array(approval, { error: 'a list of approvals' }).max(200, 'at most 200 of them').default([]),
  snapshotFirst: z.array(snapshotFirst, { error: 'a list of entries' }).max(200, 'at most 200 of them').default([]),
  contacts: z.array(contact, { error: 'a list of contacts' }).max(200, 'at most 200 contacts').default([]),
  escalation: escalation.default({}),
  dangerousCommands: z.boolean().default(false),
});

/** As it is written, and as the ledger keeps it. */
export type PolicyDocument = z.input<typeof policySchema>;
type Parsed = z.output<typeof policySchema>;

/** Where an entry stands: `policy.yaml:12`. */
interface Placed {
  readonly at: string;
}
export type Rule = Parsed['rules'][number] & Placed;
export type Window = ChangeWindow & Placed;
export type Approval = Parsed['approvals'][number] & Placed;
export type SnapshotFirst = Parsed['snapshotFirst'][number] & Placed;
/** What a rule, a window, an approval or a snapshot is about. */
export type About = Pick<Rule, 'operations' | 'risks' | 'on'>;

/** A whole policy. Every key that isn't written has its default. */
export interface Policy {
  readonly rules: readonly Rule[];
  readonly protected: Targets & Placed;
  readonly windows: readonly Window[];
  readonly approvals: readonly Approval[];
  readonly snapshotFirst: readonly SnapshotFirst[];
  readonly contacts: readonly Contact[];
  readonly escalation: Parsed['escalation'];
  readonly dangerousCommands: boolean;
}

/** Gives every entry its place. */
export function placed(parsed: Parsed, at: (path: readonly (string | number)[]) => string): Policy {
  const put = <Entry extends object>(key: string, entries: readonly Entry[]) =>
    entries.map((entry, index) => ({ ...entry, at: at([key, index]) }));
  return {
    ...parsed,
    rules: put('rules', parsed.rules),
    protected: { ...parsed.protected, at: at(['protected']) },
    windows: put('windows', parsed.windows),
    approvals: put('approvals', parsed.approvals),
    snapshotFirst: put('snapshotFirst', parsed.snapshotFirst),
  };
}

/** What holds where nobody wrote or approved anything. */
export const defaultPolicy: Policy = placed(policySchema.parse({}), () => 'the default');
