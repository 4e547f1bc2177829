import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ssh2, { type AnyAuthMethod, type ParsedKey } from 'ssh2';
import type { SshConfig } from '../../config.ts';
import { type ErrorCode, ServiceError } from '../../errors.ts';
import type { Secret } from '../../secret.ts';
import { readClientConfig } from './client-config.ts';
import { offer } from './connect.ts';
import { authMethod, type Credential, keysOfAgent, OneKeyAgent, type Person } from './credential.ts';
import { keyFileError, readKeyFile } from './key-file.ts';
import { defaultLimits } from './limits.ts';

/** What an administrator may log in with. */
export interface LoginSources {
  /** Their home folder, with `.ssh` in it. */
  readonly home: string;
  /** Socket of their SSH agent. */
  readonly agent?: string;
  /** A file that was named: then only it is tried. */
  readonly keyFile?: string;
  /** Undefined: nobody is there to be asked. */
  readonly person?: Person;
}

/** One key that can be offered. */
interface Candidate {
  /** For a person: `~/.ssh/id_rsa`. */
  readonly what: string;
  readonly method: (username: string, asking: (is: boolean) => void) => AnyAuthMethod;
  /** What to log in with from then on; asked for once it has let somebody in. */
  readonly credential: () => Credential;
}

/** What can be offered, and whom to ask beside it. */
export interface Candidates {
  readonly keys: readonly Candidate[];
  /** What was there and couldn't be offered, each with the reason. */
  readonly left: readonly string[];
  /** Undefined: nobody can be asked for a password. */
  readonly person: Person | undefined;
  /** A file was named, and nothing else is to be used. */
  readonly onlyFile: boolean;
}

/**
 * How many keys one connection offers. sshd ends a connection at its sixth failure (`MaxAuthTries`), and counts the connection
 * against this machine either way.
 */
const triesPerConnection = 5;

/** How often a passphrase is asked for, as ssh does. */
const passphraseTries = 3;

/** OpenSSH's own names, the best first. Keys of hardware (`_sk`) are used through the agent. */
const standardFiles = ['id_ed25519', 'id_ecdsa', 'id_rsa'] as const;

/**
 * Finds what lets an administrator in, as `ssh` would: what {@link readCandidates} has found, then what the host asks a person
 * for. Answers what was accepted, for each later connection.
 *
 * Throws `ssh-key-refused` with all that was tried, `cancelled`, and what connecting throws.
 */
export async function findCredential(
  name: string,
  ssh: SshConfig,
  { keys, left, person, onlyFile }: Candidates,
  limits = defaultLimits,
): Promise<Credential> {
  let accepts: readonly string[] | undefined;
  for (let rest = keys; rest.length > 0; ) {
    const batch = rest.slice(0, triesPerConnection);
    const { accepted, tried, ...offered } = await offer(name, ssh, limits, (index, { asking }) =>
      batch[index]?.method(ssh.user, asking),
    );
    if (accepted !== undefined && batch[accepted]) return batch[accepted].credential();
    accepts = offered.accepts ?? accepts;
    // A server that allows fewer tries has ended the connection before the last of them.
    rest = rest.slice(Math.max(1, tried));
  }
  const takesPasswords = accepts === undefined || accepts.some((method) => passwordMethods.includes(method));
  const refused = (why: string) => nothingAccepted(name, ssh, { tried: keys.map(({ what }) => what), left, why });
  if (onlyFile) throw refused('only that key was to be used (--key)');
  if (!takesPasswords) throw refused('it takes no passwords');
  if (person === undefined) throw refused(nobody);
  const found = await askForPassword(name, ssh, person, limits);
  if (found === 'not-asked') throw refused('it takes no passwords');
  if (found === 'refused') {
    const root = ssh.user === 'root' ? ', or lets root in by a key only (PermitRootLogin)' : '';
    throw refused(`it did not accept that password${root}`);
  }
  return found;
}

const nobody = 'nobody is there to type a password (no terminal)';
const passwordMethods: readonly string[] = ['keyboard-interactive', 'password'];

/** One connection in which a person answers what the host asks. */
async function askForPassword(
  name: string,
  ssh: SshConfig,
  person: Person,
  limits = defaultLimits,
): Promise<Credential | 'refused' | 'not-asked'> {
  let failure: unknown;
  let asked = false;
  const heard: Person = {
    secret: (question) => {
      asked = true;
      return person.secret(`${ssh.user} on ${name}: ${question}`).catch(remember);
    },
    text: (question) => {
      asked = true;
      return person.text(`${ssh.user} on ${name}: ${question}`).catch(remember);
    },
  };
  const remember = (error: unknown) => {
    failure ??= error;
    return undefined;
  };
  const ways: Credential[] = [];
  const { accepted } = await offer(name, ssh, limits, async (index, { accepts, asking }) => {
    if (failure !== undefined) return undefined;
    const isOffered = (method: string) => accepts?.includes(method) === true;
    if (index === 0 && isOffered('keyboard-interactive')) {
      ways.push({ kind: 'answers', typed: new Map(), person: heard });
    } else if (ways.at(-1)?.kind !== 'password' && !asked && isOffered('password')) {
      asking(true);
      const password = await heard.secret('Password: ');
      asking(false);
      if (password === undefined) return undefined;
      ways.push({ kind: 'password', password });
    } else return undefined;
    const way = ways.at(-1);
    return way && authMethod(way, ssh.user, asking);
  });
  if (failure !== undefined) throw failure;
  const found = accepted === undefined ? undefined : ways[accepted];
  return found ?? (asked ? 'refused' : 'not-asked');
}

/**
 * What there is to log in with, before anything is connected: the keys of the agent, first those that are also in a file; the
 * files of `~/.ssh/config` or the standard ones, those with a passphrase last. Throws `configuration` for a named file that is
 * no key, `invalid-input` where there is nothing and nobody can be asked.
 */
export async function readCandidates(name: string, ssh: SshConfig, sources: LoginSources): Promise<Candidates> {
  const found = await candidatesOf(name, ssh, sources);
  if (found.keys.length > 0 || found.person !== undefined) return found;
  throw nothingAccepted(name, ssh, { tried: [], left: found.left, why: nobody }, 'invalid-input');
}

async function candidatesOf(name: string, ssh: SshConfig, sources: LoginSources): Promise<Candidates> {
  const { home, agent, keyFile, person } = sources;
  if (keyFile !== undefined) {
    const key = readKeyFile(keyFile, '--key');
    if (key.kind === 'missing') throw noKeyFile(name, ssh, keyFile);
    const candidate = candidateOf(keyFile, shorten(keyFile, home), person);
    if (candidate === undefined && key.kind === 'unusable') throw keyFileError(keyFile, key);
    const keys = candidate === undefined ? [] : [candidate];
    return { keys, left: [], person, onlyFile: true };
  }
  const left: string[] = [];
  const config = readClientConfig(readIfThere(join(home, '.ssh/config')), [ssh.host, name], home);
  left.push(...config.notFollowed.map((word) => `what ~/.ssh/config says by ${word}, which isn't followed here`));
  const configured = config.identityFiles.length > 0;
  const paths = configured ? config.identityFiles : standardFiles.map((file) => join(home, '.ssh', file));
  const inFiles = paths.flatMap((path) => publicHalf(path) ?? []);
  const held = await heldBy(agent, left);
  const agentKeys = inOrder(held, inFiles).map(({ key, socket }): Candidate => {
    const credential: Credential = { kind: 'agent-key', socket, key };
    return {
      what: `the agent's key ${key.comment || key.type}`,
      method: (user) => authMethod(credential, user),
      credential: () => credential,
    };
  });
  const plain: Candidate[] = [];
  const locked: Candidate[] = [];
  for (const path of paths) {
    const half = publicHalf(path);
    if (half !== undefined && held.some(({ key }) => sameHalf(key, half))) continue;
    const read = readKeyFile(path, '--key');
    if (read.kind === 'missing' && !configured) continue;
    const candidate = candidateOf(path, shorten(path, home), person);
    if (candidate !== undefined) (read.kind === 'usable' ? plain : locked).push(candidate);
    else if (read.kind !== 'usable') {
      const isLocked = read.locked !== undefined;
      left.push(`${shorten(path, home)}, which ${isLocked ? `has a passphrase (ssh-add ${path})` : read.summary}`);
    }
  }
  return { keys: [...agentKeys, ...plain, ...locked], left, person, onlyFile: false };
}

/** What is in a file as well comes first: most likely it was made for such logins. */
export function inOrder<Key extends { readonly key: { getPublicSSH(): Buffer } }>(
  held: readonly Key[],
  inFiles: readonly { getPublicSSH(): Buffer }[],
): readonly Key[] {
  const isInFile = ({ key }: Key) => inFiles.some((other) => sameHalf(key, other));
  return [...held.filter(isInFile), ...held.filter((one) => !isInFile(one))];
}

function sameHalf(a: { getPublicSSH(): Buffer }, b: { getPublicSSH(): Buffer }): boolean {
  return a.getPublicSSH().equals(b.getPublicSSH());
}

async function heldBy(socket: string | undefined, left: string[]): Promise<{ key: ParsedKey; socket: string }[]> {
  if (!socket) return [];
  try {
    const keys = await keysOfAgent(socket);
    if (keys.length === 0) left.push('the SSH agent, which holds no key (ssh-add adds one)');
    return keys.map((key) => ({ key, socket }));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    left.push(`the SSH agent at ${socket}, which can't be asked (${why})`);
    return [];
  }
}

/** Undefined: there is nothing that could be offered. */
function candidateOf(path: string, what: string, person: Person | undefined): Candidate | undefined {
  const read = readKeyFile(path, '--key');
  if (read.kind === 'usable') {
    const key = parsed(read.bytes);
    if (key === undefined) return undefined;
    return {
      what,
      method: (user) => authMethod({ kind: 'key', key }, user),
      credential: () => ({ kind: 'key', key }),
    };
  }
  const half = publicHalf(path);
  if (read.kind === 'missing' || read.locked === undefined || half === undefined || person === undefined) {
    return undefined;
  }
  const bytes = read.locked;
  let opened: ParsedKey | undefined;
  return {
    what,
    // The host is asked first whether it would take the key; only then a person for the passphrase.
    method: (username, asking) => ({
      type: 'agent',
      username,
      agent: new OneKeyAgent(half, async (data, hash) => {
        asking(true);
        try {
          opened ??= await openKey(bytes, what, person);
        } finally {
          asking(false);
        }
        return opened.sign(data, hash);
      }),
    }),
    credential: () => {
      if (opened === undefined) throw new Error('a key was accepted that nobody has opened');
      return { kind: 'key', key: opened };
    },
  };
}

async function openKey(bytes: Buffer, what: string, person: Person): Promise<ParsedKey> {
  for (let left = passphraseTries; left > 0; left--) {
    const passphrase: Secret | undefined = await person.secret(`Passphrase of ${what}: `);
    if (passphrase === undefined) break;
    const key = parsed(bytes, passphrase.reveal());
    if (key?.isPrivateKey()) return key;
  }
  throw new ServiceError({
    code: 'ssh-key-refused',
    message: `That is not the passphrase of ${what}`,
    remedy: `Try again, or add the key to the SSH agent: ssh-add ${what}`,
  });
}

function parsed(bytes: Buffer | string, passphrase?: string): ParsedKey | undefined {
  const key = ssh2.utils.parseKey(bytes, passphrase);
  return key instanceof Error ? undefined : key;
}

/** What a file of a key says of its public half: beside it, or in it, where OpenSSH leaves it readable. */
function publicHalf(path: string): ParsedKey | undefined {
  const beside = parsed(readIfThere(`${path}.pub`));
  if (beside !== undefined) return beside;
  const read = readKeyFile(path, '--key');
  if (read.kind === 'usable') return parsed(read.publicKey);
  return read.locked === undefined ? undefined : openHalf(read.locked);
}

/** `openssh-key-v1`, cipher, key derivation, its options, number of keys, and then the first public one, unencrypted. */
function openHalf(bytes: Buffer): ParsedKey | undefined {
  const [, base64 = ''] =
    /-----BEGIN OPENSSH PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END/.exec(bytes.toString('latin1')) ?? [];
  const body = Buffer.from(base64, 'base64');
  let at = 'openssh-key-v1\0'.length;
  const text = () => {
    const length = body.length >= at + 4 ? body.readUInt32BE(at) : 0;
    const from = at + 4;
    at = from + length;
    return body.subarray(from, at);
  };
  for (let skipped = 0; skipped < 3; skipped++) text();
  at += 4;
  const blob = text();
  const type = blob.length > 4 ? blob.toString('latin1', 4, 4 + Math.min(64, blob.readUInt32BE(0))) : '';
  return /^[a-z0-9@.-]+$/.test(type) ? parsed(`${type} ${blob.toString('base64')}`) : undefined;
}

interface Tried {
  readonly tried: readonly string[];
  readonly left: readonly string[];
  readonly why: string;
}

function nothingAccepted(
  name: string,
  ssh: SshConfig,
  { tried, left, why }: Tried,
  code: ErrorCode = 'ssh-key-refused',
): ServiceError {
  const where = `${name} (${ssh.host}:${ssh.port})`;
  const first =
    tried.length === 0
      ? `There is no SSH key here to log in with as ${ssh.user} on ${where}`
      : `${where} let ${ssh.user} in with none of these: ${tried.join(', ')}`;
  const more = [...(left.length > 0 ? [`not tried: ${left.join('; ')}`] : []), ...(why === '' ? [] : [why])];
  return new ServiceError({
    code,
    message: [first, ...more].join('; '),
    remedy: `Put your key on the host (ssh-copy-id ${ssh.user}@${ssh.host}), name another one (--key FILE) or another administrator (--as USER), or add the key to the SSH agent (ssh-add FILE). In a terminal you are asked for passphrases and for the password.`,
    details: { host: name, user: ssh.user },
  });
}

function noKeyFile(name: string, { user }: SshConfig, path: string): ServiceError {
  return new ServiceError({
    code: 'invalid-input',
    message: `There is no SSH key ${path} to log in with as ${user} on ${name}`,
    remedy:
      'Name your own private key for that login: --key FILE; or leave it out: then the agent and ~/.ssh are tried.',
  });
}

function shorten(path: string, home: string): string {
  return path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path;
}

function readIfThere(path: string): string {
  try {
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  } catch {
    return '';
  }
}
