import { CancellationScope, isCancellation, patched } from '@temporalio/workflow';
import type { ReadingJobsActivities } from '../../activities/reading-jobs/reading-jobs.ts';
import { onHost } from './activities.ts';

/**
 * Does what reads in jobs on a host. When the run is cancelled meanwhile they are stopped, wherever its worker was: nobody waits for
 * them any more, and they may read for hours. Where the host can't be reached they read to their end, which changes nothing.
 */
export async function whileReading<T>(host: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isCancellation(error) && patched('stop-reading')) {
      const stop = () => onHost<ReadingJobsActivities>(host, 'survey', 'Stop reading').stopReading({ host });
      await CancellationScope.nonCancellable(stop).catch(() => undefined);
    }
    throw error;
  }
}
