import type { Host } from '../../clients/host.ts';
import { ServiceError } from '../../errors.ts';

/**
 * Stops the host's jobs that are at work and that `which` accepts by their id, each with all its processes. Only while
 * `fence` is the newest token there: who has lost the lease doesn't stop the jobs of its next holder.
 */
export async function stopJobs(host: Host, fence: number, which: (id: string) => boolean): Promise<void> {
  for (const { id, state } of await host.jobs()) {
    if ((state !== 'running' && state !== 'starting') || !which(id)) continue;
    const { left } = await host.cancelJob(id, { fence });
    if (left.length === 0) continue;
    throw new ServiceError({
      code: 'command-failed',
      message: `Job ${id} on ${host.name} was to be stopped, but these processes of it go on: ${left.join(', ')}`,
      remedy: 'It is tried again by itself; end them by hand on the host if it stays like this.',
      retryable: true,
      details: { host: host.name, job: id, left: left.join(' ') },
    });
  }
}
