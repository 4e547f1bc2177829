import type { Writable } from 'node:stream';
import type { HostConfig } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import { cleanLine } from '../../reports/clean.ts';
import { readableTime } from '../../reports/units.ts';
import type { Redact } from '../../secret.ts';
import type { Argv, CommandResult, Executor } from '../execution/executor.ts';
import type { RunOptions } from '../host.ts';

/** How a host is reached, and with what right. */
export interface HostContext {
  readonly config: HostConfig;
  readonly executor: Executor;
  /** Takes known secrets out of what the host says, before anybody shortens it. Default: nothing is taken out. */
  readonly redact?: Redact;
}

/** What a host said, without the secrets that the service knows. */
export function redacted<Result extends CommandResult>(
  { redact }: Pick<HostContext, 'redact'>,
  result: Result,
): Result {
  return redact ? { ...result, stdout: redact(result.stdout), stderr: redact(result.stderr) } : result;
}

/** The helper needs this much longer than its command: it may wait for other commands, and then ends the command itself. */
const graceMs = 15_000;

/**
 * Runs the host helper, through sudo unless we are who it is for, and turns its own answers and sudo's into errors.
 * `isLook`: nothing is changed, so a connection that was lost in the middle is only a reason to ask again.
 */
export async function callHelper(
  { config, executor }: HostContext,
  args: readonly string[],
  {
    timeoutMs,
    isLook,
    signal,
    maxOutputBytes,
    input,
    stdoutTo,
  }: RunOptions & {
    readonly timeoutMs: number;
    readonly isLook: boolean;
    readonly maxOutputBytes?: number | undefined;
    readonly input?: string;
    readonly stdoutTo?: Writable;
  },
): Promise<CommandResult> {
  const helper = config.layout.helper;
  const argv: Argv = usesSudo(config) ? ['/usr/bin/sudo', '-n', '--', helper, ...args] : [helper, ...args];
  const result = await executor
    .exec(argv, {
      timeoutMs: timeoutMs + graceMs,
      ...(signal && { signal }),
      maxOutputBytes,
      ...(input !== undefined && { stdin: input }),
      ...(stdoutTo && { stdoutTo }),
    })
    .catch((error: unknown) => {
      throw isLook ? retryLook(config, error) : error;
    });
  refuseIfRefused(config, verbOf(args), result);
  return result;
}

/** What was asked for: of a job's start, what the job is to do. */
function verbOf(args: readonly string[]): string {
  return (args[0] === 'job-start' ? args[3] : args[0]) ?? '';
}

/** The outcome of a look that was cut off doesn't matter: looking again is safe. */
export function retryLook(config: HostConfig, error: unknown): unknown {
  if (!(error instanceof ServiceError) || error.code !== 'outcome-unknown') return error;
  return new ServiceError({
    code: 'connection-lost',
    message: `The connection to ${config.name} was lost while it was looked at`,
    remedy: 'Nothing was changed; it is safe to try again.',
    retryable: true,
    cause: error,
  });
}

function usesSudo(config: HostConfig): boolean {
  return config.ssh ? config.ssh.user !== 'root' : (config.local?.sudo ?? true);
}

function refuseIfRefused(config: HostConfig, verb: string, { exitCode, stderr, stdout }: CommandResult): void {
  const said = /^proxmox-mcp-helper: (.*)$/m.exec(stderr)?.[1] ?? '';
  const details = { host: config.name, verb, exitCode };
  const host = config.name;
  if (exitCode === 64 && said === 'refused: unknown verb') {
    throw new ServiceError({
      code: 'command-refused',
      message: `The helper on ${host} is another version than this service: it doesn't know ${verb}`,
      remedy: `Run host install again: npx proxmox-mcp host install ${host}`,
      details,
    });
  }
  if (exitCode === 64 && said.startsWith('refused: ')) {
    throw new ServiceError({
      code: 'command-refused',
      message: `The helper on ${host} refused ${verb}: ${said.slice(9)}`,
      remedy: `If the helper is of another version, run: npx proxmox-mcp host install ${host}`,
      details,
    });
  }
  if (exitCode === 75 && said.startsWith('fenced-out: ')) {
    const behind = Number(/ahead of this host's clock, (\d+)$/.exec(said)?.[1]);
    if (behind > 0) throw hostIsBehind(config, verb, behind, details);
    const newest = Number(/older than (\d+)$/.exec(said)?.[1]);
    // No lock has given it yet, so no other run holds the lock.
    if (newest > Date.now()) throw isAhead(config, verb, newest, details);
    throw new ServiceError({
      code: 'fenced-out',
      message: `${host} refused ${verb}, because another run holds its lock by now (${said.slice(12)})`,
      remedy: 'Nothing was changed. Look at the run that holds the lock, then start this one again.',
      details,
    });
  }
  if (exitCode === 76 && said.startsWith('busy: ')) {
    throw new ServiceError({
      code: 'conflict',
      message: `${host} did not begin ${verb} yet: ${said.slice(6)}`,
      remedy: 'It is tried again by itself. `npx proxmox-mcp host jobs NAME` shows what is at work.',
      retryable: true,
      details,
    });
  }
  if (exitCode === 77 && said.startsWith('stopped: ')) throw changesStopped(config, verb, said.slice(9), details);
  if (exitCode === 78 && said.startsWith('unsigned: ')) {
    throw new ServiceError({
      code: 'not-signed',
      message: `${host} did not execute ${verb}, for which it wants the signature of an administrator: ${said.slice(10)}`,
      remedy: `Nothing was changed. Plan it again, and sign that plan; npx proxmox-mcp host administrators ${host} shows whose signatures count there.`,
      details,
    });
  }
  // The shell's own printf says "I/O error" of a full disk.
  if (exitCode === 70 && /No space left on device|Disk quota exceeded|I\/O error/.test(stderr)) {
    throw new ServiceError({
      code: 'disk-full',
      message: `The helper on ${host} could not do its own work for ${verb}, because the disk of ${config.layout.state} is full: ${said.slice(8)}`,
      remedy: `Free space there (df ${config.layout.state}), then start it again; if there is space, look at the kernel's log for errors of the disk.`,
      details: { ...details, folder: config.layout.state },
    });
  }
  if (exitCode === 70 && said.startsWith('failed: ')) {
    throw new ServiceError({
      code: 'command-failed',
      message: `The helper on ${host} could not do its own work for ${verb}: ${said.slice(8)}`,
      remedy: `Look at ${config.layout.state} on ${host}: it must be a folder of root's with free space.`,
      retryable: true,
      details,
    });
  }
  const helperIsMissing = exitCode === 126 || exitCode === 127;
  if (!helperIsMissing && !(exitCode === 1 && stdout === '' && /^sudo(-rs)?: /m.test(stderr))) return;
  if (helperIsMissing || /command not found|unable to (execute|find)/.test(stderr)) {
    throw new ServiceError({
      code: 'command-refused',
      message: `${host} has no helper at ${config.layout.helper}, so that ${verb} can't be run`,
      remedy: `Run: npx proxmox-mcp host install ${host}`,
      details,
    });
  }
  throw new ServiceError({
    code: 'command-refused',
    message: `sudo on ${host} refused ${verb}: its policy doesn't admit it, or ${config.layout.helper} isn't there or isn't the helper that the policy was made for`,
    remedy: `Run: npx proxmox-mcp host check ${host}, and then: npx proxmox-mcp host install ${host}`,
    details,
  });
}

/** How far ahead of its clock the helper takes a fence; also in `fence.sh`. 5 min. */
const aheadMs = 5 * 60_000;

type Details = Readonly<Record<string, string | number>>;

function hostIsBehind({ name }: HostConfig, verb: string, clock: number, details: Details): ServiceError {
  return new ServiceError({
    code: 'clocks-differ',
    message: `${name} refused ${verb}, because fences are times, and this one is more than five minutes ahead of its clock: there it is ${timeOf(clock)}, here it is ${timeOf(Date.now())}`,
    remedy: `Nothing was changed. Set the clock that is wrong (timedatectl, here and on ${name}), then start this one again.`,
    details,
  });
}

function isAhead({ name }: HostConfig, verb: string, newest: number, details: Details): ServiceError {
  const known = newest <= Date.now() + aheadMs;
  return new ServiceError({
    code: 'clocks-differ',
    message: `${name} refused ${verb}, because it was shown a fence of ${timeOf(newest)}, and here it is ${timeOf(Date.now())}: a clock was set back or is wrong, or somebody else uses this service's key`,
    remedy: known
      ? `Nothing was changed. It passes by itself: start this one again after ${timeOf(newest)}.`
      : `Nothing was changed. Check the clocks (timedatectl, here and on ${name}). If they are right, run: npx proxmox-mcp host install ${name}. Its helper forgets such a fence.`,
    details,
  });
}

/** @param said - since when (ms), by whom and why, as the helper keeps it: somebody with the service's key may have written it. */
function changesStopped({ name, timeZone }: HostConfig, verb: string, said: string, details: Details): ServiceError {
  const [since = '', by = '', why = ''] = cleanLine(said, 400).split(' ');
  const when = /^\d{13}$/.test(since) ? readableTime(timeOf(Number(since)), timeZone) : 'an unknown time';
  return new ServiceError({
    code: 'changes-stopped',
    message: `${name} did not execute ${verb}: changes are stopped there since ${when}, by ${by || 'somebody'} (${why.replaceAll('_', ' ') || '-'})`,
    remedy: `Nothing was changed. When the cause is put right, an administrator lifts it: npx proxmox-mcp host allow-changes ${name}`,
    details,
  });
}

function timeOf(ms: number): string {
  const time = new Date(ms);
  return Number.isNaN(time.getTime()) ? String(ms) : time.toISOString();
}
