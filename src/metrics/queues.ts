import type { Client } from '@temporalio/client';
import { followQueueOf, hostQueue, ledgerQueue, serviceQueue } from '../workflows/lib/messages.ts';
import type { ServiceInstruments } from './instruments.ts';

/** A worker asks anew at least once a minute; Temporal remembers for five who has asked. */
const asksWithinMs = 2 * 60_000;

/** temporal.api.enums.v1.TaskQueueType */
const kinds = { workflows: 1, activities: 2 } as const;

/** Who serves which queue, and what waits in it: of the service's own queues, and those of each host. */
export async function readQueues(
  client: Client,
  hosts: readonly string[],
  { pollers, backlog }: Pick<ServiceInstruments, 'pollers' | 'backlog'>,
  now = Date.now(),
): Promise<void> {
  const queues = [
    { queue: serviceQueue, tasks: 'workflows' },
    ...[serviceQueue, ledgerQueue, ...hosts.flatMap((host) => [hostQueue(host), followQueueOf(host)])].map(
      (queue) => ({ queue, tasks: 'activities' }) as const,
    ),
  ] as const;
  const found: { queue: string; tasks: string; asking: number; waiting: number }[] = [];
  for (const { queue, tasks } of queues) {
    const described = await client.workflowService.describeTaskQueue({
      namespace: client.options.namespace,
      taskQueue: { name: queue },
      taskQueueType: kinds[tasks],
      reportStats: true,
    });
    const asking = described.pollers?.filter(
      ({ lastAccessTime }) => Number(lastAccessTime?.seconds ?? 0) * 1_000 > now - asksWithinMs,
    );
    const waiting = Number(described.stats?.approximateBacklogCount ?? 0);
    found.push({ queue, tasks, asking: asking?.length ?? 0, waiting });
  }
  // Those of hosts that are no longer managed go.
  pollers.reset();
  backlog.reset();
  for (const { queue, tasks, asking, waiting } of found) {
    pollers.set({ queue, tasks }, asking);
    backlog.set({ queue, tasks }, waiting);
  }
}
