import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { PassThrough, pipeline, type Readable, type Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { ServiceError } from '../../errors.ts';
import { cleanLine } from '../../reports/clean.ts';

// Other programs of this machine, each by its argument vector and without this process's environment.

/** Where a plain text goes, and what came of it when all of it was given. */
export interface Encryption {
  readonly input: Writable;
  /** Resolves when `to` has taken everything. */
  readonly done: Promise<void>;
}

/** The program asks for a passphrase on the terminal itself. */
export function decryptByProgram(path: string, file: string): Readable {
  const child = spawn('age', ['--decrypt', '--identity', file], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: programEnvironment(),
  });
  const plain = new PassThrough({ highWaterMark: 1024 * 1024 });
  child.once('error', (cause: NodeJS.ErrnoException) => plain.destroy(noProgram(cause)));
  child.stdout.pipe(plain, { end: false });
  // The exit code says whether what came was the whole.
  child.once('close', (code) => {
    if (code === 0) plain.end();
    else plain.destroy(refusedByProgram(file));
  });
  pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), child.stdin, () => undefined);
  plain.once('close', () => child.kill());
  return plain;
}

/** Recipients are no secret, so that they may be arguments. */
export function encryptByProgram(recipients: readonly string[], to: Writable): Encryption {
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

/**
 * Runs a program to its end, and says how it ended; its output goes to `take`. Throws `command-failed` with its last words,
 * `configuration` without it.
 *
 * @param answers - the exit codes that answer what was asked; default: 0 alone
 */
export async function runProgram(
  [program, ...args]: readonly [program: string, ...args: string[]],
  signal: AbortSignal | undefined,
  take: (chunk: Buffer) => void = () => undefined,
  answers: readonly number[] = [0],
): Promise<number> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...programEnvironment(), ...filesOfPrograms() },
    ...(signal && { signal }),
  });
  let words = '';
  child.stdout.on('data', take);
  child.stderr.on('data', (chunk: Buffer) => {
    words = `${words}${chunk.toString('utf8')}`.slice(-2_000);
  });
  let code: unknown;
  try {
    [code] = await once(child, 'close');
  } catch (cause) {
    signal?.throwIfAborted();
    throw new ServiceError({
      code: 'configuration',
      message: `The program ${program}, which BACKUP_REMOTES needs, can't be started (${(cause as NodeJS.ErrnoException).code ?? 'unknown'})`,
      remedy: `Install it on the machine of the worker: apt-get install ${program}`,
      cause,
    });
  }
  if (typeof code === 'number' && answers.includes(code)) return code;
  const last = cleanLine(words.trim().split('\n').at(-1) ?? '', 300);
  throw new ServiceError({
    code: 'command-failed',
    message: `${program} ended with ${String(code)}: ${last || 'it said nothing'}`,
    remedy: `Try on the machine of the worker, as its user, what ${program} says of that place; docs/copies.md says how it signs in.`,
  });
}

/** Where these programs find what they sign in with: paths, and never the secrets themselves. */
function filesOfPrograms(): Record<string, string> {
  const names = ['RCLONE_CONFIG', 'RESTIC_PASSWORD_FILE', 'RESTIC_CACHE_DIR', 'XDG_CONFIG_HOME'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

/** What programs get of this process's environment, which holds secrets. */
function programEnvironment(): Record<string, string> {
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

function refusedByProgram(file: string): ServiceError {
  return new ServiceError({
    code: 'verification-failed',
    message: `age did not decrypt the copy with ${file}: it is none of its recipients, or the copy is damaged`,
    remedy: 'See what age said above; the record of the copy names its recipients (npx proxmox-mcp copies list).',
  });
}

function noProgram(cause: NodeJS.ErrnoException): ServiceError {
  return new ServiceError({
    code: 'configuration',
    message: `The program age, which SSH keys and plugins need, can't be started here (${cause.code ?? 'unknown'})`,
    remedy: 'Install it on this machine (apt-get install age), or use an identity of age itself.',
    cause,
  });
}
