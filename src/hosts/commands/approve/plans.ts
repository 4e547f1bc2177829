import { z } from 'zod';
import { flag, form, keyValues, listing, many, one, optional, words } from '../answer.ts';
import { defineCommand, type ExitMeaning, type PatternParameter } from '../command.ts';
import { stop } from '../shared/functions.ts';

// What an administrator signs, and the host verifies before it executes it.

export const nonce = {
  name: 'nonce',
  pattern: '[0-9a-f]{32}',
  maxLength: 32,
  examples: ['0123456789abcdef0123456789abcdef'],
  description: 'What a signed text is told from others by: 32 hexadecimal digits',
} as const satisfies PatternParameter;

export const administrator = {
  name: 'administrator',
  pattern: '[A-Za-z0-9][A-Za-z0-9._@-]{0,63}',
  maxLength: 64,
  examples: ['anna', 'anna.b@example.com'],
  description: 'Name of an administrator: letters, digits and . _ @ -',
} as const satisfies PatternParameter;

/** What signed texts call a host: its own name, and the id of the machine. Only root on the host can change either. */
export const identity = words(
  z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$/, 'expected the name of a host'),
  z.string().regex(/^[0-9a-f]{1,64}$/, 'expected the id of a machine'),
).transform(([name, machine]) => `${name} ${machine}`);

export const privateFolder = new URL('./private-folder.sh', import.meta.url);

export const exits = {
  10: { code: 'invalid-input', remedy: 'Sign the text exactly as it was given, and send that and its signature.' },
  11: {
    code: 'not-signed',
    remedy: 'Nothing was changed. Sign again with a key that `npx proxmox-mcp host administrators HOST` lists.',
  },
} as const satisfies Readonly<Record<number, ExitMeaning>>;

/** Throws `not-signed` for a text that isn't signed by an administrator of this host, for this host, in time, and for the first time. */
export const admitPlan = defineCommand({
  name: 'admit-plan',
  summary: 'Verify a plan that an administrator has signed, so that its calls may be executed, each once',
  doing: 'Verifying the signature of a plan',
  as: 'root',
  risk: 'change',
  own: true,
  job: false,
  becomesRoot: 'no',
  readsInput: true,
  parameters: [nonce],
  script: new URL('./admit-plan.sh', import.meta.url),
  uses: [stop, privateFolder],
  timeoutMs: 30_000,
  answer: keyValues({ admitted: one(form(administrator)) }).transform(({ admitted }) => ({ signer: admitted })),
  exits,
});

export const approvalState = defineCommand({
  name: 'approval-state',
  summary: 'What signed plans call this host, who may sign, and which commands root wants signed',
  doing: 'Looking at who may sign plans',
  as: 'root',
  risk: 'read',
  job: false,
  becomesRoot: 'no',
  parameters: [],
  script: new URL('./approval-state.sh', import.meta.url),
  timeoutMs: 15_000,
  answer: listing({
    host: optional(identity),
    verifies: flag,
    administrator: many(form(administrator)),
    signed: many(z.string().regex(/^[a-z][a-z0-9-]{1,40}$/)),
  }).transform(({ host, verifies, administrator: administrators, signed }) => ({
    /** What a plan's text has to call it. Undefined: the host has no identity, so nothing can be signed for it. */
    host,
    /** Its ssh-keygen can verify signatures: OpenSSH 8.2 or newer. */
    verifies,
    administrators,
    /** Names of commands, `all-dangerous`, or `everything` where others than root could write the list. */
    signed,
  })),
});
