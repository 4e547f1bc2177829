import { execFileSync, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ServiceError } from '../src/errors.ts';

const script = fileURLToPath(new URL('./engine.sh', import.meta.url));

/** What a program said. A program that could not be started or was ended by a signal has no exit code: that throws. */
export interface Output {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string | Buffer;
  readonly env?: Readonly<Record<string, string>>;
  /** In ms. Default 60 s. */
  readonly timeoutMs?: number;
}

/** Runs a program of this machine to its end. */
export function run(argv: readonly [string, ...string[]], options: RunOptions = {}): Promise<Output> {
  const [program, ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...options.env },
      timeout: options.timeoutMs ?? 60_000,
      killSignal: 'SIGKILL',
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    // A program that ends without reading its input is judged by its exit code.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
    child.on('error', (cause) => reject(labError(`${program} could not be started`, `Install ${program}.`, cause)));
    child.on('close', (exitCode, signal) => {
      if (exitCode === null) {
        reject(
          labError(`${[program, ...args].join(' ')} was ended by ${signal}`, 'See whether the machine is overloaded.'),
        );
      } else {
        resolve({
          exitCode,
          stdout: Buffer.concat(stdout).toString('utf8'),
          stderr: Buffer.concat(stderr).toString('utf8'),
        });
      }
    });
  });
}

let engine: Promise<string> | undefined;

/** The `DOCKER_HOST` of an engine that answers; starts one when none does (`engine.sh`), which then stays. */
export function ensureEngine(): Promise<string> {
  engine ??= run(['bash', script, 'start']).then((output) => {
    if (output.exitCode === 0) return output.stdout.trim();
    throw labError('The lab has no Docker engine', output.stderr.trim());
  });
  return engine;
}

/** The Docker client; an exit code other than 0 throws. */
export async function docker(args: readonly string[], options: RunOptions = {}): Promise<string> {
  const output = await tryDocker(args, options);
  if (output.exitCode === 0) return output.stdout.trim();
  throw labError(
    `docker ${args[0]} failed: ${output.stderr.trim()}`,
    'See lab/engine.sh, and the log beside its data.',
  );
}

/** The Docker client; an exit code other than 0 is an answer. */
export async function tryDocker(args: readonly string[], options: RunOptions = {}): Promise<Output> {
  const DOCKER_HOST = await ensureEngine();
  return run(['docker', ...args], { ...options, env: { ...options.env, DOCKER_HOST } });
}

/** For the moment when a process exits and can't wait any more. */
export function dockerNow(dockerHost: string, args: readonly string[]): void {
  execFileSync('docker', args, { env: { ...process.env, DOCKER_HOST: dockerHost }, stdio: 'ignore' });
}

export function labError(message: string, remedy: string, cause?: unknown): ServiceError {
  return new ServiceError({ code: 'unavailable', message, remedy, ...(cause === undefined ? {} : { cause }) });
}
