import { Context } from '@temporalio/activity';
import { isServiceError, ServiceError } from '../../errors.ts';
import type { ProxmoxClient } from '../../proxmox/client.ts';
import { endTask, type FollowOptions, followTask, requireTaskSuccess, type TaskEnd } from '../../proxmox/tasks.ts';

const beatMs = 5_000;

/**
 * Follows a task to its end for the current activity and heartbeats its progress. When the run is cancelled, the task is
 * ended; when only this attempt ends (the worker shuts down, a heartbeat came too late), it goes on and the next
 * attempt follows it.
 *
 * @throws ServiceError `command-failed` for a task that failed, `cancelled` with how the task ended
 */
export async function followToSuccess(
  client: ProxmoxClient,
  upid: string,
  reading: Pick<FollowOptions, 'isProgress' | 'isResult'> = {},
): Promise<TaskEnd> {
  const context = Context.current();
  let last: unknown;
  const onProgress = (progress = last) => {
    last = progress;
    context.heartbeat(progress);
  };
  // A node that is away is waited for longer than a heartbeat may take.
  const timer = setInterval(() => onProgress(), beatMs);
  try {
    const end = await followTask(client, upid, { ...reading, signal: context.cancellationSignal, onProgress });
    if (reading.isResult?.(end.exitStatus) !== true) requireTaskSuccess(end);
    return end;
  } catch (error) {
    if (!isServiceError(error, 'cancelled')) throw error;
    if (!context.cancellationDetails?.cancelRequested) throw leftToNext(`The task ${upid} goes on`);
    const words = await endTask(client, upid);
    throw new ServiceError({
      code: 'cancelled',
      message: `The run was cancelled, and its task ${upid} was ended (${words})`,
      remedy: 'Start it again when it is wanted.',
      details: { upid },
    });
  } finally {
    clearInterval(timer);
  }
}

/** What an activity says that only ends because its worker does. */
export function leftToNext(what: string): ServiceError {
  return new ServiceError({
    code: 'unavailable',
    message: `${what}, but this worker stopped watching`,
    remedy: 'Nothing to do: the next worker goes on.',
    retryable: true,
  });
}
