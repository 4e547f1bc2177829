import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ServiceError } from '../../errors.ts';
import { ownerFor } from '../../owner.ts';
import { fileError, syncFolder } from '../execution/partial.ts';
import { showHostKey } from './connect.ts';
import { connectError } from './connect-error.ts';
import { fingerprint, hostKeyFromBlob, knownHostsLine, pinnedText } from './known-hosts.ts';
import { defaultLimits } from './limits.ts';

export interface ScannedKey {
  /** `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa` … */
  readonly type: string;
  /** `SHA256:…`, as `ssh-keygen -l` prints it. */
  readonly fingerprint: string;
  /** What pins this key in a known_hosts file. */
  readonly line: string;
}

/** The best first. */
const scannedTypes = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'ssh-rsa',
] as const;

/**
 * The host keys that a server shows, trusting none: the first connection says which types it has, and each further type
 * costs one more, until `enough`. Each ends before authentication. Compare a fingerprint with what the host's own console
 * says, then {@link pinHostKey}.
 *
 * @param enough whether the key that was just shown is the one that was looked for
 *
 * Throws `host-unreachable`.
 */
export async function scanHostKeys(
  host: string,
  port: number,
  { connectMs = defaultLimits.connectMs, enough = () => false }: ScanOptions = {},
): Promise<ScannedKey[]> {
  const keys: ScannedKey[] = [];
  // One after the other: sshd drops connections at random when many are unauthenticated (MaxStartups).
  for (let types: readonly string[] = scannedTypes; types.length > 0; ) {
    const shown = await showHostKey(host, port, types, connectMs).catch((error) => {
      const ssh = { host, port, user: '', keyPath: '', knownHostsPath: '' };
      throw connectError(host, ssh, { ...defaultLimits, connectMs }, error);
    });
    const { key } = shown;
    if (key === undefined) break;
    const scanned = { type: key.type, fingerprint: fingerprint(key), line: knownHostsLine(host, port, key) };
    keys.push(scanned);
    if (enough(scanned)) break;
    // The first of them is the one that was just shown.
    types = shown.types.slice(1);
  }
  return keys;
}

export interface ScanOptions {
  /** Default 10 s. */
  readonly connectMs?: number;
  readonly enough?: (key: ScannedKey) => boolean;
}

/**
 * Pins these keys for the host, instead of the ones it had. The file appears whole or not at all; other hosts' lines
 * and `@revoked` ones stay.
 *
 * @param lines - known_hosts lines of {@link scanHostKeys}, at least one.
 */
export async function pinHostKey(
  file: string,
  host: string,
  port: number,
  lines: string | readonly string[],
): Promise<void> {
  const wanted = typeof lines === 'string' ? [lines] : lines;
  for (const line of wanted) checkLine(line);
  if (wanted.length === 0) checkLine('');
  const temporary = `${file}.${process.pid}.new`;
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    const before = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    await rm(temporary, { force: true });
    const handle = await open(temporary, 'wx', 0o600);
    try {
      const owner = ownerFor(file);
      if (owner !== undefined) await handle.chown(owner.uid, owner.gid);
      await handle.writeFile(pinnedText(before, host, port, wanted));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    await syncFolder(file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw fileError(file, error);
  }
}

function checkLine(line: string): void {
  const [, type, base64] = /^\S+ (\S+) ([A-Za-z0-9+/]+=*)$/.exec(line) ?? [];
  if (base64 !== undefined && hostKeyFromBlob(Buffer.from(base64, 'base64'))?.type === type) return;
  throw new ServiceError({
    code: 'invalid-input',
    message: `${JSON.stringify(line.slice(0, 80))} is not a known_hosts line`,
    remedy: 'Give a line of the form "host type base64-key", as it stands in a known_hosts file.',
  });
}
