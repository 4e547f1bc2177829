import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { HostConfig } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import {
  addAdministrator,
  keyKinds,
  listAdministrators,
  removeAdministrator,
} from '../commands/approve/administrators.ts';
import { liftStop, showStop } from '../commands/approve/switch.ts';
import { checkArguments } from '../helper/resolve.ts';
import { type Access, runBrought, withAdministrator } from './brought.ts';
import { publicKeyOf } from './service-key.ts';

// Whose signatures a host takes, and that changes go on there: by an administrator's own login, never by the service.

/** One line of a host's list. */
export interface ListedAdministrator {
  readonly name: string;
  readonly type: string;
  /** `SHA256:…` */
  readonly fingerprint: string;
}

/** A public key as it is in its file. */
export interface PublicKey {
  readonly kind: (typeof keyKinds)[number];
  readonly base64: string;
  readonly fingerprint: string;
}

type Agree = (plan: readonly string[]) => Promise<boolean>;

/** Who is on a host's list. Throws what connecting and becoming root throw. */
export async function administratorsOf(host: HostConfig, access: Access): Promise<readonly ListedAdministrator[]> {
  return await withAdministrator(host, access, async (admin) => {
    return (await runBrought(admin, host, listAdministrators, {})).administrators;
  });
}

/**
 * Puts an administrator on a host's list, after `agree` has said yes. Throws `forbidden` for the service's own key,
 * `already-exists` for a name or key that is on it, `invalid-input` for what the host takes for no key.
 */
export async function addToHost(
  host: HostConfig,
  { name, key }: { readonly name: string; readonly key: PublicKey },
  { agree, ...access }: Access & { readonly agree: Agree },
): Promise<'added' | 'declined'> {
  const args = {
    administrator: name,
    kind: key.kind,
    key: key.base64.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, ''),
  };
  checkArguments(addAdministrator, args, host);
  if (host.ssh !== undefined && publicKeyOf(host.ssh.keyPath)?.split(' ')[1] === key.base64) throw ownKey(host);
  const plan = [
    `take signatures by ${key.kind} ${key.fingerprint} for those of ${name}`,
    `with it, ${name} decides alone about what ${host.name} executes only when it is signed, and when changes go on`,
  ];
  if (!(await agree(plan))) return 'declined';
  await withAdministrator(host, access, async (admin) => {
    await runBrought(admin, host, addAdministrator, args);
    const { administrators } = await runBrought(admin, host, listAdministrators, {});
    if (administrators.some((one) => one.name === name && one.fingerprint === key.fingerprint)) return;
    throw new ServiceError({
      code: 'verification-failed',
      message: `${name} was added on ${host.name}, but the list there doesn't show it`,
      remedy: `Look at ${host.layout.state}/administrators on ${host.name} as root.`,
    });
  });
  return 'added';
}

/** Takes an administrator off a host's list, after `agree` has said yes. Throws `not-found` for who isn't on it. */
export async function removeFromHost(
  host: HostConfig,
  name: string,
  { agree, ...access }: Access & { readonly agree: Agree },
): Promise<'removed' | 'declined'> {
  checkArguments(removeAdministrator, { administrator: name }, host);
  return await withAdministrator(host, access, async (admin) => {
    const { administrators } = await runBrought(admin, host, listAdministrators, {});
    const isLast = administrators.length === 1 && administrators[0]?.name === name;
    const plan = [
      `take no signature of ${name} any more, also of plans that were admitted before`,
      ...(isLast ? ['nobody is left then: what needs a signature is not executed there'] : []),
    ];
    if (!(await agree(plan))) return 'declined';
    await runBrought(admin, host, removeAdministrator, { administrator: name });
    return 'removed';
  });
}

/** Lets changes go on on a host, after `agree` has said yes. */
export async function allowChangesOn(
  host: HostConfig,
  {
    agree,
    ...access
  }: Access & { readonly agree: (stop: { since?: string; by?: string; why?: string }) => Promise<boolean> },
): Promise<'allowed' | 'not-stopped' | 'declined'> {
  return await withAdministrator(host, access, async (admin) => {
    const { on, ...stop } = await runBrought(admin, host, showStop, {});
    if (!on) return 'not-stopped';
    if (!(await agree(stop))) return 'declined';
    await runBrought(admin, host, liftStop, {});
    return 'allowed';
  });
}

/** Reads the file of a public key, `ssh-ed25519 AAAA… comment`. Throws `invalid-input`. */
export function readPublicKey(file: string): PublicKey {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw notAKey(file, 'it can’t be read', cause);
  }
  if (/PRIVATE KEY/.test(text)) throw notAKey(file, 'this is a private key, which nobody else should have');
  const [type = '', base64 = ''] = text.trim().split(/\s+/);
  const kind = keyKinds.find((known) => known === type);
  if (kind === undefined || !/^AAAA[A-Za-z0-9+/]+=*$/.test(base64))
    throw notAKey(file, 'it begins with no kind of key');
  const digest = createHash('sha256').update(Buffer.from(base64, 'base64')).digest('base64').replace(/=+$/, '');
  return { kind, base64, fingerprint: `SHA256:${digest}` };
}

function notAKey(file: string, why: string, cause?: unknown): ServiceError {
  return new ServiceError({
    code: 'invalid-input',
    message: `${file} is no public key: ${why}`,
    remedy: `Give the file that ends with .pub, of one of these kinds: ${keyKinds.join(', ')}.`,
    cause,
  });
}

function ownKey({ name }: HostConfig): ServiceError {
  return new ServiceError({
    code: 'forbidden',
    message: `This is the key by which the service itself logs in on ${name}: who has it would sign for themselves`,
    remedy: 'Use a key that only the administrator has, best one with a passphrase or on a security key.',
  });
}
