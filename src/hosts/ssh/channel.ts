import type { ClientChannel, ExecOptions as Ssh2ExecOptions } from 'ssh2';
import { ServiceError } from '../../errors.ts';
import { awakeTimeout } from './awake-timeout.ts';
import type { Lease } from './pool.ts';

/**
 * Opens a channel and has the server start the command in it. `started` is called before anything else of the channel
 * is read: what came with the server's yes, such as the exit status, is told to who listens by then, and to nobody later.
 * Answers what `started` answers. The promise of this function is the line between "safe to do again" and "perhaps done":
 *
 * - `connection-lost`, `ssh-channel-refused`: the server never got the command.
 * - `command-refused`: the server got it and said that it did not start it.
 * - `outcome-unknown`: the server may have got it, and its answer was lost.
 */
export function openChannel<T>(
  what: string,
  lease: Lease,
  line: string,
  channelMs: number,
  started: (channel: ClientChannel) => T,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let sent = false;
    let late = false;
    const stopWaiting = awakeTimeout(channelMs, () => {
      late = true;
      lease.retire();
      const cause = new Error(`no answer within ${channelMs / 1000} s`);
      reject(sent ? outcomeUnknown(what, cause) : connectionLost(what, cause));
    });
    const command = Buffer.from(line);
    const options: Ssh2ExecOptions = {
      /**
       * ssh2 reads this once: after the server opened the channel and before it sends the command. It is the only
       * place where the two can be told apart, and where a command that was given up in between can be held back. An
       * error thrown here would end the connection, with all that others run over it; so something that does nothing is
       * sent instead, and the channel is closed below.
       */
      get env() {
        if (late) command.fill(' ').write('exit');
        sent = true;
        return {};
      },
    };
    try {
      // The library takes bytes as well as text; only its types don't say so.
      lease.client.exec(command as unknown as string, options, (error, channel) => {
        stopWaiting();
        if (late) channel?.close();
        else if (error === undefined) resolve(started(channel));
        else reject(openError(what, lease, sent, error));
      });
    } catch (error) {
      stopWaiting();
      lease.retire();
      reject(connectionLost(what, error));
    }
  });
}

function openError(what: string, lease: Lease, sent: boolean, error: Error & { reason?: unknown }): ServiceError {
  if (error.reason !== undefined) {
    return new ServiceError({
      code: 'ssh-channel-refused',
      message: `${what} could not be started: the SSH server refused another channel (${error.message})`,
      remedy: 'Raise MaxSessions in /etc/ssh/sshd_config on the host (its default, 10, is enough) and reload sshd.',
      retryable: true,
      cause: error,
    });
  }
  if (!sent) return connectionLost(what, lease.lost() ?? error);
  if (!lease.alive()) return outcomeUnknown(what, lease.lost() ?? error);
  return new ServiceError({
    code: 'command-refused',
    message: `${what} was not started: the SSH server refused to run a command`,
    remedy: "Check sshd's log on the host (journalctl -u ssh): its user may be out of processes, or restricted.",
    retryable: true,
    cause: error,
  });
}

/** The connection is gone and the command was never sent. */
export function connectionLost(what: string, cause: unknown): ServiceError {
  return new ServiceError({
    code: 'connection-lost',
    message: `${what} was not started: the SSH connection was lost before${why(cause)}`,
    remedy: 'It is safe to try again; if it happens often, look at the network and at sshd on the host.',
    retryable: true,
    cause,
  });
}

/** The connection is gone and the command was sent: it may have ended in any way, or still run. */
export function outcomeUnknown(what: string, cause?: unknown): ServiceError {
  return new ServiceError({
    code: 'outcome-unknown',
    message: `It is unknown how ${what} ended: the SSH connection was lost while it ran${why(cause)}`,
    remedy: 'Look at what it was to change before doing it again; it may have ended, failed, or still run.',
    ...(cause === undefined ? {} : { cause }),
  });
}

function why(cause: unknown): string {
  return cause instanceof Error ? ` (${cause.message})` : '';
}
