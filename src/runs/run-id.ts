import { createHash, randomBytes } from 'node:crypto';

/** Digits and lower-case letters without i, l, o and u, so that an id can be read out and typed. */
const letters = '0123456789abcdefghjkmnpqrstvwxyz';

/** 50 random bits: two of a hundred thousand runs get the same once in 200,000 such services, and the second is refused. */
const randomLength = 10;
/** 80 bits: another request's key that gives the same would find the wrong run. */
const keyedLength = 16;

/** The last part of a new run's id: `7k3f9q2mxd`. */
export function randomPart(): string {
  return spell(randomBytes(randomLength), randomLength);
}

/** The last part of the id of a run that a key finds again: the same for the same requester, operation and key. */
export function keyedPart(...key: readonly string[]): string {
  return spell(createHash('sha256').update(key.join('\0')).digest(), keyedLength);
}

/** Five bits of each byte. */
function spell(bytes: Uint8Array, length: number): string {
  return Array.from(bytes.subarray(0, length), (byte) => letters[byte % letters.length]).join('');
}
