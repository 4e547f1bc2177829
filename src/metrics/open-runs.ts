import type { Client } from '@temporalio/client';
import type { Config } from '../config.ts';
import { catalogue } from '../operations/catalogue.generated.ts';
import { ofTypes } from '../runs/list-runs.ts';
import { memoOf, summaryOf } from '../runs/run-details.ts';
import { lockStateQuery } from '../workflows/lib/messages.ts';
import type { ServiceInstruments } from './instruments.ts';

/** Of how many locks is asked who waits: only those that somebody holds are there. */
const mostLocks = 200;
const lockAnswersWithinMs = 2_000;

/** What goes on, and what of it waits for a person. */
export async function readOpenRuns(
  client: Client,
  config: Config,
  { runsOpen, questions, oldestQuestion }: ServiceInstruments,
  now = Date.now(),
): Promise<void> {
  const open = new Map<string, number>();
  const asked = { approval: [] as number[], decision: [] as number[] };
  for await (const info of client.workflow.list({ query: `${ofTypes()} AND ExecutionStatus = 'Running'` })) {
    const { operation, state } = summaryOf(config, info);
    const key = JSON.stringify({ operation, phase: state });
    open.set(key, (open.get(key) ?? 0) + 1);
    const { question } = memoOf(info);
    if (question !== undefined) asked[question.kind].push(Date.parse(question.askedAt));
  }
  runsOpen.reset();
  for (const { name: operation } of Object.values(catalogue)) {
    for (const phase of ['running', 'paused']) runsOpen.set({ operation, phase }, 0);
  }
  for (const [key, number] of open) runsOpen.set(JSON.parse(key), number);
  for (const [kind, times] of Object.entries(asked)) {
    questions.set({ kind }, times.length);
    oldestQuestion.set({ kind }, times.length === 0 ? 0 : Math.max(0, now - Math.min(...times)) / 1_000);
  }
}

/** How many runs wait for a lock. A lock answers by a worker; one that doesn't is left out. */
export async function readLockWaiters(client: Client, { lockWaiters }: ServiceInstruments): Promise<void> {
  let waiting = 0;
  let locks = 0;
  const query = "WorkflowType = 'targetLock' AND ExecutionStatus = 'Running'";
  for await (const { workflowId } of client.workflow.list({ query })) {
    locks += 1;
    if (locks > mostLocks) break;
    const handle = client.workflow.getHandle(workflowId);
    const asked = client.withDeadline(Date.now() + lockAnswersWithinMs, () => handle.query(lockStateQuery));
    waiting += await asked.then(
      ({ queue }) => queue.length,
      () => 0,
    );
  }
  lockWaiters.set(waiting);
}
