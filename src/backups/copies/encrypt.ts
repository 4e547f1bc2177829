import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { encryptTo } from './age.ts';
import { encryptByProgram } from './programs.ts';
import { needsProgram } from './recipients.ts';

/** Where a plain text goes, and what came of it when all of it was given. */
export interface Encryption {
  readonly input: Writable;
  /** Resolves when `to` has taken everything. */
  readonly done: Promise<void>;
}

/** Encrypts on this machine what is written to `input`; SSH keys only by the program `age`. */
export async function encryptInto(recipients: readonly string[], to: Writable): Promise<Encryption> {
  if (recipients.some(needsProgram)) return encryptByProgram(recipients, to);
  const stream = await encryptTo(recipients);
  return { input: stream, done: pipeline(stream, to) };
}
