import { z } from 'zod';
import { count, keyValues, many, nothing, one, optional } from '../answer.ts';
import { exits, identity } from '../approve/plans.ts';
import { backup, functions, seal } from '../back-up/parameters.ts';
import { defineCommand, type ShellFunctions } from '../command.ts';
import { unverified } from '../shared/exits.ts';
import { stop } from '../shared/functions.ts';

// A copy that comes back to a host, by an administrator's own login: the helper knows none of it, so that who has the service's
// key can bring nothing.

const incoming: ShellFunctions = new URL('./incoming.sh', import.meta.url);

/** Makes the folder that a backup is brought into, root's alone and empty. */
export const openIncoming = defineCommand({
  name: 'open-incoming',
  summary: 'Make the empty folder that a copy of a backup is brought into, and say what the host knows of that backup',
  doing: ({ backup }) => `Preparing for ${backup}`,
  as: 'administrator',
  risk: 'change',
  job: false,
  parameters: [backup],
  script: new URL('./open-incoming.sh', import.meta.url),
  uses: [functions, incoming],
  timeoutMs: 60_000,
  answer: keyValues({
    state: one(z.enum(['verified', 'doubted', 'changed', 'unsealed', 'unproven', 'gone'])),
    host: optional(identity),
    free: one(count),
  }),
});

/**
 * Takes what lies in the host's own backup folder and has no record there, as after a new installation on the same disk: it is
 * brought from there, so that what is admitted is what was read.
 */
export const takeIncoming = defineCommand({
  name: 'take-incoming',
  summary: 'Bring an archive without a record, with its manifest and seal, from the backup folder of the host itself',
  doing: ({ backup }) => `Copying what lies there of ${backup}`,
  as: 'administrator',
  risk: 'change',
  job: false,
  parameters: [backup],
  script: new URL('./take-incoming.sh', import.meta.url),
  uses: [functions, stop, incoming],
  timeoutMs: 2 * 3_600_000,
  answer: keyValues({
    manifest: one(z.string().regex(/^[0-9a-f]{64}$/)),
    archive: one(z.string().regex(/^[0-9a-f]{64}$/)),
    sealed: one(z.string().regex(/^[0-9a-f]{128}$/)),
    seal: one(z.string().regex(/^[A-Za-z0-9+/=]{1,30000}$/)),
    says: many(z.string()),
  }).transform(({ seal: base64, ...rest }) => ({ ...rest, seal: Buffer.from(base64, 'base64').toString('latin1') })),
  exits: {
    9: unverified,
    17: { code: 'conflict', remedy: 'Look at it: npx proxmox-mcp list-backups --host HOST' },
  },
});

export const dropIncoming = defineCommand({
  name: 'drop-incoming',
  summary: 'Remove what was brought of a backup and not admitted',
  doing: ({ backup }) => `Removing what was brought of ${backup}`,
  as: 'administrator',
  risk: 'change',
  job: false,
  parameters: [backup],
  script: new URL('./drop-incoming.sh', import.meta.url),
  uses: [functions, incoming],
  timeoutMs: 60_000,
  answer: nothing,
});

/** Reads what was brought, whole, and lets it count. Exit code 12: this host didn't seal it, and nobody has signed it. */
export const admitIncoming = defineCommand({
  name: 'admit-incoming',
  summary: 'Let a backup count that was brought: sealed by this host, or signed by one of its administrators',
  doing: ({ backup }) => `Admitting ${backup}`,
  as: 'administrator',
  risk: 'change',
  job: false,
  parameters: [backup],
  script: new URL('./admit-incoming.sh', import.meta.url),
  uses: [functions, seal, stop, incoming],
  timeoutMs: 2 * 3_600_000,
  answer: keyValues({ admitted: one(z.string().regex(/^(sealed by this host|signed by [A-Za-z0-9._@-]{1,64})$/)) }),
  fills: 'backups',
  exits: {
    9: unverified,
    11: exits[11],
    12: { code: 'not-signed', remedy: 'Sign it with a key of an administrator of the host: --sign KEYFILE.' },
    17: { code: 'already-exists', remedy: 'Look at it: npx proxmox-mcp list-backups --host HOST' },
  },
});
