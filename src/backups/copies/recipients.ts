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
export function readRecipients(named: readonly string[], key: RecipientsKey = 'BACKUP_RECIPIENTS'): readonly string[] {
  const all = named.flatMap((item) =>
    item.startsWith('/') ? recipientsIn(item, key) : [checked(item, { where: key, key })],
  );
  return [...new Set(all)];
}

/** What names them in the configuration. */
type RecipientsKey = 'BACKUP_RECIPIENTS' | 'SERVICE_BACKUP_RECIPIENTS';

function recipientsIn(file: string, key: RecipientsKey): readonly string[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
    throw wrong(key, `${file}, which ${key} names, can't be read (${why})`, cause);
  }
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  if (lines.length === 0) throw wrong(key, `${file}, which ${key} names, names no recipient`);
  return lines.map((line) => checked(line, { where: file, key }));
}

function checked(recipient: string, { where, key }: { readonly where: string; readonly key: RecipientsKey }): string {
  if (/^AGE-SECRET-KEY-/i.test(recipient) || recipient.includes('PRIVATE KEY'))
    throw wrong(
      key,
      `In ${where} there is a private key in place of a recipient: nobody but its owner should have that`,
    );
  if (/^ssh-(ed25519|rsa) AAAA[A-Za-z0-9+/]+={0,2}( [ -~]*)?$/.test(recipient)) return recipient;
  try {
    new Encrypter().addRecipient(recipient);
    return recipient;
  } catch (cause) {
    throw wrong(key, `${JSON.stringify(recipient.slice(0, 80))} in ${where} is no recipient of age`, cause);
  }
}

function wrong(key: RecipientsKey, message: string, cause?: unknown): ServiceError {
  return new ServiceError({
    code: 'configuration',
    message,
    remedy: 'Name public keys of age (age-keygen prints age1…) or of SSH, or files with one of them a line.',
    details: { key },
    ...(cause !== undefined && { cause }),
  });
}
