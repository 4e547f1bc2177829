import type { Client } from '@temporalio/client';
import { hostOfQueue, hostQueue, ledgerQueue, serviceQueue } from '../workflows/lib/messages.ts';

/** A worker that lives has polled within a minute and its answer's way. Milliseconds. */
const freshMs = 90_000;

/** TASK_QUEUE_TYPE_* of Temporal's API. */
const kinds = { workflows: 1, activities: 2 } as const;

/** What the workers that are there now take work from. */
export interface Serving {
  /** Workers, as each names itself (`process@machine`), with the hosts that it serves, in the configuration's order. */
  readonly workers: readonly {
    readonly identity: string;
    readonly hosts: readonly string[];
    readonly ledger: boolean;
  }[];
  /** Whether somebody takes workflows. */
  readonly runs: boolean;
  /** Whether somebody has the ledger. */
  readonly ledger: boolean;
  /** Configured hosts that nobody serves. */
  readonly unserved: readonly string[];
}

/** Asks the Temporal server for each queue; throws what it says. */
export async function readServing(client: Client, hosts: readonly string[]): Promise<Serving> {
  const [runs, ledger, ...byHost] = await Promise.all([
    pollersOf(client, serviceQueue, 'workflows'),
    pollersOf(client, ledgerQueue, 'activities'),
    ...hosts.map((host) => pollersOf(client, hostQueue(host), 'activities')),
  ]);
  const identities = [...new Set([...runs, ...ledger, ...byHost.flat()])].sort();
  return {
    workers: identities.map((identity) => ({
      identity,
      hosts: hosts.filter((_, index) => byHost[index]?.includes(identity)),
      ledger: ledger.includes(identity),
    })),
    runs: runs.length > 0,
    ledger: ledger.length > 0,
    unserved: hosts.filter((_, index) => byHost[index]?.length === 0),
  };
}

/** Who has lately asked for work of this queue: as the workers name themselves. */
export async function pollersOf(client: Client, queue: string, kind: keyof typeof kinds): Promise<readonly string[]> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: queue },
    taskQueueType: kinds[kind],
  });
  return (pollers ?? []).flatMap(({ identity, lastAccessTime }) => {
    const isFresh = Date.now() - Number(lastAccessTime?.seconds ?? 0) * 1_000 < freshMs;
    return isFresh && identity ? [identity] : [];
  });
}

/** `no worker serves pve2`: why an activity of this queue isn't begun, where nobody is there for it. */
export async function whyUnserved(client: Client, queue: string): Promise<string | undefined> {
  if ((await pollersOf(client, queue, 'activities')).length > 0) return undefined;
  const host = hostOfQueue(queue);
  if (host !== undefined) return `no worker serves ${host}`;
  return queue === ledgerQueue ? 'no worker has the ledger' : 'no worker takes work';
}
