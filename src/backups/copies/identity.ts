import { readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { armor, Decrypter } from 'age-encryption';
import { ServiceError } from '../../errors.ts';
import { Secret } from '../../secret.ts';
import { decryptFile } from './age.ts';
import { decryptByProgram } from './programs.ts';

/** What decrypts a copy. The keys of `age` are used here; an SSH key or a plugin only by the program `age`. */
export type Identity =
  | { readonly kind: 'keys'; readonly keys: readonly Secret[] }
  | { readonly kind: 'program'; readonly file: string };

/**
 * Reads a file of identities: one that `age-keygen` has written, the same protected by a passphrase, or an SSH private key. Throws
 * `invalid-input` for anything else, and what `askPassphrase` throws.
 */
export async function readIdentity(file: string, askPassphrase: () => Promise<Secret>): Promise<Identity> {
  const content = readFile(file);
  const text = content.toString('utf8');
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) return { kind: 'program', file };
  const isArmoured = text.trimStart().startsWith('-----BEGIN AGE ENCRYPTED FILE-----');
  if (!isArmoured && !text.startsWith('age-encryption.org/')) return identitiesIn(text, file);
  const passphrase = await askPassphrase();
  const decrypter = new Decrypter();
  decrypter.addPassphrase(passphrase.reveal());
  let plain: string;
  try {
    plain = await decrypter.decrypt(isArmoured ? armor.decode(text) : content, 'text');
  } catch (cause) {
    throw notAnIdentity(file, 'the passphrase is not the one that it was protected with, or it is damaged', cause);
  }
  return identitiesIn(plain, file);
}

/** The plain text of a copy. Throws, or ends with, what {@link decryptFile} does. */
export async function openCopy(path: string, identity: Identity): Promise<Readable> {
  if (identity.kind === 'keys')
    return await decryptFile(
      path,
      identity.keys.map((key) => key.reveal()),
    );
  return decryptByProgram(path, identity.file);
}

function identitiesIn(text: string, file: string): Identity {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  if (lines.some((line) => line.startsWith('AGE-PLUGIN-'))) return { kind: 'program', file };
  if (lines.length === 0) throw notAnIdentity(file, 'it is empty');
  const decrypter = new Decrypter();
  try {
    for (const line of lines) decrypter.addIdentity(line);
  } catch {
    // Its own words would hold what stands there.
    throw notAnIdentity(file, 'it holds something else than private keys of age');
  }
  return { kind: 'keys', keys: lines.map((line) => new Secret(line)) };
}

function readFile(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw notAnIdentity(file, `it can't be read (${(cause as NodeJS.ErrnoException).code ?? 'unknown'})`, cause);
  }
}

function notAnIdentity(file: string, why: string, cause?: unknown): ServiceError {
  return new ServiceError({
    code: 'invalid-input',
    message: `${file} is no identity that can decrypt a copy: ${why}`,
    remedy: 'Give the file that age-keygen has written (AGE-SECRET-KEY-…), or the SSH private key of a recipient.',
    ...(cause !== undefined && { cause }),
  });
}
