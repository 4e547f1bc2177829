import { proxyActivities } from '@temporalio/workflow';
import type { NothingActivities } from './nothing.ts';

/** The same three steps and nothing else: what Temporal itself takes. */
export async function threeSteps(): Promise<void> {
  const { nothing } = proxyActivities<NothingActivities>({ startToCloseTimeout: '1m' });
  await nothing();
  await nothing();
  await nothing();
}
