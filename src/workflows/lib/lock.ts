import {
  ApplicationFailure,
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  proxyActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { LockActivities } from '../../activities/lock/lock.ts';
import { lockGrantedSignal, lockId, lockWaitSignal, releaseLockSignal } from './lock-messages.ts';
import { policies } from './policies.ts';
import { serviceQueue } from './queues.ts';

/** How long a run waits for others before it gives up: a night's backup may be behind a long upgrade. 2 h. */
const defaultWaitMs = 2 * 3_600_000;
/** It asks again meanwhile, ever more seldom: a lock that somebody ended has forgotten who waits. */
const askAgainMs = { first: 30_000, most: 10 * 60_000 };

/**
 * Runs `body` while holding the target's lock, with the grant's fencing token. Waiting is told to `onWait`, bounded and
 * cancellable; the lock is given back even when the run is cancelled. A holder that is gone frees it (`target-lock`).
 */
export async function withLock<T>(
  options: {
    readonly target: string;
    readonly title: string;
    readonly waitMs?: number;
    readonly onWait: (message: string) => void;
  },
  body: (fence: number) => Promise<T>,
): Promise<T> {
  const owner = workflowInfo().workflowId;
  const { requestLock } = proxyActivities<LockActivities>({ ...policies.service, taskQueue: serviceQueue });
  let token: number | undefined;
  setHandler(lockGrantedSignal, (grant) => {
    token = grant.token;
  });
  setHandler(lockWaitSignal, (wait) => {
    if (token === undefined) options.onWait(`Waiting for ${wait.holder.title} (${wait.holder.owner})`);
  });

  const until = Date.now() + (options.waitMs ?? defaultWaitMs);
  let pause = askAgainMs.first;
  try {
    while (token === undefined && Date.now() < until) {
      await requestLock.executeWithOptions({ ...policies.service, summary: `Lock ${options.target}` }, [
        { target: options.target, owner, title: options.title },
      ]);
      await condition(() => token !== undefined, Math.max(1, Math.min(pause, until - Date.now())), {
        summary: `Waiting for the lock of ${options.target}`,
      });
      pause = Math.min(pause * 2, askAgainMs.most);
    }
    if (token === undefined) {
      throw ApplicationFailure.nonRetryable(
        `Another change of ${options.target} was still going on when the waiting time was over. Look at it in the Temporal UI, then start this one again.`,
        'lock-timeout',
      );
    }
    return await body(token);
  } finally {
    await CancellationScope.nonCancellable(() => release(options.target, owner));
  }
}

async function release(target: string, owner: string): Promise<void> {
  try {
    await getExternalWorkflowHandle(lockId(target)).signal(releaseLockSignal, { owner });
  } catch {
    // The lock's workflow is gone, ended by a person: there is nothing left to give back.
  }
}
