import type { Client } from '@temporalio/client';
import { type LockRequest, lockId, requestLockSignal, serviceQueue } from '../../workflows/lib/messages.ts';
import { isRunning } from '../lib/is-running.ts';

export const queue = 'service';

/** What the locks need of the Temporal server that a workflow can't do itself. */
export function createLockActivities({ client }: { readonly client: Client }) {
  return {
    /** Starts the lock unless it runs, and puts the request into it; asking twice is asking once. */
    async requestLock(name: string, request: LockRequest): Promise<void> {
      await client.workflow.signalWithStart('targetLock', {
        workflowId: lockId(name),
        taskQueue: serviceQueue,
        args: [name],
        signal: requestLockSignal,
        signalArgs: [request],
        staticSummary: `Lock of ${name}`,
      });
    },

    /** Whether a run is still open. A run that the server doesn't know (any more) isn't. */
    isRunning: (workflowId: string): Promise<boolean> => isRunning(client, workflowId),
  };
}

export type LockActivities = ReturnType<typeof createLockActivities>;
