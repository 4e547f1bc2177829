import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientChannel } from 'ssh2';
import { isServiceError, ServiceError } from '../../errors.ts';
import { type Deadline, startDeadline, stopCode, stopped } from '../execution/deadline.ts';
import { executionIdName, nextExecutionId } from '../execution/execution-id.ts';
import type { Argv, CommandResult, ExecOptions } from '../execution/executor.ts';
import { attach, type Ended, endedBySignal, result } from '../execution/running.ts';
import { openChannel, outcomeUnknown } from './channel.ts';
import { toCommandLine } from './command-line.ts';
import { endCommand } from './end-command.ts';
import type { SshLimits } from './limits.ts';
import { findBeginning, sayBeginning, shellEnded } from './login-shell.ts';
import type { Lease, Pool } from './pool.ts';

export interface ExecContext {
  readonly name: string;
  readonly pool: Pool;
  readonly limits: SshLimits;
}

/** Runs one command on the host; see `Executor.exec`. */
export async function execOverSsh(context: ExecContext, argv: Argv, options: ExecOptions): Promise<CommandResult> {
  const begun = performance.now();
  // Arguments may be long or private; the program says enough.
  const what = `${context.name}: ${argv[0]}`;
  const executionId = nextExecutionId();
  // Shell files may print, also where nobody is logged in at a terminal.
  const line = sayBeginning(executionId, toCommandLine(argv, { name: executionIdName, value: executionId }));
  const beginning = findBeginning(executionId);
  const deadline = startDeadline(what, options.timeoutMs, options.signal);
  let lease: Lease | undefined;
  try {
    const started = await start(context, what, line, deadline, (channel) => {
      const letGo = () => channel.close();
      const ends = { stdin: channel, stdout: channel, stderr: channel.stderr };
      const streams = { ...ends, ofCommand: beginning.after, events: channel, letGo };
      return { channel, command: attach(what, streams, options) };
    });
    lease = started.lease;
    const { channel, command } = started;
    const first = await Promise.race([command.ended, command.failed, deadline.passed]);
    if (first === 'passed' || first instanceof ServiceError) {
      const ended = await endCommand(lease, channel, executionId, command.ended, context.limits);
      const error =
        first === 'passed'
          ? stopped(stopCode(deadline), what, options.timeoutMs, ended ? 'ended' : 'perhaps still running')
          : first;
      command.abandon(error);
      throw error;
    }
    const exitCode = judge(what, lease, first, command.abandon);
    const printed = beginning.unbegun();
    if (printed !== undefined) {
      const error = shellEnded(what, exitCode, printed, command.stderr.text());
      command.abandon(error);
      throw error;
    }
    return await result(what, command, exitCode, begun, deadline, options);
  } finally {
    deadline.clear();
    lease?.release();
  }
}

/** How long a server is given to free a channel that has ended, before it is asked again. */
const freeingMs = 25;

/** Leases channels until the server opens one: a connection that is refused one learns how many it may have. */
async function start<T>(
  { pool, limits }: ExecContext,
  what: string,
  line: string,
  deadline: Deadline,
  started: (channel: ClientChannel) => T,
): Promise<T & { lease: Lease }> {
  for (;;) {
    const lease = await pool.lease(deadline);
    try {
      const command = await openChannel(what, lease, line, limits.channelMs, started);
      lease.opened();
      return { ...command, lease };
    } catch (error) {
      const refusal = isServiceError(error, 'ssh-channel-refused') ? lease.refused() : 'never';
      lease.release();
      if (refusal === 'never') throw error;
      if (refusal === 'soon') await sleep(freeingMs);
    }
  }
}

function judge(what: string, lease: Lease, ended: Ended, abandon: (error: Error) => void): number {
  // A connection that died after the exit status may have lost output: that isn't a result either.
  if (typeof ended.code === 'number' && lease.alive()) return ended.code;
  const error = ended.code === null ? endedBySignal(what, ended.signal) : outcomeUnknown(what, lease.lost());
  abandon(error);
  throw error;
}
