import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '../../errors.ts';
import { checkArgv } from '../execution/argv.ts';
import { startDeadline, stopCode, stopped } from '../execution/deadline.ts';
import type { Argv, CommandResult, ExecOptions } from '../execution/executor.ts';
import { labelVariable, newLabel } from '../execution/label.ts';
import { attach, endedBySignal, result } from '../execution/running.ts';

/** Between SIGTERM and SIGKILL, and between SIGKILL and giving up. */
const graceMs = 5_000;

/** Runs one command on this machine; see `Executor.exec`. `stop` ends it like the caller's signal. */
export async function execHere(
  name: string,
  stop: AbortSignal,
  argv: Argv,
  options: ExecOptions,
): Promise<CommandResult> {
  checkArgv(argv);
  const begun = performance.now();
  const what = `${name}: ${argv[0]}`;
  const label = newLabel();
  const deadline = startDeadline(what, options.timeoutMs, options.signal, stop);
  try {
    const reason = deadline.reason();
    if (reason !== undefined) throw reason;
    const [program, ...args] = argv;
    // Its own process group, so that it can be ended together with its children. Nothing of this process's
    // environment, because that holds secrets.
    const child = spawn(program, args, { detached: true, cwd: '/', env: environment(label), stdio: 'pipe' });
    const refusal = await once(child, 'spawn').then(
      () => undefined,
      (error: NodeJS.ErrnoException) => error,
    );
    if (refusal !== undefined) return notStarted(what, program, refusal, begun);
    const letGo = () => {
      child.stdout.destroy();
      child.stderr.destroy();
    };
    const { stdin, stdout, stderr } = child;
    const command = attach(what, { stdin, stdout, stderr, events: child, letGo }, options);
    const first = await Promise.race([command.ended, command.failed, deadline.passed]);
    if (first === 'passed' || first instanceof ServiceError) {
      const ended = await endGroup(child, label, command.ended);
      letGo();
      const error =
        first === 'passed'
          ? stopped(stopCode(deadline), what, options.timeoutMs, ended ? 'ended' : 'perhaps still running')
          : first;
      command.abandon(error);
      throw error;
    }
    if (typeof first.code !== 'number') {
      const error = endedBySignal(what, first.signal);
      command.abandon(error);
      throw error;
    }
    return await result(what, command, first.code, begun, deadline, options);
  } finally {
    deadline.clear();
  }
}

/** What a login gives, and nothing else. */
function environment(label: string): Record<string, string> {
  const { username, homedir } = userInfo();
  return {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: homedir,
    USER: username,
    LOGNAME: username,
    LANG: 'C.UTF-8',
    [labelVariable]: label,
  };
}

/** A program that can't be executed is a result over SSH, where the login shell says 127 or 126: here too. */
function notStarted(what: string, program: string, error: NodeJS.ErrnoException, begun: number): CommandResult {
  const exitCode = { ENOENT: 127, ENOTDIR: 127, EACCES: 126, EPERM: 126 }[error.code ?? ''];
  if (exitCode === undefined) {
    throw new ServiceError({
      code: 'command-refused',
      message: `${what} was not started: this machine refused to run it (${error.code})`,
      remedy: 'Look at the memory and the number of processes of this machine.',
      retryable: true,
      cause: error,
    });
  }
  const stderr = `${program}: ${exitCode === 127 ? 'not found' : 'permission denied'}\n`;
  return {
    exitCode,
    stdout: '',
    stderr,
    stdoutBytes: 0,
    stderrBytes: stderr.length,
    truncated: false,
    durationMs: performance.now() - begun,
  };
}

/**
 * SIGTERM to the whole group and to children that left it (they still carry the label), then SIGKILL. Whether the
 * command's end was seen.
 */
async function endGroup(child: ChildProcess, label: string, ended: Promise<unknown>): Promise<boolean> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (child.pid !== undefined) kill(-child.pid, signal);
    for (const pid of await processesWith(`${labelVariable}=${label}`)) kill(pid, signal);
    const timer = new AbortController();
    const late = sleep(graceMs, false, { signal: timer.signal }).catch(() => false);
    const settled = await Promise.race([ended.then(() => true), late]);
    timer.abort();
    if (settled) return true;
  }
  return child.exitCode !== null || child.signalCode !== null;
}

async function processesWith(entry: string): Promise<number[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  // Other users' environments can't be read, nor can those of processes that ended meanwhile.
  const environments = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')));
  return pids.filter((_, index) => environments[index]?.split('\0').includes(entry)).map(Number);
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended already.
  }
}
