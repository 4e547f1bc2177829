import { readFile } from 'node:fs/promises';
import type { ServerHostKeyAlgorithm } from 'ssh2';
import type { SshConfig } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import { fingerprint, type HostKey, hostKeyFromBlob, type KnownKeys, lookUpHost, sameKey } from './known-hosts.ts';

/** What ssh2 can verify, by the type of the key that is pinned. SHA-1 signatures of RSA keys are not asked for. */
const algorithmsByType: Readonly<Record<string, readonly ServerHostKeyAlgorithm[]>> = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
};

export const keyTypes: readonly string[] = Object.keys(algorithmsByType);

/** Algorithms with which a server proves that it holds keys of these types; unknown types have none. */
export function hostKeyAlgorithms(types: readonly string[]): ServerHostKeyAlgorithm[] {
  return [...new Set(types)].flatMap((type) => algorithmsByType[type] ?? []);
}

/** The host's pinned keys. Throws `host-key-unknown` when there are none, `configuration` when the file is unreadable. */
export async function pinnedKeys(name: string, ssh: SshConfig): Promise<KnownKeys> {
  const text = await readFile(ssh.knownHostsPath, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw new ServiceError({
      code: 'configuration',
      message: `The known hosts file ${ssh.knownHostsPath} can't be read (${error.code})`,
      remedy: 'Let the user of this service read it.',
      cause: error,
    });
  });
  const known = lookUpHost(text, ssh.host, ssh.port);
  if (hostKeyAlgorithms(known.pinned.map((key) => key.type)).length === 0) throw unknown(name, ssh, known);
  return known;
}

/**
 * Judges the key that a server shows. Undefined: it is the pinned one. Otherwise the error to end the connection with.
 */
export function judgeHostKey(name: string, ssh: SshConfig, known: KnownKeys, blob: Buffer): ServiceError | undefined {
  const shown = hostKeyFromBlob(blob);
  if (shown !== undefined && known.revoked.some((key) => sameKey(key, shown))) return revoked(name, ssh, shown);
  if (shown !== undefined && known.pinned.some((key) => sameKey(key, shown))) return undefined;
  return hostKeyChanged(name, ssh, known, shown);
}

/** The server shows another key than the pinned one, or has none of the pinned one's type any more. */
export function hostKeyChanged(name: string, ssh: SshConfig, known: KnownKeys, shown?: HostKey): ServiceError {
  const pinned = known.pinned.map(describe).join(', ');
  const now = shown === undefined ? 'no key of that type' : describe(shown);
  return new ServiceError({
    code: 'host-key-changed',
    message: `${name} (${ssh.host}:${ssh.port}) shows ${now}, but ${pinned} is pinned in ${ssh.knownHostsPath}: the host was installed anew, or something between here and it pretends to be it`,
    remedy: `Compare with "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" on the host's own console; if it is the same as shown, pin it again with: npx proxmox-mcp host add ${name}.`,
    details: { host: name, pinned, shown: now },
  });
}

function unknown(name: string, ssh: SshConfig, known: KnownKeys): ServiceError {
  const malformed = known.malformed.length > 0 ? ` (its line ${known.malformed.join(', ')} can't be read)` : '';
  return new ServiceError({
    code: 'host-key-unknown',
    message: `No usable key of ${name} (${ssh.host}:${ssh.port}) is pinned in ${ssh.knownHostsPath}${malformed}, so nothing was sent to it`,
    remedy: `Pin its key: npx proxmox-mcp host add ${name} shows the fingerprint and asks.`,
    details: { host: name },
  });
}

function revoked(name: string, ssh: SshConfig, shown: HostKey): ServiceError {
  return new ServiceError({
    code: 'host-key-changed',
    message: `${name} (${ssh.host}:${ssh.port}) shows ${describe(shown)}, which ${ssh.knownHostsPath} marks as revoked`,
    remedy: `Give the host a new key (ssh-keygen -A on the host), then: npx proxmox-mcp host add ${name}.`,
    details: { host: name, shown: describe(shown) },
  });
}

function describe(key: HostKey): string {
  return `${key.type} ${fingerprint(key)}`;
}
