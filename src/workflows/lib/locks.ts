import {
  ApplicationFailure,
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  metricMeter,
  proxyActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { LockActivities } from '../../activities/lock/lock.ts';
import { lockWait } from '../../operations/lock-wait.ts';
import { inOrder, type Lock } from '../../operations/target.ts';
import { lockGrantedSignal, lockId, lockWaitSignal, releaseLockSignal, serviceQueue } from './messages.ts';
import { policies } from './policies.ts';

/** How long a run waits for others before it gives up: a night's backup may be behind a long upgrade. 2 h. */
const waitMs = 2 * 3_600_000;
/** It asks again meanwhile, ever more seldom: a lock that somebody ended has forgotten who waits. */
const askAgainMs = { first: 30_000, most: 10 * 60_000 };

/** The locks of one run. It may give them back and take them again, as it must while it waits for a person. */
export interface RunLocks {
  /**
   * Takes locks, in their one order; resolves when all are held. Throws `lock-timeout` after two hours, holding none of
   * them. Waiting is told to `onWait`, and can be cancelled.
   */
  take(locks: readonly Lock[]): Promise<void>;
  /**
   * Gets newer fences for what is held, without giving it back. `kept`: nobody else has held any of it meanwhile;
   * `taken-again`: somebody may have; `lost`: it could not be had in time, and nothing is held any more.
   */
  renew(): Promise<'kept' | 'taken-again' | 'lost'>;
  /** Gives everything back, or only what is named; also when the run is cancelled. */
  release(names?: readonly string[]): Promise<void>;
  /** The fences of what is held now, by the lock's name. */
  readonly fences: Readonly<Record<string, number>>;
}

/** A holder that is gone frees its locks by itself; see `target-lock`. */
export function createLocks(options: {
  /** For metrics. */
  readonly operation: string;
  /** For people who wait behind this run. */
  readonly title: string;
  /** Run whose locks this one shares while it holds them. */
  readonly within?: string | undefined;
  readonly onWait: (message: string) => void;
}): RunLocks {
  const owner = workflowInfo().workflowId;
  const { requestLock } = proxyActivities<LockActivities>({ ...policies.service, taskQueue: serviceQueue });
  const waited = metricMeter.createHistogram(lockWait.name, 'float', 's', lockWait.help);
  const fences = new Map<string, number>();
  /** What was asked for and not given back, held or not, with its turn. */
  const asked = new Map<string, number>();
  let held: readonly Lock[] = [];
  let turns = 0;
  /** Counts the grants that weren't renewals. */
  let taken = 0;

  setHandler(lockGrantedSignal, ({ lock, turn, fence, isRenewal = false }) => {
    // A grant from before a release is no grant any more.
    if (asked.get(lock) !== turn) return;
    fences.set(lock, fence);
    if (!isRenewal) taken += 1;
  });
  setHandler(lockWaitSignal, ({ lock, before }) => {
    if (asked.has(lock) && !fences.has(lock)) options.onWait(`Waiting for ${before.title} (${before.owner})`);
  });

  return {
    get fences() {
      return Object.fromEntries(fences);
    },
    take,
    async renew() {
      const before = taken;
      fences.clear();
      try {
        await take(held);
      } catch {
        return 'lost';
      }
      return taken === before ? 'kept' : 'taken-again';
    },
    release,
  };

  async function take(locks: readonly Lock[]): Promise<void> {
    const until = Date.now() + waitMs;
    try {
      for (const lock of inOrder(locks)) await takeOne(lock, until);
      held = [...new Set([...held, ...locks])];
    } catch (error) {
      await release(locks.map(({ name }) => name).filter((name) => asked.has(name)));
      throw error;
    }
  }

  async function takeOne({ name, mode }: Lock, until: number): Promise<void> {
    const turn = ++turns;
    const began = Date.now();
    asked.set(name, turn);
    let pause = askAgainMs.first;
    while (!fences.has(name) && Date.now() < until) {
      const request = {
        owner,
        title: options.title,
        mode,
        turn,
        ...(options.within === undefined ? {} : { within: options.within }),
      };
      await requestLock.executeWithOptions({ ...policies.service, summary: `Lock ${name}` }, [name, request]);
      await condition(() => fences.has(name), Math.max(1, Math.min(pause, until - Date.now())), {
        summary: `Waiting for the lock ${name}`,
      });
      pause = Math.min(pause * 2, askAgainMs.most);
    }
    const outcome = fences.has(name) ? 'ok' : 'lock-timeout';
    waited.record((Date.now() - began) / 1_000, { operation: options.operation, outcome });
    if (outcome === 'ok') return;
    throw ApplicationFailure.nonRetryable(
      `Another change of ${name} was still going on when the waiting time was over. Look at it in the Temporal UI, then start this one again.`,
      'lock-timeout',
    );
  }

  function release(names: readonly string[] = [...asked.keys()]): Promise<void> {
    return CancellationScope.nonCancellable(async () => {
      held = held.filter(({ name }) => !names.includes(name));
      for (const name of names) {
        asked.delete(name);
        fences.delete(name);
      }
      await Promise.all(names.map((name) => giveBack(name, owner)));
    });
  }
}

async function giveBack(name: string, owner: string): Promise<void> {
  try {
    await getExternalWorkflowHandle(lockId(name)).signal(releaseLockSignal, { owner });
  } catch {
    // The lock's workflow is gone, ended by a person: there is nothing left to give back.
  }
}
