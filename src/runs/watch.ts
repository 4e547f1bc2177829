import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { Notices } from '../operations/notice.ts';
import { mailAgainSignal, noticesQuery, serviceQueue, watchId } from '../workflows/lib/messages.ts';

/** Only a worker can answer. */
const queryTimeoutMs = 3_000;

/** How its workflow is started, whoever does. */
export const watchOptions = {
  workflowId: watchId,
  taskQueue: serviceQueue,
  staticSummary: 'Watch over the scheduled runs',
  staticDetails: 'Mails once what became of scheduled runs that did not end well. Not a run; it never ends by itself.',
} as const;

/**
 * Starts the watch over the scheduled runs unless it runs, and has it try at once what it could not mail: the
 * configuration may be another one now. Safe to be called by several workers.
 */
export async function startWatch(client: Client): Promise<void> {
  await client.workflow.signalWithStart('watchRuns', {
    ...watchOptions,
    args: [await lastLife(client)],
    signal: mailAgainSignal,
  });
}

/** Where somebody ended it, the next begins where that one ended. */
async function lastLife(client: Client): Promise<{ readonly since?: number }> {
  try {
    const { closeTime } = await client.workflow.getHandle(watchId).describe();
    return closeTime === undefined ? {} : { since: closeTime.getTime() };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return {};
    throw error;
  }
}

/** What the watch says; `absent` where there is none, `silent` where no worker answers for it. */
export async function readNotices(client: Client): Promise<Notices | 'absent' | 'silent'> {
  const watch = client.workflow.getHandle(watchId);
  try {
    const { status } = await watch.describe();
    if (status.name !== 'RUNNING') return 'absent';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return 'absent';
    throw error;
  }
  try {
    return await client.withDeadline(Date.now() + queryTimeoutMs, () => watch.query(noticesQuery));
  } catch {
    return 'silent';
  }
}
