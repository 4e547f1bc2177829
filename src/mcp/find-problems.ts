import type { Client } from '@temporalio/client';
import type { Config } from '../config.ts';
import type { Finding } from '../operations/finding.ts';
import { temporalAddress } from '../runs/temporal-endpoint.ts';
import { serviceQueue } from '../workflows/lib/messages.ts';

/** A worker that lives has polled within a minute and its answer's way. Milliseconds. */
const pollerFreshMs = 90_000;

/** How long the Temporal server may take to answer. Milliseconds. */
const deadlineMs = 3_000;

/** `TASK_QUEUE_TYPE_WORKFLOW` of Temporal's API. */
const workflowTasks = 1;

/** What keeps the service from working now: no Temporal, or nobody who takes its work. */
export async function findProblems(client: Client, config: Config): Promise<Finding[]> {
  try {
    const { pollers } = await client.withDeadline(Date.now() + deadlineMs, () =>
      client.workflowService.describeTaskQueue({
        namespace: config.temporal.namespace,
        taskQueue: { name: serviceQueue },
        taskQueueType: workflowTasks,
      }),
    );
    const seen = pollers?.map(({ lastAccessTime }) => Number(lastAccessTime?.seconds ?? 0) * 1_000) ?? [];
    if (seen.some((time) => Date.now() - time < pollerFreshMs)) return [];
    return [
      {
        check: 'Worker',
        verdict: 'failed',
        summary: 'No worker takes work: runs wait until one does.',
        remedy: 'See the log of the worker in the data folder, or start the service.',
      },
    ];
  } catch {
    return [
      {
        check: 'Temporal',
        verdict: 'failed',
        summary: `The Temporal server at ${temporalAddress(config)} doesn't answer: nothing can be started or looked up.`,
        remedy: "Run npx proxmox-mcp doctor on the service's machine.",
      },
    ];
  }
}
