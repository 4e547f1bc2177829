import type { Client } from '@temporalio/client';
import { lockId, requestLockSignal } from '../../workflows/lib/lock-messages.ts';
import { serviceQueue } from '../../workflows/lib/queues.ts';
import { isRunning } from '../lib/is-running.ts';

export const queue = 'service';

/** What the lock needs of the Temporal server that a workflow can't do itself. */
export function createLockActivities({ client }: { readonly client: Client }) {
  return {
    /** Starts the target's lock unless it runs, and puts the request into it; asking twice is asking once. */
    async requestLock(request: { target: string; owner: string; title: string }): Promise<void> {
      await client.workflow.signalWithStart('targetLock', {
        workflowId: lockId(request.target),
        taskQueue: serviceQueue,
        args: [request.target],
        signal: requestLockSignal,
        signalArgs: [{ owner: request.owner, title: request.title }],
        staticSummary: `Lock of ${request.target}`,
      });
    },

    /** Whether a run is still open. A run that the server doesn't know (any more) isn't. */
    isRunning: (workflowId: string): Promise<boolean> => isRunning(client, workflowId),
  };
}

export type LockActivities = ReturnType<typeof createLockActivities>;
