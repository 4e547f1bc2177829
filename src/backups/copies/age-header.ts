import { Decrypter, Encrypter } from 'age-encryption';
import { ServiceError } from '../../errors.ts';

// The header of an age file (age-encryption.org/v1), by the package `age-encryption`: it knows X25519 and post-quantum
// recipients, and passphrases. The payload is `age-payload.ts`, because the package alone makes a tenth of age's speed.

/** More than a hundred post-quantum recipients need. */
const longestHeader = 256 * 1024;

/** Of one encrypted file: what decrypts its payload, and the header by which recipients find that out. */
export interface FileKey {
  readonly header: Buffer;
  /** 16 bytes. */
  readonly fileKey: Uint8Array;
}

/**
 * A new file key, and the header that lets these recipients know it. Throws `invalid-input` for what is no recipient of
 * age's own: SSH keys are for the program `age` alone.
 *
 * @param recipients - `age1…`, one or more
 */
export async function newFileKey(recipients: readonly string[]): Promise<FileKey> {
  if (recipients.length === 0) throw notARecipient('', 'there is none');
  const encrypter = new Encrypter();
  for (const recipient of recipients) {
    try {
      encrypter.addRecipient(recipient);
    } catch (cause) {
      throw notARecipient(recipient, cause instanceof Error ? cause.message : 'it is not understood');
    }
  }
  let fileKey: Uint8Array | undefined;
  // A recipient that no stanza is of: this is how the package tells the key of the header that it makes.
  encrypter.addRecipient({
    wrapFileKey: (key) => {
      fileKey = Uint8Array.from(key);
      return [];
    },
  });
  const empty = Buffer.from(await encrypter.encrypt(new Uint8Array()));
  const length = headerLength(empty);
  if (fileKey === undefined || length === undefined) throw new Error('the package age-encryption made no header');
  return { header: empty.subarray(0, length), fileKey };
}

/**
 * How long the header is that a file begins with; undefined while more of the file is needed to know. Throws
 * `unreadable` where it is no age file.
 */
export function headerLength(beginning: Buffer): number | undefined {
  const title = Buffer.from('age-encryption.org/v1\n');
  const seen = Math.min(title.length, beginning.length);
  if (!beginning.subarray(0, seen).equals(title.subarray(0, seen))) throw notAge('it does not begin as one');
  const mac = beginning.indexOf('\n--- ');
  const end = mac < 0 ? -1 : beginning.indexOf('\n', mac + 1);
  if (end >= 0) return end + 1;
  if (beginning.length > longestHeader) throw notAge('its header does not end');
  return undefined;
}

/** The file key, by the first of the identities that is meant. Throws `forbidden` where none is, `unreadable` for a damaged header. */
export async function fileKeyOf(header: Buffer, identities: readonly string[]): Promise<Uint8Array> {
  const decrypter = new Decrypter();
  for (const identity of identities) decrypter.addIdentity(identity);
  try {
    return await decrypter.decryptHeader(header);
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : '';
    if (said !== "no identity matched any of the file's recipients")
      throw notAge(`its header is damaged (${said})`, cause);
    throw new ServiceError({
      code: 'forbidden',
      message: 'This identity is none of those that the copy is encrypted to',
      remedy: 'Give the identity of one of its recipients; its record names them (npx proxmox-mcp copies list).',
    });
  }
}

/** How many bytes a file has whose plain text has so many. */
export function encryptedBytes(header: number, plain: number): number {
  const chunks = Math.max(1, Math.ceil(plain / (64 * 1024)));
  return header + 16 + plain + chunks * 16;
}

function notARecipient(recipient: string, why: string): ServiceError {
  return new ServiceError({
    code: 'invalid-input',
    message: `${JSON.stringify(recipient.slice(0, 80))} is no recipient of age: ${why}`,
    remedy: 'Give what age-keygen prints as the public key: age1…',
  });
}

function notAge(why: string, cause?: unknown): ServiceError {
  return new ServiceError({
    code: 'unreadable',
    message: `This is no file of age that can be decrypted: ${why}`,
    remedy: 'Take another copy of the backup; this one is damaged, or something else.',
    ...(cause !== undefined && { cause }),
  });
}
