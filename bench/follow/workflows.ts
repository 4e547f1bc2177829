import { onHost } from '../../src/workflows/lib/activities.ts';

/** What the worker of this bench does: a look that takes no time, and a job that lasts until it is cancelled. */
export interface FollowActivities {
  look(): Promise<void>;
  follow(): Promise<void>;
}

/** A quick look at a host, as each section of a health check is. */
export async function lookAtHost(host: string): Promise<void> {
  await onHost<FollowActivities>(host, 'look', 'Look').look();
}

/** A long job of the same host. */
export async function followJob(host: string): Promise<void> {
  await onHost<FollowActivities>(host, 'job', 'Follow').follow();
}
