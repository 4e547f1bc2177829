import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '../errors.ts';
import { replacePrivateFile } from '../private-file.ts';
import type { Guard } from './guard.ts';
import { logExcerpt } from './log-excerpt.ts';
import { boundLogFile, openLogFile, readFrom } from './log-file.ts';
import { endProcess, identify, isAlive, type ProcessIdentity } from './process-identity.ts';

export interface KeptProcessDefinition {
  /** As it is called in what people read: `Temporal server`. */
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** The folder that it stands in. Default: this process's. */
  readonly cwd?: string;
  readonly logFile: string;
  /** Where its identity is kept while it runs, so that a later start finds what a killed one left behind. */
  readonly recordFile: string;
  /** Ends it when this process is gone. Default: it lives on, and the next start finds it by its record. */
  readonly guard?: Guard | undefined;
  /** Resolves when it answers; asked again and again until it does. Rejects while it doesn't. */
  readonly ready: (signal: AbortSignal, pid: number) => Promise<void>;
  readonly readyWithinMs: number;
  /** Ends waiting for the first time that it is ready: it is stopped, and `cancelled` is thrown. */
  readonly signal?: AbortSignal;
  /** How long it may take to end after SIGTERM before it is killed. */
  readonly graceMs: number;
  /** What an administrator can do when it keeps dying, perhaps by what its log says. */
  readonly remedy: string | ((said: string) => string);
  /** One line for a person. */
  readonly say: (line: string) => void;
  /** It died too often and is left dead. */
  readonly onGivenUp: (error: ServiceError) => void;
}

export interface KeptProcess {
  /** Undefined between a death and the next start. */
  readonly pid: () => number | undefined;
  /** SIGTERM, then SIGKILL after its grace; it isn't started again. */
  readonly stop: () => Promise<void>;
  /** SIGKILL, at once; it isn't started again. */
  readonly kill: () => void;
}

/** Restarts within {@link windowMs}; one more is said and given up. */
const maxRestarts = 5;
const windowMs = 10 * 60_000;
const boundLogEveryMs = 60_000;

/**
 * Starts a process, resolves when it is ready, and starts it again whenever it dies: after 0.2, 1, 2, 4, 8 s, at most
 * five times in ten minutes. It has its own process group, so that Ctrl-C in a terminal reaches only this process,
 * which ends its children in order. Throws `unavailable` when it doesn't get ready the first time.
 */
export async function keepRunning(definition: KeptProcessDefinition): Promise<KeptProcess> {
  await endLeftover(definition);
  // Not by the clock of day, which is set while a machine starts.
  const restarts: number[] = [];
  let stopping = false;
  let child = launch(definition);
  const logTimer = setInterval(() => boundLogFile(definition.logFile), boundLogEveryMs).unref();

  const stop = async () => {
    stopping = true;
    clearInterval(logTimer);
    await end(child, definition);
  };
  const kill = () => {
    stopping = true;
    child.kill('SIGKILL');
    rmSync(definition.recordFile, { force: true });
  };

  try {
    await untilReady(child, definition);
  } catch (error) {
    await stop();
    throw error;
  }

  const watch = (watched: ChildProcess) => {
    void untilExited(watched).then((how) => void restart(how));
  };
  const restart = async (how: string) => {
    if (stopping) return;
    const since = performance.now() - windowMs;
    while (restarts[0] !== undefined && restarts[0] < since) restarts.shift();
    if (restarts.length >= maxRestarts) {
      clearInterval(logTimer);
      definition.onGivenUp(failure(definition, `died ${maxRestarts + 1} times in ten minutes, last ${how}`));
      return;
    }
    const delay = restarts.length === 0 ? 200 : 500 * 2 ** restarts.length;
    restarts.push(performance.now());
    definition.say(`The ${definition.name} died (${how}); starting it again.`);
    await sleep(delay);
    if (stopping) return;
    child = launch(definition);
    try {
      await untilReady(child, definition);
      definition.say(`The ${definition.name} is back.`);
      watch(child);
    } catch {
      if (stopping) return;
      await end(child, definition);
      void restart('before it was ready');
    }
  };
  watch(child);
  return { pid: () => (child.exitCode === null && child.signalCode === null ? child.pid : undefined), stop, kill };
}

/** Where in its log the words of the newest process begin: what an earlier one said doesn't explain this one's end. */
const logStarts = new WeakMap<KeptProcessDefinition, number>();

function launch(definition: KeptProcessDefinition): ChildProcess {
  const log = openLogFile(definition.logFile);
  logStarts.set(definition, fstatSync(log).size);
  try {
    const child = spawn(definition.program, definition.args, {
      detached: true,
      stdio: ['ignore', log, log],
      env: definition.env ?? process.env,
      ...(definition.cwd !== undefined && { cwd: definition.cwd }),
    });
    child.on('error', () => {}); // Told by `untilExited`; without a listener it would end this process.
    const identity = child.pid === undefined ? undefined : identify(child.pid);
    if (identity) {
      recordProcess(definition, identity);
      definition.guard?.keep(definition.name, { identity, graceMs: definition.graceMs });
      child.once('exit', () => definition.guard?.keep(definition.name, undefined));
    }
    return child;
  } finally {
    closeSync(log);
  }
}

/** On a full disk it works without: only a start after a kill of this process wouldn't find it. */
function recordProcess({ name, recordFile, say }: KeptProcessDefinition, identity: ProcessIdentity): void {
  try {
    replacePrivateFile(recordFile, JSON.stringify(identity));
  } catch (error) {
    say(`Could not record the process of the ${name} (${(error as Error).message}).`);
  }
}

async function untilReady(child: ChildProcess, definition: KeptProcessDefinition): Promise<void> {
  const controller = new AbortController();
  const deadline = performance.now() + definition.readyWithinMs;
  const cancel = () => controller.abort();
  definition.signal?.addEventListener('abort', cancel, { once: true });
  const death = untilExited(child).then((how) => {
    controller.abort();
    throw failure(definition, `ended before it was ready (${how})`);
  });
  const answer = (async () => {
    for (;;) {
      if (definition.signal?.aborted) throw cancelledError(definition.name);
      if (controller.signal.aborted) return; // It has died, which the other one says.
      try {
        await definition.ready(controller.signal, child.pid ?? 0);
        return;
      } catch (error) {
        // What an administrator must know (a ServiceError that waiting doesn't change) isn't waited for.
        if (error instanceof ServiceError && !error.retryable) throw error;
        if (performance.now() > deadline) {
          const within = `was not ready within ${Math.round(definition.readyWithinMs / 1000)} s`;
          throw failure(definition, `${within} (${error instanceof Error ? error.message : 'no answer'})`);
        }
        await sleep(100); // Asking costs those who answer, too.
      }
    }
  })();
  death.catch(() => {}); // Of the two only the first matters; the other one mustn't be an unhandled rejection.
  answer.catch(() => {});
  try {
    await Promise.race([death, answer]);
  } finally {
    controller.abort();
    definition.signal?.removeEventListener('abort', cancel);
  }
}

function untilExited(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    const describe = (code: number | null, signal: string | null) => signal ?? `exit code ${code ?? 'unknown'}`;
    if (child.exitCode !== null || child.signalCode !== null) resolve(describe(child.exitCode, child.signalCode));
    child.once('exit', (code, signal) => resolve(describe(code, signal)));
    child.once('error', (error) => resolve(error.message));
  });
}

async function end(child: ChildProcess, definition: KeptProcessDefinition): Promise<void> {
  const identity = child.pid === undefined ? undefined : identify(child.pid);
  if (identity && child.exitCode === null && child.signalCode === null) await endProcess(identity, definition.graceMs);
  rmSync(definition.recordFile, { force: true });
}

/** Ends what an earlier start recorded and didn't end: it was killed. The caller holds the data folder's lock. */
export async function endLeftover(
  definition: Pick<KeptProcessDefinition, 'name' | 'recordFile' | 'graceMs' | 'say'>,
): Promise<void> {
  const leftover = readRecord(definition.recordFile);
  if (leftover && isAlive(leftover)) {
    definition.say(`Ending the ${definition.name} that an earlier start left running (process ${leftover.pid}).`);
    await endProcess(leftover, definition.graceMs);
  }
  rmSync(definition.recordFile, { force: true });
}

function readRecord(path: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ProcessIdentity;
  } catch {
    return undefined;
  }
}

function failure(definition: KeptProcessDefinition, what: string): ServiceError {
  const said = logExcerpt(readFrom(definition.logFile, logStarts.get(definition) ?? 0));
  return new ServiceError({
    code: 'unavailable',
    message: `The ${definition.name} ${what}${said === '' ? '' : `; its log (${definition.logFile}) ends with: ${said}`}`,
    remedy: typeof definition.remedy === 'string' ? definition.remedy : definition.remedy(said),
  });
}

function cancelledError(name: string): ServiceError {
  return new ServiceError({ code: 'cancelled', message: `Starting the ${name} was cancelled`, remedy: 'Start again' });
}
