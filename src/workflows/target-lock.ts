import {
  allHandlersFinished,
  condition,
  continueAsNew,
  getExternalWorkflowHandle,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { LockActivities } from '../activities/lock/lock.ts';
import {
  type LockRequest,
  type LockState,
  lockGrantedSignal,
  lockStateQuery,
  lockWaitSignal,
  releaseLockSignal,
  requestLockSignal,
} from './lib/lock-messages.ts';
import { policies } from './lib/policies.ts';
import { serviceQueue } from './lib/queues.ts';

/** How often a holder that others wait for is checked to be alive: the lease. 15 s. */
const leaseMs = 15_000;

/**
 * The lock of one target: one holder, others in order. Lives while somebody holds or waits. A holder is a run; whether
 * it still runs is looked up while somebody waits for it, so that a terminated run frees its lock within a lease, and a
 * run whose worker is only away keeps it. The token it grants is checked by the helper on the host: a worker that still
 * acts for a run that lost its lock is refused there.
 */
export async function targetLock(target: string, carried?: LockState): Promise<void> {
  const { isRunning } = proxyActivities<LockActivities>({ ...policies.service, taskQueue: serviceQueue });
  let holder = carried?.holder;
  let queue: LockRequest[] = [...(carried?.queue ?? [])];
  let lastToken = carried?.lastToken ?? 0;
  let changed = false;

  const state = (): LockState => ({ ...(holder && { holder }), queue, lastToken });
  setHandler(lockStateQuery, state);
  setHandler(requestLockSignal, (request) => {
    if (holder?.owner === request.owner || queue.some((waiting) => waiting.owner === request.owner)) return;
    queue.push(request);
    changed = true;
  });
  setHandler(releaseLockSignal, ({ owner }) => {
    if (holder?.owner === owner) holder = undefined;
    queue = queue.filter((waiting) => waiting.owner !== owner);
    changed = true;
  });

  while (holder || queue.length > 0) {
    changed = false;
    if (!holder) await grantNext();
    await tellWaiting();
    if (queue.length === 0) await condition(() => changed);
    else if (!(await condition(() => changed, leaseMs, { summary: 'Lease' }))) await dropDeadHolder();
    if (workflowInfo().continueAsNewSuggested) {
      await condition(allHandlersFinished);
      await continueAsNew<typeof targetLock>(target, state());
    }
  }

  async function grantNext(): Promise<void> {
    const next = queue.shift();
    if (!next) return;
    lastToken = Math.max(lastToken + 1, Date.now());
    // Set before it is told: a release that arrives while the grant is on its way must find it.
    holder = { ...next, token: lastToken };
    const told = await reaches(getExternalWorkflowHandle(next.owner).signal(lockGrantedSignal, { token: lastToken }));
    if (told) return;
    if (holder?.owner === next.owner) holder = undefined;
    changed = true;
  }

  async function tellWaiting(): Promise<void> {
    setCurrentDetails(markdown(state()));
    const current = holder;
    if (!current) return;
    const { owner, title } = current;
    const told = await Promise.all(
      queue.map((waiting, index) =>
        reaches(
          getExternalWorkflowHandle(waiting.owner).signal(lockWaitSignal, {
            holder: { owner, title },
            position: index + 1,
          }),
        ).then((there) => (there ? undefined : waiting.owner)),
      ),
    );
    queue = queue.filter((waiting) => !told.includes(waiting.owner));
  }

  async function dropDeadHolder(): Promise<void> {
    const checked = holder?.owner;
    if (checked && !(await mayRun(checked)) && holder?.owner === checked) holder = undefined;
  }

  /** Who can't be asked about isn't dead: with this workflow the lock itself would go, and all who wait would be forgotten. */
  async function mayRun(owner: string): Promise<boolean> {
    try {
      return await isRunning(owner);
    } catch (error) {
      if (isCancellation(error)) throw error;
      return true;
    }
  }
}

/** Whether a signal found its run; one that has ended can't be told anything. */
async function reaches(signal: Promise<void>): Promise<boolean> {
  try {
    await signal;
    return true;
  } catch {
    return false;
  }
}

function markdown({ holder, queue }: LockState): string {
  const waiting = queue.map((request, index) => `${index + 1}. ${request.title} (\`${request.owner}\`)`);
  return [
    holder ? `Held by **${holder.title}** (\`${holder.owner}\`)` : 'Free',
    ...(waiting.length > 0 ? ['', 'Waiting:', '', ...waiting] : []),
  ].join('\n');
}
