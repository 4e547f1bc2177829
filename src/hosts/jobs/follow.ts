import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '../../errors.ts';
import type { CommandResult } from '../execution/executor.ts';
import { callHelper, type HostContext } from '../helper/call.ts';
import type { CancelledJob, CancelOptions, JobOptions } from '../host.ts';
import { type JobOutput, type JobStatus, parseCancel, parseStatus } from './protocol.ts';

const helperMs = 30_000;
/** Longest silence between two looks; the first are closer together, because many jobs are short. */
const longestWaitMs = 2_000;
/** A start that died before its job began is noticed after so many looks, and repeated. */
const looksBeforeRestart = 20;

export interface FollowOptions extends JobOptions {
  /** How much is kept of the end of each output, in bytes. Default 64 KiB. */
  readonly maxOutputBytes?: number | undefined;
}

export interface JobResult extends CommandResult {
  readonly id: string;
  /** True when an earlier attempt had started it and this call only found it. */
  readonly found: boolean;
}

/**
 * Starts a job of the host helper unless it is there, and follows it to its end. `vector`: verb, the fences that it
 * needs, arguments.
 */
export async function followJob(
  context: HostContext,
  vector: readonly string[],
  options: FollowOptions,
): Promise<JobResult> {
  const stop = AbortSignal.any([options.signal, options.leave].filter((signal) => signal !== undefined));
  let isThere = false;
  try {
    options.signal?.throwIfAborted();
    // Without a signal: a start that is cut off would leave it open whether there is a job to cancel.
    let found = await startJob(context, vector, options);
    isThere = true;
    let waitMs = 100;
    let looks = 0;
    let seen = { stdout: 0, stderr: 0 };
    for (;;) {
      stop.throwIfAborted();
      const status = await readStatus(context, options.id, seen.stdout, seen.stderr, stop);
      if (status.state !== 'running' && status.state !== 'starting' && status.state !== 'absent') {
        return await finish(context, vector[0] ?? '', status, options, found);
      }
      if (status.state !== 'running' && ++looks % looksBeforeRestart === 0) {
        found = (await startJob(context, vector, options)) && found;
      }
      options.onProgress?.({
        id: options.id,
        stdoutBytes: status.stdout.total,
        lastLine: lastLine(context, status.stdout),
      });
      seen = { stdout: status.stdout.kept, stderr: status.stderr.kept };
      await sleep(waitMs, undefined, { signal: stop });
      waitMs = Math.min(longestWaitMs, waitMs * 1.5);
    }
  } catch (error) {
    // There is nothing to cancel and nothing that goes on.
    if (error instanceof ServiceError && ['fenced-out', 'changes-stopped', 'not-signed'].includes(error.code))
      throw error;
    if (options.signal?.aborted) throw await cancelAndExplain(context, options.id);
    if (options.leave?.aborted && isThere) throw noLongerWatched(context, options.id);
    throw error;
  }
}

/** Stops a job with all its processes, or sees to it that it never starts. See `Host.cancelJob`. */
export async function cancelJob(
  context: HostContext,
  id: string,
  { fence, vmid }: CancelOptions = {},
): Promise<CancelledJob> {
  const numbers = [fence?.host, fence?.guest, vmid].filter((number) => number !== undefined);
  const args = ['job-cancel', id, ...numbers.map(String)];
  const result = await callHelper(context, args, { timeoutMs: 60_000, isLook: true });
  if (result.exitCode !== 0) {
    throw helperFailed(context, 'stop', id, result.exitCode);
  }
  return parseCancel(context.config.name, result.stdout);
}

/** What the helper takes for a run; another one, which only a person can have made up, isn't recorded. */
export function runWord(run = ''): string {
  return /^[A-Za-z0-9][A-Za-z0-9/_.:-]{0,199}$/.test(run) ? run : '-';
}

async function startJob(context: HostContext, vector: readonly string[], { id, run }: JobOptions): Promise<boolean> {
  const args = ['job-start', id, runWord(run), ...vector];
  const answer = await callHelper(context, args, { timeoutMs: helperMs, isLook: true });
  const said = answer.stdout.trim();
  if (answer.exitCode === 0 && (said === 'found' || said === 'started')) return said === 'found';
  throw helperFailed(context, 'start', id, answer.exitCode);
}

function helperFailed({ config }: HostContext, verb: 'start' | 'stop', job: string, exitCode: number): ServiceError {
  return new ServiceError({
    code: 'command-failed',
    message: `The helper on ${config.name} could not ${verb} job ${job} (exit code ${exitCode})`,
    remedy: `Look at the free space and the permissions of ${config.layout.state} on the host.`,
    retryable: true,
    details: { host: config.name, job, exitCode },
  });
}

async function readStatus(
  context: HostContext,
  id: string,
  stdoutFrom: number,
  stderrFrom: number,
  signal?: AbortSignal,
): Promise<JobStatus> {
  const args = ['job-status', id, String(stdoutFrom), String(stderrFrom)];
  const options = { timeoutMs: helperMs, isLook: true, maxOutputBytes: 160 * 1024, ...(signal ? { signal } : {}) };
  return parseStatus(context.config.name, (await callHelper(context, args, options)).stdout);
}

async function finish(
  context: HostContext,
  verb: string,
  status: JobStatus,
  options: FollowOptions,
  found: boolean,
): Promise<JobResult> {
  if (status.state !== 'ended' || status.exitCode === undefined) throw unfinished(context, verb, status, options);
  const max = options.maxOutputBytes ?? 64 * 1024;
  const stdout = await tail(context, options.id, 'stdout', status.stdout, max);
  const stderr = await tail(context, options.id, 'stderr', status.stderr, max);
  return {
    id: options.id,
    found,
    exitCode: status.exitCode,
    stdout,
    stderr,
    stdoutBytes: status.stdout.total,
    stderrBytes: status.stderr.total,
    truncated: status.stdout.total > max || status.stderr.total > max,
    durationMs: (status.endedMs ?? 0) - (status.beganMs ?? 0),
  };
}

/** The last bytes of what was kept of a stream, beginning at a character. */
async function tail(
  context: HostContext,
  id: string,
  stream: 'stdout' | 'stderr',
  { kept }: JobOutput,
  max: number,
): Promise<string> {
  const chunks: Buffer[] = [];
  let offset = Math.max(0, kept - max);
  const cutsCharacter = offset > 0;
  while (offset < kept) {
    const status = await readStatus(
      context,
      id,
      stream === 'stdout' ? offset : kept,
      stream === 'stderr' ? offset : kept,
    );
    const { chunk } = status[stream];
    if (chunk.length === 0) break;
    chunks.push(chunk);
    offset += chunk.length;
  }
  const text = Buffer.concat(chunks);
  const start = cutsCharacter ? text.findIndex((byte) => (byte & 0xc0) !== 0x80) : 0;
  return text.subarray(Math.max(0, start)).toString('utf8');
}

function lastLine({ redact = (text) => text }: HostContext, { chunk }: JobOutput): string {
  const lines = redact(chunk.toString('utf8'))
    .trimEnd()
    .split(/[\r\n]/);
  return (lines.at(-1) ?? '').slice(-200);
}

async function cancelAndExplain(context: HostContext, id: string): Promise<ServiceError> {
  const { left: pids, state } = await cancelJob(context, id);
  const what = pids.length === 0 ? 'nothing of it is left' : `these processes could not be stopped: ${pids.join(', ')}`;
  return new ServiceError({
    code: 'cancelled',
    message:
      state === 'ended'
        ? `Job ${id} on ${context.config.name} had ended before it could be cancelled`
        : `Job ${id} on ${context.config.name} was cancelled; ${what}`,
    remedy: pids.length === 0 ? 'Start the run again if it was a mistake.' : 'End them by hand on the host.',
    details: { host: context.config.name, job: id, state, left: pids.join(' ') },
  });
}

function noLongerWatched(context: HostContext, id: string): ServiceError {
  return new ServiceError({
    code: 'unavailable',
    message: `Job ${id} on ${context.config.name} goes on, but this worker stopped watching it`,
    remedy: 'Nothing to do: the next worker finds it.',
    retryable: true,
    details: { host: context.config.name, job: id },
  });
}

function unfinished({ config }: HostContext, verb: string, { state }: JobStatus, { id }: JobOptions): ServiceError {
  const details = { host: config.name, job: id, state, verb };
  const job = `Job ${id} (${verb}) on ${config.name}`;
  switch (state) {
    case 'cancelled':
      return new ServiceError({
        code: 'cancelled',
        message: `${job} was cancelled`,
        remedy: 'Start it again.',
        details,
      });
    case 'timeout':
      return new ServiceError({
        code: 'timeout',
        message: `${job} reached its deadline and was stopped by the host`,
        remedy: 'Look at its output for what it waited for.',
        details,
      });
    case 'fenced-out':
    case 'busy':
      return new ServiceError({
        code: 'fenced-out',
        message: `${job} was not executed, because another run holds the lock by now`,
        remedy: 'Nothing was changed. Start the run again.',
        details,
      });
    case 'changes-stopped':
    case 'not-signed':
      return new ServiceError({
        code: state,
        message: `${job} was not executed, because ${state === 'not-signed' ? 'nobody’s signature was left for it' : 'changes were stopped meanwhile'}`,
        remedy: 'Nothing was changed. Start the run again when that is put right.',
        details,
      });
    default:
      return new ServiceError({
        code: 'outcome-unknown',
        message: `${job} is gone without an exit code: the host rebooted or something stopped it`,
        remedy: 'Look at what it was to change before doing it again.',
        details,
      });
  }
}
