import { readFileSync } from 'node:fs';
import { Encrypter } from 'age-encryption';
import { ServiceError } from '../../errors.ts';

/** Whom only the program `age` can encrypt to. */
export function needsProgram(recipient: string): boolean {
  return recipient.startsWith('ssh-');
}

/**
 * The recipients that a configuration names, those in files among them, each once. Throws `configuration` for a file that
 * can't be read and for what is no recipient: a copy that nobody can decrypt is none.
 */
export function readRecipients(named: readonly string[]): readonly string[] {
  const all = named.flatMap((item) =>
    item.startsWith('/') ? recipientsIn(item) : [checked(item, 'BACKUP_RECIPIENTS')],
  );
  return [...new Set(all)];
}

function recipientsIn(file: string): readonly string[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
    throw wrong(`${file}, which BACKUP_RECIPIENTS names, can't be read (${why})`, cause);
  }
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  if (lines.length === 0) throw wrong(`${file}, which BACKUP_RECIPIENTS names, names no recipient`);
  return lines.map((line) => checked(line, file));
}

function checked(recipient: string, where: string): string {
  if (/^AGE-SECRET-KEY-/i.test(recipient) || recipient.includes('PRIVATE KEY'))
    throw wrong(`In ${where} there is a private key in place of a recipient: nobody but its owner should have that`);
  if (/^ssh-(ed25519|rsa) AAAA[A-Za-z0-9+/]+={0,2}( [ -~]*)?$/.test(recipient)) return recipient;
  try {
    new Encrypter().addRecipient(recipient);
    return recipient;
  } catch (cause) {
    throw wrong(`${JSON.stringify(recipient.slice(0, 80))} in ${where} is no recipient of age`, cause);
  }
}

function wrong(message: string, cause?: unknown): ServiceError {
  return new ServiceError({
    code: 'configuration',
    message,
    remedy: 'Name public keys of age (age-keygen prints age1…) or of SSH, or files with one of them a line.',
    details: { key: 'BACKUP_RECIPIENTS' },
    ...(cause !== undefined && { cause }),
  });
}
