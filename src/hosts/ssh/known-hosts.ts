import { createHmac, timingSafeEqual } from 'node:crypto';
import { fingerprintOfBlob } from '../../ssh-wire.ts';

/** A host's public key as OpenSSH writes it. */
export interface HostKey {
  /** `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa` … */
  readonly type: string;
  /** The key in SSH's wire format. */
  readonly blob: Buffer;
}

export interface KnownKeys {
  /** Keys the host may show. */
  readonly pinned: readonly HostKey[];
  /** Keys it must never show again (`@revoked`). */
  readonly revoked: readonly HostKey[];
  /** Numbers of lines that could not be read, from 1. They pin nothing. */
  readonly malformed: readonly number[];
}

interface Line {
  readonly marker: string | undefined;
  readonly names: string;
  readonly key: HostKey;
}

/**
 * What an OpenSSH known_hosts file says about one host (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"): plain, wildcard,
 * negated and hashed names, `[host]:port`, several keys per host, `@revoked`. Certificates (`@cert-authority`) pin
 * nothing here: ssh2 does not know them.
 */
export function lookUpHost(text: string, host: string, port: number): KnownKeys {
  const name = hostEntry(host, port);
  const pinned: HostKey[] = [];
  const revoked: HostKey[] = [];
  const malformed: number[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = parseLine(raw);
    if (line === undefined) continue;
    if (line === 'malformed') malformed.push(index + 1);
    else if (!matches(line.names, name)) continue;
    else if (line.marker === '@revoked') revoked.push(line.key);
    else if (line.marker === undefined) pinned.push(line.key);
  }
  return { pinned: pinned.filter((key) => !revoked.some((other) => sameKey(key, other))), revoked, malformed };
}

/**
 * The file's text with exactly these keys pinned for the host: its former ones go, `@revoked` ones and those of other
 * hosts stay.
 */
export function pinnedText(text: string, host: string, port: number, lines: readonly string[]): string {
  const name = hostEntry(host, port);
  const kept = text.split('\n').flatMap((raw) => {
    const line = parseLine(raw);
    if (line === undefined || line === 'malformed' || line.marker !== undefined) return [raw];
    const names = line.names.split(',');
    const others = names.filter((pattern) => pattern.startsWith('!') || isPattern(pattern) || !matches(pattern, name));
    if (others.length === names.length) return [raw];
    return others.length === 0 ? [] : [raw.replace(line.names, others.join(','))];
  });
  while (kept.at(-1)?.trim() === '') kept.pop();
  return `${[...kept, ...lines.map((line) => line.trim())].join('\n')}\n`;
}

/** How a host is named in the file: `host`, or `[host]:port` where the port isn't 22. */
export function hostEntry(host: string, port: number): string {
  const name = host.toLowerCase();
  return port === 22 ? name : `[${name}]:${port}`;
}

/** The line that pins this key. */
export function knownHostsLine(host: string, port: number, key: HostKey): string {
  return `${hostEntry(host, port)} ${key.type} ${key.blob.toString('base64')}`;
}

/** `SHA256:…`, as `ssh-keygen -l` prints it. */
export function fingerprint(key: HostKey | Buffer): string {
  return fingerprintOfBlob(Buffer.isBuffer(key) ? key : key.blob);
}

export function sameKey(a: HostKey, b: HostKey): boolean {
  return a.blob.equals(b.blob);
}

/** A key from its wire format, or undefined where the bytes name no type. */
export function hostKeyFromBlob(blob: Buffer): HostKey | undefined {
  if (blob.length < 4) return undefined;
  const length = blob.readUInt32BE(0);
  if (length === 0 || length > 64 || blob.length <= 4 + length) return undefined;
  return { type: blob.toString('latin1', 4, 4 + length), blob };
}

function parseLine(raw: string): Line | 'malformed' | undefined {
  const text = raw.trim();
  if (text === '' || text.startsWith('#')) return undefined;
  const fields = text.split(/[ \t]+/);
  const marker = fields[0]?.startsWith('@') ? fields.shift() : undefined;
  const [names, type, base64] = fields;
  if (names === undefined || type === undefined || base64 === undefined) return 'malformed';
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return 'malformed';
  const key = hostKeyFromBlob(Buffer.from(base64, 'base64'));
  // The type is written twice, before the key and in it: a line that contradicts itself pins nothing.
  return key === undefined || key.type !== type ? 'malformed' : { marker, names, key };
}

function matches(names: string, name: string): boolean {
  if (names.startsWith('|')) return matchesHash(names, name);
  const patterns = names.toLowerCase().split(',');
  if (patterns.some((pattern) => pattern.startsWith('!') && matchesPattern(pattern.slice(1), name))) return false;
  return patterns.some((pattern) => !pattern.startsWith('!') && matchesPattern(pattern, name));
}

/** `|1|salt|HMAC-SHA1(salt, name)`, both in base64. */
function matchesHash(names: string, name: string): boolean {
  const [, version, salt, hash] = names.split('|');
  if (version !== '1' || salt === undefined || hash === undefined) return false;
  const expected = createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest();
  const given = Buffer.from(hash, 'base64');
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function isPattern(pattern: string): boolean {
  return /[*?]/.test(pattern);
}

/** `*` stands for any number of characters, `?` for one; iterative, so that no pattern takes exponential time. */
function matchesPattern(pattern: string, name: string): boolean {
  let p = 0;
  let star = -1;
  let mark = 0;
  for (let n = 0; n < name.length; ) {
    if (pattern[p] === '*') {
      star = p++;
      mark = n;
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === name[n])) {
      p++;
      n++;
    } else if (star >= 0) {
      p = star + 1;
      n = ++mark;
    } else {
      return false;
    }
  }
  while (pattern[p] === '*') p++;
  return p === pattern.length;
}
