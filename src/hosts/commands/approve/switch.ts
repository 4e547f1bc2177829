import { z } from 'zod';
import { flag, form, keyValues, listing, many, optional, words } from '../answer.ts';
import { defineCommand, type PatternParameter } from '../command.ts';
import { stop } from '../shared/functions.ts';
import { administrator, exits, identity, nonce, privateFolder } from './plans.ts';

// The kill switch on the host: anybody may stop changes there, only an administrator lets them go on.

const shared = new URL('./switch.sh', import.meta.url);

const by = {
  name: 'by',
  pattern: '[A-Za-z0-9][A-Za-z0-9@._:-]{0,63}',
  maxLength: 64,
  examples: ['person:anna', 'mcp:claude', 'cli:root'],
  description: 'Who it is, as one word',
} as const satisfies PatternParameter;

const why = {
  name: 'why',
  pattern: '[A-Za-z0-9][A-Za-z0-9@._:-]{0,199}',
  maxLength: 200,
  examples: ['a_disk_of_pve1_fails', 'test'],
  description: 'Why, with _ for spaces',
} as const satisfies PatternParameter;

const openRun = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9/_.:-]{0,199} [a-z][ -~]{0,300}$/)
  .transform((line) => ({ run: line.slice(0, line.indexOf(' ')), call: line.slice(line.indexOf(' ') + 1) }));

const stopped = words(z.string().regex(/^\d{13}$/), form(by), form(why)).transform(([since, who, reason]) => ({
  since: new Date(Number(since)).toISOString(),
  by: who,
  why: reason.replaceAll('_', ' '),
}));

const state = listing({
  host: optional(identity),
  on: flag,
  stopped: optional(stopped),
  nonce: optional(form(nonce)),
  open: many(openRun),
}).transform(({ host, on, stopped: said, nonce: ofSwitch, open }) => ({
  /** What a text that lifts it has to call the host. */
  host,
  on,
  ...said,
  ...(ofSwitch !== undefined && { nonce: ofSwitch }),
  /** What was at work or begun lately when it was set, by run: those may be taken back. */
  open,
}));
export type SwitchState = z.infer<typeof state>;

/** The words of a sentence, as `stopChanges` takes them: plain ASCII, `_` for spaces, at most 200 characters. */
export function whyWord(text: string): string {
  return asWord(text, 200);
}

/** A principal as `stopChanges` takes it. */
export function byWord(principal: string): string {
  return asWord(principal, 64);
}

function asWord(text: string, max: number): string {
  const plain = text
    .normalize('NFKD')
    .replaceAll(/\s+/g, '_')
    .replaceAll('/', ':')
    .replaceAll(/[^A-Za-z0-9@._:-]/g, '')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, max);
  return plain === '' ? 'unnamed' : plain;
}

export const stopChanges = defineCommand({
  name: 'stop-changes',
  summary: 'Stop changes on this host; what is at work goes on to its end, and may be taken back',
  doing: 'Stopping changes',
  as: 'root',
  risk: 'change',
  own: true,
  job: false,
  becomesRoot: 'no',
  parameters: [by, why],
  script: new URL('./stop-changes.sh', import.meta.url),
  uses: [shared],
  timeoutMs: 30_000,
  maxOutputBytes: 256 * 1024,
  answer: state,
});

export const switchState = defineCommand({
  name: 'switch-state',
  summary: 'Whether changes are stopped on this host, since when, by whom and why',
  doing: 'Looking whether changes are stopped',
  as: 'root',
  risk: 'read',
  job: false,
  becomesRoot: 'no',
  parameters: [],
  script: new URL('./switch-state.sh', import.meta.url),
  uses: [shared],
  timeoutMs: 15_000,
  maxOutputBytes: 256 * 1024,
  answer: state,
});

/** Reads the signature of `allowChangesText` (`../../signed-plan.ts`). Where changes aren't stopped it does nothing. */
export const allowChanges = defineCommand({
  name: 'allow-changes',
  summary: 'Let changes go on, where an administrator has signed that for this host and this stop',
  doing: 'Verifying the signature that lets changes go on',
  as: 'root',
  risk: 'change',
  own: true,
  job: false,
  becomesRoot: 'no',
  readsInput: true,
  parameters: [],
  script: new URL('./allow-changes.sh', import.meta.url),
  uses: [stop, privateFolder],
  timeoutMs: 30_000,
  answer: keyValues({ allowed: optional(form(administrator)) }).transform(({ allowed }) => ({ signer: allowed })),
  exits,
});

export const showStop = defineCommand({
  name: 'show-stop',
  summary: 'Whether changes are stopped, since when, by whom and why',
  doing: 'Looking whether changes are stopped',
  as: 'administrator',
  risk: 'read',
  job: false,
  parameters: [],
  script: new URL('./show-stop.sh', import.meta.url),
  timeoutMs: 30_000,
  answer: keyValues({ on: flag, stopped: optional(stopped) }).transform(({ on, stopped: said }) => ({ on, ...said })),
});

export const liftStop = defineCommand({
  name: 'lift-stop',
  summary: 'Let changes go on, by hand',
  doing: 'Letting changes go on',
  as: 'administrator',
  risk: 'dangerous',
  job: false,
  parameters: [],
  script: new URL('./lift-stop.sh', import.meta.url),
  timeoutMs: 30_000,
  answer: keyValues({ lifted: flag }),
});
