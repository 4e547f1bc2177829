import type { Hosts } from '../../hosts/host.ts';
import { withHeartbeat } from '../lib/heartbeat.ts';
import { currentRun } from '../lib/run-job.ts';
import { stopJobs } from '../lib/stop-jobs.ts';

export const queue = 'host';

/** Jobs of runs that only read, which nothing takes back. */
export interface ReadingJobsActivities {
  /** Stops what the current run has at work on the host. */
  stopReading(input: { readonly host: string }): Promise<void>;
}

export function createReadingJobsActivities({ hosts }: { readonly hosts: Hosts }): ReadingJobsActivities {
  return {
    async stopReading({ host }) {
      const own = currentRun();
      await withHeartbeat(() => stopJobs(hosts.get(host), {}, (_, run) => run === own));
    },
  };
}
