import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { ServiceError } from '../../errors.ts';
import { encryptTo } from './age.ts';
import { needsProgram } from './recipients.ts';

/** Where a plain text goes, and what came of it when all of it was given. */
export interface Encryption {
  readonly input: Writable;
  /** Resolves when `to` has taken everything. */
  readonly done: Promise<void>;
}

/** Encrypts on this machine what is written to `input`; SSH keys only by the program `age`. */
export async function encryptInto(recipients: readonly string[], to: Writable): Promise<Encryption> {
  if (recipients.some(needsProgram)) return byProgram(recipients, to);
  const stream = await encryptTo(recipients);
  return { input: stream, done: pipeline(stream, to) };
}

/** Recipients are no secret, so that they may be arguments. */
function byProgram(recipients: readonly string[], to: Writable): Encryption {
  const args = ['--encrypt', ...recipients.flatMap((one) => ['--recipient', one])];
  const child = spawn('age', args, { stdio: ['pipe', 'pipe', 'ignore'], env: programEnvironment() });
  const ended = once(child, 'close').then(
    ([code]) => (code === 0 ? undefined : programFailed(`it ended with ${code}`)),
    (error: NodeJS.ErrnoException) => programFailed(`it can't be started (${error.code})`),
  );
  const done = (async () => {
    child.stdout.pipe(to, { end: false });
    const error = await ended;
    if (error !== undefined) {
      to.destroy(error);
      throw error;
    }
    to.end();
    await finished(to, { readable: false });
  })();
  to.once('close', () => child.kill());
  return { input: child.stdin, done };
}

/** What programs get of this process's environment, which holds secrets. */
export function programEnvironment(): Record<string, string> {
  const { PATH = '/usr/local/bin:/usr/bin:/bin', HOME = '/nonexistent', TERM = 'dumb' } = process.env;
  return { PATH, HOME, TERM, LC_ALL: 'C.UTF-8' };
}

function programFailed(why: string): ServiceError {
  return new ServiceError({
    code: 'configuration',
    message: `The program age, which recipients with SSH keys need, did not encrypt: ${why}`,
    remedy: 'Install it on the machine of the worker (apt-get install age), or name recipients of age itself.',
  });
}
