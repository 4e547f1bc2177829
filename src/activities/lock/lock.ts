import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import {
  type LockRequest,
  type LockState,
  lockId,
  requestLockSignal,
  serviceQueue,
} from '../../workflows/lib/messages.ts';
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
        args: [name, await lastLife(client, name)],
        signal: requestLockSignal,
        signalArgs: [request],
        staticSummary: `Lock of ${name}`,
      });
    },

    /** Whether a run is still open. A run that the server doesn't know (any more) isn't. */
    isRunning: (workflowId: string): Promise<boolean> => isRunning(client, workflowId),
  };
}

/** What a lock begins anew with, when it isn't there: it never gives a fence again, whatever was done to the clock. */
async function lastLife(client: Client, name: string): Promise<LockState> {
  const state = { holders: [], queue: [] };
  try {
    const { status, runId } = await client.workflow.getHandle(lockId(name)).describe();
    // Of that very life: the next one, which somebody may have begun since, ends when its holders do.
    const ended = client.workflow.getHandle<(name: string) => Promise<number | null | undefined>>(lockId(name), runId);
    return { ...state, lastFence: status.name === 'COMPLETED' ? ((await ended.result()) ?? 0) : 0 };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return { ...state, lastFence: 0 };
    throw error;
  }
}

export type LockActivities = ReturnType<typeof createLockActivities>;
