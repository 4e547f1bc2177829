import { ServiceError } from '../../errors.ts';
import type { CancelOptions, Host } from '../../hosts/host.ts';

/**
 * Stops the host's jobs that are at work and that `which` accepts by their id and run, each with all its processes. Only while
 * nobody has shown the host a newer fence: who has lost the lock doesn't stop the jobs of its next holder. Returns how
 * many lines of the host's list of jobs are not understood: what they may name goes on.
 *
 * @param never ids of jobs that an activity may be about to start, which nobody waits for any more: they never begin
 */
export async function stopJobs(
  host: Host,
  holder: CancelOptions,
  which: (id: string, run: string | undefined) => boolean,
  never: readonly string[] = [],
): Promise<number> {
  const { jobs, notUnderstood } = await host.jobs();
  for (const id of never) if (!jobs.some((job) => job.id === id)) await prevent(host, id, holder);
  for (const { id, run, state } of jobs)
    if ((state === 'running' || state === 'starting') && which(id, run)) await stop(host, id, holder);
  return notUnderstood;
}

async function stop(host: Host, id: string, holder: CancelOptions): Promise<void> {
  const { left } = await host.cancelJob(id, holder);
  if (left.length === 0) return;
  throw new ServiceError({
    code: 'command-failed',
    message: `Job ${id} on ${host.name} was to be stopped, but these processes of it go on: ${left.join(', ')}`,
    remedy: 'It is tried again by itself; end them by hand on the host if it stays like this.',
    retryable: true,
    details: { host: host.name, job: id, left: left.join(' ') },
  });
}

/** Where the helper can't note it (its disk is full), it can't begin a job either. */
async function prevent(host: Host, id: string, holder: CancelOptions): Promise<void> {
  try {
    await stop(host, id, holder);
  } catch (error) {
    const isHelpers = error instanceof ServiceError && error.details.exitCode !== undefined;
    if (!isHelpers || error.code === 'fenced-out') throw error;
  }
}
