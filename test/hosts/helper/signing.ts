import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  addAdministrator,
  listAdministrators,
  removeAdministrator,
} from '../../../src/hosts/commands/approve/administrators.ts';
import { admitPlan, approvalState } from '../../../src/hosts/commands/approve/plans.ts';
import { allowChanges, liftStop, stopChanges, switchState } from '../../../src/hosts/commands/approve/switch.ts';
import type { Command } from '../../../src/hosts/commands/command.ts';
import { type PlanToSign, planText } from '../../../src/hosts/signed-plan.ts';
import { signatureNamespace } from '../../../src/ssh-signature.ts';
import { sampleCommands } from './sample.ts';

/** The commands of the tests, and those by which plans are signed and changes stopped. */
export const signingCommands: readonly Command[] = [
  ...sampleCommands,
  ...[admitPlan, approvalState, allowChanges, stopChanges, switchState],
  ...[addAdministrator, listAdministrators, removeAdministrator, liftStop],
];

export interface Key {
  readonly path: string;
  /** `ssh-ed25519 AAAA…` */
  readonly publicKey: string;
}

export function newKey(folder: string, name: string): Key {
  const path = join(folder, name);
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', path]);
  return { path, publicKey: readFileSync(`${path}.pub`, 'utf8').split(' ').slice(0, 2).join(' ') };
}

/** As an administrator does it. */
export function sign(key: Key, text: string, namespace = signatureNamespace): string {
  return execFileSync('ssh-keygen', ['-q', '-Y', 'sign', '-n', namespace, '-f', key.path], {
    input: text,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'ignore'],
  });
}

/** As `add-administrator` writes it. */
export const listLine = (name: string, { publicKey }: Key) =>
  `${name} namespaces="${signatureNamespace}" ${publicKey}\n`;

export const newNonce = () => randomBytes(16).toString('hex');

/** A plan for a host, with a nonce of its own. */
export function planFor(host: string, calls: readonly string[], more: Partial<PlanToSign> = {}) {
  const plan = {
    ...{ host, run: 'test/here', digest: 'a'.repeat(64), nonce: newNonce(), calls },
    expires: new Date(Date.now() + 3_600_000).toISOString(),
    ...more,
  };
  return { ...plan, text: planText(plan) };
}
