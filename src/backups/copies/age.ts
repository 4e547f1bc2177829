import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline, type Readable, type Transform } from 'node:stream';
import { ServiceError } from '../../errors.ts';
import { fileKeyOf, headerLength, newFileKey } from './age-header.ts';
import { decryptPayload, encryptPayload, nonceBytes } from './age-payload.ts';

// Files as the program `age` writes and reads them, as streams whose memory is flat.

/** Encrypts what is written to recipients of age's own (`age1…`). Throws `invalid-input` for what is none. */
export async function encryptTo(recipients: readonly string[]): Promise<Transform> {
  const { header, fileKey } = await newFileKey(recipients);
  return encryptPayload(fileKey, randomBytes(nonceBytes), header);
}

/**
 * Decrypts a file by identities of age's own (`AGE-SECRET-KEY-…`). Each chunk is proved before it is read here, and what was
 * read is the whole only when the stream ends without an error: `verification-failed` for what was changed or cut off. Throws
 * `forbidden` where no identity fits, `unreadable` for what isn't such a file.
 */
export async function decryptFile(path: string, identities: readonly string[]): Promise<Readable> {
  const { header, nonce } = await readBeginning(path);
  const payload = decryptPayload(await fileKeyOf(header, identities), nonce);
  const source = createReadStream(path, { start: header.length + nonceBytes, highWaterMark: 1024 * 1024 });
  // An error of either ends both, and is that of the stream that is read.
  return pipeline(source, payload, () => undefined);
}

/** The header of an age file. Throws `unreadable` for what is none. */
export async function readHeader(path: string): Promise<Buffer> {
  return (await readBeginning(path)).header;
}

async function readBeginning(path: string): Promise<{ readonly header: Buffer; readonly nonce: Buffer }> {
  const file = await open(path, 'r');
  try {
    let beginning = Buffer.alloc(0);
    for (;;) {
      const length = headerLength(beginning);
      if (length !== undefined && beginning.length >= length + nonceBytes)
        return { header: beginning.subarray(0, length), nonce: beginning.subarray(length, length + nonceBytes) };
      const more = await readAt(file, beginning.length);
      if (more.length === 0) throw cutOff();
      beginning = Buffer.concat([beginning, more]);
    }
  } finally {
    await file.close();
  }
}

async function readAt(file: FileHandle, position: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(4096), position });
  return buffer.subarray(0, bytesRead);
}

function cutOff(): ServiceError {
  return new ServiceError({
    code: 'verification-failed',
    message: 'The encrypted copy ends before its content begins: it was cut off',
    remedy: 'Take another copy of the backup.',
  });
}
