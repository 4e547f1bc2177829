import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { encryptTo } from './age.ts';
import { type Encryption, encryptByProgram } from './programs.ts';
import { needsProgram } from './recipients.ts';

/** Encrypts on this machine what is written to `input`; SSH keys only by the program `age`. */
export async function encryptInto(recipients: readonly string[], to: Writable): Promise<Encryption> {
  if (recipients.some(needsProgram)) return encryptByProgram(recipients, to);
  const stream = await encryptTo(recipients);
  return { input: stream, done: pipeline(stream, to) };
}
