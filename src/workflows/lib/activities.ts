import { type ActivityInterfaceFor, proxyActivities } from '@temporalio/workflow';
import { type Policy, policies } from './policies.ts';
import { hostQueue, serviceQueue } from './queues.ts';

/** Activities of a host, on its own queue. `summary` is what the Temporal UI shows of each call. */
export function onHost<A>(host: string, policy: Policy, summary: string): ActivityInterfaceFor<A> {
  return proxyActivities<A>({ ...policies[policy], taskQueue: hostQueue(host), summary });
}

/** Activities that concern no host. */
export function onService<A>(summary: string): ActivityInterfaceFor<A> {
  return proxyActivities<A>({ ...policies.service, taskQueue: serviceQueue, summary });
}
