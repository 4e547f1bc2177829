import { readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import {
  removeFromDotenv,
  removeFromHostsFile,
  removeHostFromHostsFile,
  setInDotenv,
  setInHostsFile,
} from '../config/edit.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { HostConfig, ProxmoxApiConfig, SshConfig } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { fingerprint as fingerprintOf, lookUpHost } from '../hosts/ssh/known-hosts.ts';
import { refuseSameKey } from '../hosts/ssh/same-host.ts';
import { pinHostKey, type ScannedKey, scanHostKeys } from '../hosts/ssh/scan.ts';
import { replacePrivateFile } from '../private-file.ts';
import { probeCertificate } from '../proxmox/certificate.ts';
import { ask, isYes, note } from './terminal.ts';

/**
 * Shows the SSH keys of a host, asks, and pins them; with an expected fingerprint only that key, without asking. `others`: the
 * hosts that it could be, under another name; refused where it shows a key of theirs.
 */
export async function pinSshHost(
  name: string,
  ssh: SshConfig,
  { expected, others }: { readonly expected: string | undefined; readonly others: readonly HostConfig[] },
): Promise<void> {
  const { host, port, knownHostsPath } = ssh;
  const keys = await scanHostKeys(
    host,
    port,
    expected === undefined ? {} : { enough: ({ fingerprint }) => fingerprint === expected },
  );
  note(`${name} (${host}:${port}) shows these SSH keys:`);
  for (const { fingerprint, type } of keys) note(`  ${fingerprint}  ${type}`);
  const wanted = expected === undefined ? keys : keys.filter(({ fingerprint }) => fingerprint === expected);
  if (wanted.length === 0) throw fingerprintMismatch(name, 'SSH key', expected ?? 'none');
  refuseSameKey(name, keys, others);
  const pinned = lookUpHost(readIfThere(knownHostsPath)?.text ?? '', host, port).pinned.map((key) =>
    fingerprintOf(key),
  );
  if (wanted.every(({ fingerprint }) => pinned.includes(fingerprint))) return note('They are pinned already.');
  const replaced = pinned.filter((one) => !wanted.some(({ fingerprint }) => fingerprint === one));
  if (replaced.length > 0) note(`Others are pinned now, and would be replaced:\n  ${replaced.join('\n  ')}`);
  if (expected === undefined) {
    note('Compare them on the console of the host: for f in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $f; done');
    await confirm(
      `Are they the same? Type yes to pin them: `,
      keys.map(({ fingerprint }) => fingerprint),
      '--fingerprint SHA256:…',
    );
  }
  await pinHostKey(
    knownHostsPath,
    host,
    port,
    wanted.map((key: ScannedKey) => key.line),
  );
  note(`Pinned in ${knownHostsPath}.`);
}

/** Shows the API's certificate, asks, and answers what to write as PROXMOX_FINGERPRINT; `undefined` where it needs no pin. */
export async function confirmCertificate(
  name: string,
  { host, port, trust }: Pick<ProxmoxApiConfig, 'host' | 'port' | 'trust'>,
  expected: string | undefined,
): Promise<string | undefined> {
  const { fingerprint, subject, issuer, validTo, trusted } = await probeCertificate(host, port);
  note(`${name} (${host}:${port}) shows this API certificate:`);
  note(
    `  SHA-256 ${fingerprint}\n  ${subject}, signed by ${issuer}, valid until ${validTo.toISOString().slice(0, 10)}`,
  );
  if (validTo.getTime() < Date.now()) {
    note('  It has EXPIRED: renew it on the host first (pvenode acme cert order, or pvecm updatecerts --force).');
  }
  if (expected !== undefined) {
    if (expected !== fingerprint) throw fingerprintMismatch(name, 'API certificate', expected);
    return fingerprint;
  }
  if (trust.kind === 'ca-file') note(`It is trusted through ${trust.path}.`);
  if (trust.kind === 'system' && trusted === true)
    note('It is signed by a CA that this machine trusts, so it needs no pin.');
  if (trust.kind === 'ca-file' || (trust.kind === 'system' && trusted === true)) return undefined;
  if (trust.kind === 'fingerprint' && trust.sha256 === fingerprint) {
    note('It is pinned already.');
    return undefined;
  }
  note('Compare it on the host: pvenode cert info (or in the web interface: Node, System, Certificates).');
  await confirm('Is it the same? Type yes to pin it: ', [fingerprint], '--api-fingerprint AA:BB:…');
  return fingerprint;
}

/** Writes a host's keys where the host is described; says what to write where that isn't a file. */
export function writeHostKeys(
  loaded: LoadedConfig,
  name: string,
  values: Readonly<Record<string, string | number>>,
  isNew: boolean,
): void {
  const inHostsFile = isNew || [...loaded.settings.keys()].some((key) => key.startsWith(`${name}.`));
  const path = join(loaded.folder, inHostsFile ? 'hosts.yaml' : '.env');
  const before = readIfThere(path);
  if (!inHostsFile && before === undefined) {
    const lines = Object.entries(values).map(([key, value]) => `${key}=${value}`);
    note(`The host is described by the environment; set there:\n  ${lines.join('\n  ')}`);
    return;
  }
  const text = inHostsFile
    ? setInHostsFile(before?.text ?? '', name, values)
    : Object.entries(values).reduce(
        (edited, [key, value]) => setInDotenv(edited, key, String(value)),
        before?.text ?? '',
      );
  // A new hosts.yaml is read by whoever reads .env.
  replacePrivateFile(before?.path ?? path, text, join(loaded.folder, '.env'));
  note(`Wrote ${Object.keys(values).join(', ')} to ${before?.path ?? path}.`);
}

/** Takes keys of a host out again, where they stand in a file; those of the environment are a person's own. */
export function removeHostKeys(loaded: LoadedConfig, name: string, keys: readonly string[]): void {
  edit(loaded, name, (text) => removeFromHostsFile(text, name, keys), keys);
}

/** Takes a host out that has nothing else than these keys to be reached by. */
export function removeHost(loaded: LoadedConfig, name: string, keys: readonly string[]): void {
  edit(loaded, name, (text) => removeHostFromHostsFile(text, name), keys);
}

function edit(
  loaded: LoadedConfig,
  name: string,
  inHostsFile: (text: string) => string,
  keys: readonly string[],
): void {
  const isInHostsFile = [...loaded.settings.keys()].some((key) => key.startsWith(`${name}.`));
  const path = join(loaded.folder, isInHostsFile ? 'hosts.yaml' : '.env');
  const before = readIfThere(path);
  if (before === undefined) return;
  const text = isInHostsFile ? inHostsFile(before.text) : removeFromDotenv(before.text, keys);
  if (text !== before.text) replacePrivateFile(before.path, text, join(loaded.folder, '.env'));
}

/** A symbolic link stays one: what it leads to is replaced. */
function readIfThere(path: string): { readonly text: string; readonly path: string } | undefined {
  try {
    const real = realpathSync(path);
    return { text: readFileSync(real, 'utf8'), path: real };
  } catch {
    return undefined;
  }
}

/** Throws unless a person says yes, or types one of the fingerprints; where nobody can be asked, it names the option to give instead. */
async function confirm(question: string, shown: readonly string[], option: string): Promise<void> {
  const answer = await ask(question);
  if (isYes(answer) || (answer !== undefined && shown.includes(answer))) return;
  throw new ServiceError(
    answer === undefined
      ? {
          code: 'invalid-input',
          message: 'Nobody can be asked to compare the fingerprint (no terminal), so nothing was pinned',
          remedy: `Give the one you expect: ${option}`,
        }
      : {
          code: 'cancelled',
          // Only who has said no has seen a difference.
          message: 'Nothing was pinned',
          remedy: /^no?$/i.test(answer)
            ? 'If they differ, find out why before you connect: somebody may be between this machine and the host.'
            : 'Run it again, and answer yes when they are the same.',
        },
  );
}

function fingerprintMismatch(name: string, what: string, expected: string): ServiceError {
  return new ServiceError({
    code: 'verification-failed',
    message: `${name} shows no ${what} with the fingerprint ${expected}, so nothing was pinned`,
    remedy:
      'Check the fingerprint and the address; if both are right, somebody may be between this machine and the host.',
  });
}
