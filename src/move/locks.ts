import { type Client, WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError } from '@temporalio/client';
import { z } from 'zod';
import { lockId, lockStateQuery, serviceQueue } from '../workflows/lib/messages.ts';
import type { ServerStore } from './store.ts';

const file = 'fences.json';
const content = z.record(z.string(), z.number());

/** Only a worker can answer. */
const queryTimeoutMs = 3_000;

type LockHandle = (name: string) => Promise<number | null | undefined>;

/**
 * The last fence of each lock: hosts refuse whoever shows a smaller one than they have seen. A lock of the new server that
 * begins with it gives greater ones, whatever that server's clock says.
 */
export const lockStore: ServerStore = {
  name: 'fences',
  keptBy: 'server',

  async export({ client, config }, into) {
    const fences: Record<string, number> = {};
    const query = "WorkflowType = 'targetLock'";
    // The newest life of each comes first.
    for await (const { workflowId, runId, status } of client.workflow.list({ query, pageSize: 1_000 })) {
      const name = workflowId.slice(lockId('').length);
      if (Object.hasOwn(fences, name)) continue;
      fences[name] = (await lastFence(client, { workflowId, runId, status: status.name })) ?? Date.now();
    }
    // A host is locked first of all in the new place, too, where its lock was not used for 30 days.
    for (const { name } of config.hosts) fences[`host/${name}`] ??= Date.now();
    into.write(file, fences);
    return { text: `${Object.keys(fences).length} locks` };
  },

  async import({ client, dryRun }, from) {
    const fences = Object.entries(from.read(file, content));
    let begun = 0;
    for (const [name, lastFence] of fences) {
      if (dryRun || (await hasGreater(client, name, lastFence))) continue;
      begun += await begin(client, name, lastFence);
    }
    return { text: dryRun ? `${fences.length} locks` : `${fences.length} locks, ${begun} of them begun` };
  },
};

/**
 * Undefined where nobody says: fences are times, so that the present one is as good. No run goes on, so that whoever is
 * still said to hold it has ended without a word.
 */
async function lastFence(
  client: Client,
  { workflowId, runId, status }: { readonly workflowId: string; readonly runId: string; readonly status: string },
): Promise<number | undefined> {
  const handle = client.workflow.getHandle<LockHandle>(workflowId, runId);
  if (status === 'COMPLETED') return (await handle.result()) ?? undefined;
  if (status !== 'RUNNING') return undefined;
  try {
    const state = await client.withDeadline(Date.now() + queryTimeoutMs, () => handle.query(lockStateQuery));
    return state.lastFence;
  } catch {
    return undefined;
  }
}

async function hasGreater(client: Client, name: string, lastFence: number): Promise<boolean> {
  const handle = client.workflow.getHandle<LockHandle>(lockId(name));
  try {
    const { status } = await handle.describe();
    if (status.name === 'COMPLETED') return ((await handle.result()) ?? 0) >= lastFence;
    return status.name === 'RUNNING';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

/** Nobody holds it, so that it ends as soon as a worker looks, and says with which fence. */
async function begin(client: Client, name: string, lastFence: number): Promise<0 | 1> {
  try {
    await client.workflow.start('targetLock', {
      workflowId: lockId(name),
      taskQueue: serviceQueue,
      args: [name, { holders: [], queue: [], lastFence }],
      workflowIdConflictPolicy: 'FAIL',
      staticSummary: `Lock of ${name}`,
    });
    return 1;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return 0;
    throw error;
  }
}
