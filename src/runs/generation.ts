import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, ScheduleAlreadyRunning, ScheduleNotFoundError, ScheduleOverlapPolicy } from '@temporalio/client';
import { z } from 'zod';
import { ServiceError } from '../errors.ts';
import { serviceQueue } from '../workflows/lib/messages.ts';

/** A schedule that has no times: nobody but Temporal keeps it, no worker has to answer for it, and it goes back with its database. */
const scheduleId = 'proxmox-mcp/generation';
/** A change of a schedule is there a moment after it was taken. */
const seenWithinMs = 15_000;

const head = z.object({ seq: z.int().min(0), hash: z.string() });

/**
 * The counter that the ledger and Temporal's database both keep, and that the process with the ledger counts on when it starts
 * and every hour. Whoever of the two is behind was put back to an older state.
 */
export const generation = z.object({
  /** Which ledger: a new one counts anew. */
  ledger: z.uuid(),
  number: z.int().min(1),
  /** The ledger's newest record then. */
  head: head.optional(),
});
export type Generation = z.infer<typeof generation>;

/** What of it stands in Temporal. */
const kept = generation.extend({
  /** It was found that something was put back: nothing may be executed, wherever the worker is. */
  restored: z
    .object({ at: z.iso.datetime(), why: z.string(), parts: z.array(z.enum(['temporal', 'ledger'])) })
    .optional(),
  /** The last decision to go on that was carried out. */
  wentOn: z.string().optional(),
});
export type KeptGeneration = z.infer<typeof kept>;

/** Undefined: this database has never had one. Needs no worker. Throws what the server says, and `unreadable`. */
export async function readGeneration(client: Client): Promise<KeptGeneration | undefined> {
  try {
    const { action } = await client.schedule.getHandle(scheduleId).describe();
    const found = kept.safeParse(action.memo?.generation);
    if (found.success) return found.data;
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return undefined;
    throw error;
  }
  throw new ServiceError({
    code: 'unreadable',
    message: `The schedule ${scheduleId} of Temporal holds no generation of this service`,
    remedy: 'Run the version of the service that has written it.',
  });
}

/** On the disk of Temporal's database when it resolves. */
export async function writeGeneration(client: Client, next: KeptGeneration): Promise<void> {
  const content = kept.parse(next);
  const memo = { generation: content };
  const action = {
    type: 'startWorkflow',
    // Triggered by hand it asks the ledger for its head.
    workflowType: 'askLedger',
    workflowId: 'ledger/head/generation',
    taskQueue: serviceQueue,
    args: [{ ask: 'head' }],
    memo,
  } as const;
  const state = { paused: true, note: 'Not a schedule: a counter by which a restored database is known' };
  try {
    await client.schedule.create({
      scheduleId,
      spec: {},
      action,
      state,
      policies: { overlap: ScheduleOverlapPolicy.SKIP },
    });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    await client.schedule.getHandle(scheduleId).update((previous) => ({ ...previous, action, state }));
  }
  const deadline = Date.now() + seenWithinMs;
  const wanted = JSON.stringify(content);
  while (JSON.stringify(await readGeneration(client)) !== wanted) {
    if (Date.now() > deadline) {
      throw new ServiceError({
        code: 'unavailable',
        message: `Temporal took a change of ${scheduleId}, and has not made it`,
        remedy: 'It is tried again by itself.',
        retryable: true,
      });
    }
    await sleep(50);
  }
}
