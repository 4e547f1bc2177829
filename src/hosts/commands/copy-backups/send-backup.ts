import { z } from 'zod';
import { flag, form, listing, many, one, said } from '../answer.ts';
import { backup, functions, seal } from '../back-up/parameters.ts';
import { type ChoiceParameter, defineCommand, type ShellFunctions } from '../command.ts';
import { unverified } from '../shared/exits.ts';
import { stop } from '../shared/functions.ts';

// Sending a backup off its host.

const copies: ShellFunctions = new URL('./copies.sh', import.meta.url);

const how = {
  name: 'how',
  choices: ['age', 'plain'],
  description: 'age: encrypted by the host to those whom root has named; plain: as it is, where root has allowed that',
} as const satisfies ChoiceParameter;

/** What tar says at its end: how long what it wrote is, before it was encrypted. */
const totals = said.transform(({ stderr }, context) => {
  const [, bytes] = /^Total bytes written: (\d{1,15})\b/m.exec(stderr) ?? [];
  if (bytes !== undefined) return { plainBytes: Number(bytes) };
  context.addIssue('expected how much was sent');
  return z.NEVER;
});

/**
 * Sends a published backup to standard output: a tar of its manifest, the manifest's seal and the archive. Who has the
 * service's key gets no more by it than an encrypted copy, unless root has allowed `plain`.
 */
export const sendBackup = defineCommand({
  name: 'send-backup',
  summary: 'Send a verified archive with its sealed manifest, encrypted to those whom root has named',
  doing: ({ backup }) => `Sending the archive ${backup}`,
  as: 'root',
  risk: 'read',
  job: false,
  becomesRoot: 'no',
  streamsOutput: true,
  parameters: [backup, how],
  script: new URL('./send-backup.sh', import.meta.url),
  uses: [functions, seal, stop, copies],
  forms: [backup],
  // Whoever takes it gives up much sooner when nothing comes any more.
  timeoutMs: 24 * 3_600_000,
  answer: totals,
  exits: {
    9: unverified,
    13: {
      code: 'configuration',
      remedy: 'Set BACKUP_RECIPIENTS (and BACKUP_ENCRYPTION), then run: npx proxmox-mcp host install HOST',
    },
    14: {
      code: 'configuration',
      remedy:
        'Install it on the host as root: apt-get install age. Or set BACKUP_ENCRYPTION=service; docs/copies.md says what that costs.',
    },
  },
});

/** What the host would send, and to whom it encrypts. */
export const copyState = defineCommand({
  name: 'copy-state',
  summary: 'To whom root has copies of backups encrypted, and which archives can be sent',
  doing: 'Looking at what can be copied',
  as: 'root',
  risk: 'read',
  job: false,
  becomesRoot: 'no',
  parameters: [],
  script: new URL('./copy-state.sh', import.meta.url),
  uses: [functions, copies],
  forms: [backup],
  timeoutMs: 60_000,
  maxOutputBytes: 1024 * 1024,
  answer: listing({
    encryption: one(z.enum(['host', 'service'])),
    age: flag,
    recipient: many(z.string().regex(/^(age1[a-z0-9]+|ssh-[!-~]+ [!-~]+( .*)?)$/)),
    sendable: many(form(backup)),
    brought: many(form(backup)),
  }).transform(({ encryption, age, recipient, sendable, brought, notUnderstood }) => ({
    encryption,
    /** The program `age` is there. */
    hasAge: age,
    recipients: recipient,
    /** Ids of archives that are verified and have a sealed manifest. */
    sendable,
    /** Ids of backups that were brought a day ago and never admitted: they lie there decrypted. */
    brought,
    notUnderstood,
  })),
});
export type CopyState = z.output<typeof copyState.answer>;
