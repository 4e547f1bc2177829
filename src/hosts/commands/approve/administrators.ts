import { z } from 'zod';
import { form, listing, many, nothing, words } from '../answer.ts';
import { type ChoiceParameter, defineCommand, type ExitMeaning, type PatternParameter } from '../command.ts';
import { stop } from '../shared/functions.ts';
import { administrator } from './plans.ts';

// A host's own list of those whose signatures it takes. The service can't write it: these are commands of administrators.

/** Kinds of public keys whose signatures are taken; those with `sk-` are on a security key. */
export const keyKinds = [
  'ssh-ed25519',
  'sk-ssh-ed25519@openssh.com',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'sk-ecdsa-sha2-nistp256@openssh.com',
  'ssh-rsa',
] as const;

const kind = {
  name: 'kind',
  choices: keyKinds,
  description: 'Kind of a public key',
} as const satisfies ChoiceParameter;

const key = {
  name: 'key',
  pattern: 'AAAA[A-Za-z0-9_-]{40,1400}',
  maxLength: 1_404,
  examples: ['AAAAC3NzaC1lZDI1NTE5AAAAIKv0vVC7qDRV0FhTdWaP9xC9oqKWOykcwDKH-LQLT0tq'],
  description: 'A public key in base64url',
} as const satisfies PatternParameter;

const exits = {
  10: {
    code: 'invalid-input',
    remedy: 'Give the file of a public key: ed25519, ECDSA, RSA, or one of a security key.',
  },
  11: {
    code: 'forbidden',
    remedy:
      "Use a key that only this administrator has, best one with a passphrase or on a security key, and not on the service's machine.",
  },
  12: { code: 'already-exists', remedy: 'Remove the older entry first, if this one is to take its place.' },
  13: { code: 'not-found', remedy: 'See who is on the list: npx proxmox-mcp host administrators HOST list' },
} as const satisfies Readonly<Record<number, ExitMeaning>>;

export const listAdministrators = defineCommand({
  name: 'list-administrators',
  summary: 'Whose signatures this host takes',
  doing: 'Reading the list of administrators',
  as: 'administrator',
  risk: 'read',
  job: false,
  parameters: [],
  script: new URL('./list-administrators.sh', import.meta.url),
  timeoutMs: 30_000,
  answer: listing({
    administrator: many(
      words(form(administrator), z.string(), z.string()).transform(([name, type, fingerprint]) => ({
        name,
        type,
        fingerprint,
      })),
    ),
  }).transform(({ administrator: administrators, notUnderstood }) => ({ administrators, notUnderstood })),
});

export const addAdministrator = defineCommand({
  name: 'add-administrator',
  summary: 'Put an administrator with their public key on the list',
  doing: 'Adding an administrator',
  as: 'administrator',
  risk: 'dangerous',
  job: false,
  parameters: [administrator, kind, key],
  script: new URL('./add-administrator.sh', import.meta.url),
  uses: [stop],
  timeoutMs: 30_000,
  answer: nothing,
  exits,
});

/** What they signed counts for nothing from then on, also plans that were admitted before. */
export const removeAdministrator = defineCommand({
  name: 'remove-administrator',
  summary: 'Take an administrator off the list, and with them all that they signed',
  doing: 'Removing an administrator',
  as: 'administrator',
  risk: 'dangerous',
  job: false,
  parameters: [administrator],
  script: new URL('./remove-administrator.sh', import.meta.url),
  uses: [stop],
  timeoutMs: 30_000,
  answer: nothing,
  exits,
});
