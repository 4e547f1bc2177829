import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import { ServiceError } from '../../errors.ts';

// The payload of an age file: after a nonce of 16 bytes, chunks of 64 KiB, each encrypted by ChaCha20-Poly1305 with a
// counter and a mark of the last one as its nonce (STREAM), so that none can be cut off, added, changed or moved.

const chunkBytes = 64 * 1024;
const tagBytes = 16;
/** Before the first chunk. */
export const nonceBytes = 16;

const algorithm = 'chacha20-poly1305';

/** Encrypts what is written; the header and the nonce come first. Memory stays flat. */
export function encryptPayload(fileKey: Uint8Array, nonce: Buffer, header: Buffer): Transform {
  const key = payloadKey(fileKey, nonce);
  const count = chunkCounter();
  const encrypt = (chunk: Buffer, isLast: boolean): Buffer[] => {
    const cipher = createCipheriv(algorithm, key, count(isLast), { authTagLength: tagBytes });
    return [cipher.update(chunk), cipher.final(), cipher.getAuthTag()];
  };
  return chunked(chunkBytes, encrypt, [header, nonce]);
}

/**
 * Decrypts what is written; `nonce` is what stands before the first chunk. Each chunk is proved before any of it is handed
 * on. Throws `verification-failed` for chunks that were changed, moved, added or cut off: what was handed on before is
 * a part, and never the whole.
 */
export function decryptPayload(fileKey: Uint8Array, nonce: Buffer): Transform {
  const key = payloadKey(fileKey, nonce);
  const count = chunkCounter();
  let chunks = 0;
  const decrypt = (chunk: Buffer, isLast: boolean): Buffer[] => {
    if (chunk.length < tagBytes) throw damaged('it was cut off');
    // An empty last chunk is only that of an empty file.
    if (chunk.length === tagBytes && chunks > 0) throw damaged('something was added to it');
    chunks += 1;
    const decipher = createDecipheriv(algorithm, key, count(isLast), { authTagLength: tagBytes });
    decipher.setAuthTag(chunk.subarray(-tagBytes));
    try {
      return [decipher.update(chunk.subarray(0, -tagBytes)), decipher.final()];
    } catch {
      throw damaged(isLast ? 'it was cut off, or changed' : 'it was changed, or something was added to it');
    }
  };
  return chunked(chunkBytes + tagBytes, decrypt, []);
}

function payloadKey(fileKey: Uint8Array, nonce: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', fileKey, nonce, 'payload', 32));
}

/** The nonce of each chunk: eleven bytes that count, and one that is 1 for the last chunk. */
function chunkCounter(): (isLast: boolean) => Buffer {
  let counter = 0;
  return (isLast) => {
    const nonce = Buffer.alloc(12);
    nonce.writeUIntBE(counter, 5, 6);
    nonce[11] = isLast ? 1 : 0;
    counter += 1;
    return nonce;
  };
}

/** Hands on pieces of a fixed size; the last one, which may be shorter, is known when nothing comes after it. */
function chunked(size: number, act: (piece: Buffer, isLast: boolean) => Buffer[], first: Buffer[]): Transform {
  let held = Buffer.alloc(0);
  const ready = [...first];
  const handOn = (stream: Transform, done: TransformCallback, work: () => void) => {
    try {
      work();
    } catch (error) {
      done(error as Error);
      return;
    }
    if (ready.length > 0) stream.push(Buffer.concat(ready.splice(0)));
    done();
  };
  return new Transform({
    transform(read: Buffer, _encoding, done) {
      handOn(this, done, () => {
        let given = held.length === 0 ? read : Buffer.concat([held, read]);
        while (given.length > size) {
          ready.push(...act(given.subarray(0, size), false));
          given = given.subarray(size);
        }
        // A copy, so that what it was cut from can go.
        held = Buffer.from(given);
      });
    },
    flush(done) {
      handOn(this, done, () => ready.push(...act(held, true)));
    },
  });
}

function damaged(why: string): ServiceError {
  return new ServiceError({
    code: 'verification-failed',
    message: `The encrypted copy is not what was encrypted: ${why}`,
    remedy: 'Take another copy of the backup.',
  });
}
