import { type ActivityInterfaceFor, proxyActivities } from '@temporalio/workflow';
import { followQueueOf, hostQueue, ledgerQueue, serviceQueue } from './messages.ts';
import { type Policy, policies } from './policies.ts';

/**
 * Activities of a host, on its own queue; those that follow what lasts (`job`) on the queue with many slots. `summary` is
 * what the Temporal UI shows of each call.
 */
export function onHost<A>(host: string, policy: Policy, summary: string): ActivityInterfaceFor<A> {
  const taskQueue = policy === 'job' ? followQueueOf(host) : hostQueue(host);
  return proxyActivities<A>({ ...policies[policy], taskQueue, summary });
}

/** Activities that concern no host. */
export function onService<A>(summary: string): ActivityInterfaceFor<A> {
  return proxyActivities<A>({ ...policies.service, taskQueue: serviceQueue, summary });
}

/** Activities that need the ledger. */
export function onLedger<A>(summary: string): ActivityInterfaceFor<A> {
  return proxyActivities<A>({ ...policies.ledger, taskQueue: ledgerQueue, summary });
}
