import { existsSync, readFileSync, statSync } from 'node:fs';
import ssh2 from 'ssh2';
import { ServiceError } from '../../errors.ts';

/** A private key that can be used to log in. */
export interface UsableKey {
  readonly kind: 'usable';
  readonly bytes: Buffer;
  /** The public half, `ssh-ed25519 AAAA…`. */
  readonly publicKey: string;
  /** Permission bits of the file. */
  readonly mode: number;
}

/** Why a file is no key to log in with. */
export interface UnusableKey {
  readonly kind: 'missing' | 'unusable';
  /** Completes "The SSH key PATH …". */
  readonly summary: string;
  readonly remedy: string;
  /** Of a key that only its passphrase keeps from being used: the file's content, for whoever can ask for that. */
  readonly locked?: Buffer;
}

const maxBytes = 64 * 1024;

/**
 * The one rule for a private key: whoever logs in with it, makes it, or only looks at the configuration asks here.
 * Nothing of the file is quoted.
 *
 * @param setting - what names the file: `SSH_KEY_PATH`, or an option of the command line.
 */
export function readKeyFile(path: string, setting = 'SSH_KEY_PATH'): UsableKey | UnusableKey {
  const unusable = (summary: string, remedy: string): UnusableKey => ({ kind: 'unusable', summary, remedy });
  let bytes: Buffer;
  let mode: number;
  try {
    const stat = statSync(path);
    if (!stat.isFile()) return unusable('is no file', `Name the file of the private key in ${setting}.`);
    if (stat.size > maxBytes) return unusable('is no private key: it is too large', named(setting));
    mode = stat.mode & 0o777;
    bytes = readFileSync(path);
    if (isOpen(stat) && !looksPublic(bytes)) {
      const remedy = `Run: chmod 600 ${path}; if others use this machine, replace the key.`;
      return unusable(`may be read by others (mode ${mode.toString(8).padStart(4, '0')})`, remedy);
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    if (code !== 'ENOENT') {
      return unusable(`can't be read (${code})`, 'Give it to the user that runs the service, mode 600.');
    }
    const remedy = `Name a file that is there in ${setting}; the service's own key is made by: npx proxmox-mcp host install NAME`;
    return { kind: 'missing', summary: "isn't there", remedy };
  }
  if (looksPublic(bytes)) {
    const other = path.replace(/\.pub$/, '');
    const known = other !== path && existsSync(other) ? `, ${other},` : '';
    return unusable('is the public half of a key', `Name the private half${known} in ${setting}.`);
  }
  const key = ssh2.utils.parseKey(bytes);
  // Not the library's message: it may quote the file.
  if (key instanceof Error) {
    if (/passphrase/i.test(key.message) || bytes.includes('BEGIN ENCRYPTED PRIVATE KEY')) {
      const remedy = `Take it away (ssh-keygen -p -f ${path}), or name a key without one in ${setting}.`;
      return { ...unusable('is protected by a passphrase, which nobody is there to type', remedy), locked: bytes };
    }
    if (bytes.includes('-----BEGIN PRIVATE KEY-----')) {
      const remedy = `Write it anew in OpenSSH's own form: ssh-keygen -p -N "" -f ${path}`;
      return unusable('is in a form that is not supported (PKCS #8)', remedy);
    }
    return unusable('is no private key, or is damaged', named(setting));
  }
  if (!key.isPrivateKey()) return unusable('is the public half of a key', `Name the private half in ${setting}.`);
  return { kind: 'usable', bytes, mode, publicKey: `${key.type} ${key.getPublicSSH().toString('base64')}` };
}

/** The error for a key that can't be used. */
export function keyFileError(path: string, { summary, remedy }: UnusableKey): ServiceError {
  return new ServiceError({ code: 'configuration', message: `The SSH key ${path} ${summary}`, remedy });
}

function named(setting: string): string {
  return `Name an OpenSSH private key without a passphrase in ${setting}, e.g. one made by: ssh-keygen -t ed25519 -N ""`;
}

/** A group other than root's may read what root gave it: so a service can read what it can't change. */
function isOpen({ mode, uid, gid }: { readonly mode: number; readonly uid: number; readonly gid: number }): boolean {
  return (mode & (uid === 0 && gid !== 0 ? 0o037 : 0o077)) !== 0;
}

/** OpenSSH's one line (certificates too), RFC 4716 or PEM: damaged ones as well. */
function looksPublic(bytes: Buffer): boolean {
  return /^\s*(?:(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ AAAA|----[- ]BEGIN [A-Z0-9 ]*PUBLIC KEY)/.test(
    bytes.toString('latin1', 0, 200),
  );
}
