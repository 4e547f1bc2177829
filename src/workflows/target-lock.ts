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
  type LockGrant,
  type LockHolder,
  type LockRequest,
  type LockState,
  lockGrantedSignal,
  lockStateQuery,
  lockWaitSignal,
  releaseLockSignal,
  requestLockSignal,
  serviceQueue,
} from './lib/messages.ts';
import { policies } from './lib/policies.ts';
import { movesOn } from './lib/versioning.ts';

/** How often the holders that others wait for are checked to be alive. 15 s. */
const checkHoldersMs = 15_000;
/** A host takes no fence that is further ahead of its clock (`fence.sh`), so neither is one given. 5 min. */
const aheadMs = 5 * 60_000;

/**
 * One lock: several shared holders or one exclusive one, the others in the order in which they came. An exclusive request
 * that waits stops later shared ones, so that it isn't kept waiting for ever. Lives while somebody holds or waits.
 * A holder is a run; whether it still runs is looked up while somebody waits, so that a terminated run frees its lock
 * within seconds, and a run whose worker is only away keeps it. The fence it grants is checked by the helper on the host:
 * a worker that still acts for a run that lost its lock is refused there.
 *
 * @param carried what it begins with: of its last part, or the last fence of its last life
 * @returns the last fence that it gave
 */
export async function targetLock(name: string, carried?: LockState): Promise<number> {
  const { isRunning } = proxyActivities<LockActivities>({ ...policies.service, taskQueue: serviceQueue });
  let holders: readonly LockHolder[] = carried?.holders ?? [];
  let queue: readonly LockRequest[] = carried?.queue ?? [];
  let lastFence = carried?.lastFence ?? 0;
  let renewals: readonly LockRequest[] = [];
  let changed = false;

  const state = (): LockState => ({ holders, queue, lastFence });
  setHandler(lockStateQuery, state);
  setHandler(requestLockSignal, (request) => {
    const known = [...holders, ...queue].find(({ owner }) => owner === request.owner);
    // Who holds it and asks anew wants another fence, as no host takes the one it has.
    if (holders.some((holder) => holder === known && holder.turn < request.turn)) renewals = [...renewals, request];
    else if (known) return;
    else queue = [...queue, request];
    changed = true;
  });
  setHandler(releaseLockSignal, ({ owner }) => {
    forget(owner);
    changed = true;
  });

  while (holders.length > 0 || queue.length > 0) {
    changed = false;
    await renewAll();
    await grantAll();
    await tellWaiting();
    if (queue.length === 0) await condition(() => changed);
    else if (!(await condition(() => changed, checkHoldersMs, { summary: 'Check the holders' })))
      await dropDeadHolders();
    if (workflowInfo().continueAsNewSuggested) {
      await condition(allHandlersFinished);
      await continueAsNew<typeof targetLock>(name, state());
    }
  }
  return lastFence;

  function forget(gone: string): void {
    holders = holders.filter(({ owner }) => owner !== gone);
    queue = queue.filter(({ owner }) => owner !== gone);
  }

  async function grantAll(): Promise<void> {
    for (let next = grantable(); next !== undefined; next = grantable()) {
      const { request } = next;
      const fence = next.shares?.fence ?? nextFence();
      queue = queue.filter((waiting) => waiting !== request);
      const holder = { ...request, mode: next.shares?.mode ?? request.mode, fence };
      // Set before it is told: a release that arrives while the grant is on its way must find it.
      holders = [...holders, holder];
      await tell(holder);
    }
  }

  /** Gives who asked for it a newer fence, and those who share its lock within its stretch. */
  async function renewAll(): Promise<void> {
    for (let [next] = renewals; next !== undefined; [next] = renewals) {
      const { owner, turn } = next;
      renewals = renewals.slice(1);
      const former = holders.find((holder) => holder.owner === owner)?.fence;
      if (former === undefined) continue;
      const fence = nextFence();
      const renewed = (holder: LockHolder) => ({ ...holder, fence, turn: holder.owner === owner ? turn : holder.turn });
      holders = holders.map((holder) => (holder.fence === former ? renewed(holder) : holder));
      for (const holder of holders) if (holder.fence === fence) await tell(holder, { isRenewal: true });
    }
  }

  /** The time, or one more than the last: never lower, unless the clock was so far ahead that no host takes such fences. */
  function nextFence(): number {
    const now = Date.now();
    lastFence = lastFence > now + aheadMs ? now : Math.max(lastFence + 1, now);
    return lastFence;
  }

  async function tell({ owner, turn, fence }: LockHolder, more: Pick<LockGrant, 'isRenewal'> = {}): Promise<void> {
    const grant = { lock: name, turn, fence, ...more };
    if (!(await reaches(getExternalWorkflowHandle(owner).signal(lockGrantedSignal, grant)))) forget(owner);
  }

  /** Who comes next, if it may come now. A child of a holder shares what its parent holds, whoever waits. */
  function grantable(): { readonly request: LockRequest; readonly shares?: LockHolder } | undefined {
    for (const request of queue) {
      const shares = holders.find(({ owner }) => owner === request.within);
      if (shares) return { request, shares };
    }
    const [request] = queue;
    if (!request) return undefined;
    const free = holders.length === 0 || (request.mode === 'shared' && holders.every(({ mode }) => mode === 'shared'));
    return free ? { request } : undefined;
  }

  async function tellWaiting(): Promise<void> {
    setCurrentDetails(markdown(state()));
    const told = await Promise.all(
      queue.map(async (waiting, index) => {
        const blocking = holders[0] ?? queue[index - 1];
        if (!blocking) return undefined;
        const before = { owner: blocking.owner, title: blocking.title };
        const handle = getExternalWorkflowHandle(waiting.owner);
        return (await reaches(handle.signal(lockWaitSignal, { lock: name, before }))) ? undefined : waiting.owner;
      }),
    );
    for (const gone of told) if (gone !== undefined) forget(gone);
  }

  async function dropDeadHolders(): Promise<void> {
    const checked = holders.map(({ owner }) => owner);
    const alive = await Promise.all(checked.map(mayRun));
    for (const [index, owner] of checked.entries()) if (!alive[index]) forget(owner);
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
movesOn(targetLock);

/** Whether a signal found its run; one that has ended can't be told anything. */
async function reaches(signal: Promise<void>): Promise<boolean> {
  try {
    await signal;
    return true;
  } catch {
    return false;
  }
}

function markdown({ holders, queue }: LockState): string {
  const line = ({ title, owner, mode }: LockRequest) => `**${title}** (\`${owner}\`, ${mode})`;
  return [
    ...(holders.length === 0 ? ['Free'] : ['Held by:', '', ...holders.map((holder) => `- ${line(holder)}`)]),
    ...(queue.length === 0
      ? []
      : ['', 'Waiting:', '', ...queue.map((request, index) => `${index + 1}. ${line(request)}`)]),
  ].join('\n');
}
