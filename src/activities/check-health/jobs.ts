import type { Host, JobSummary, RunOptions } from '../../hosts/host.ts';
import type { Finding } from '../../operations/finding.ts';
import { finding } from './finding.ts';

/**
 * Jobs that are at work on the host though the run they are for has ended: somebody terminated it, or its server lost
 * it. Nobody watches them any more, and the next run of the host waits for them or stops them.
 *
 * @param isRunning whether a run, by its workflow id, is still open
 */
export async function lookAtJobs(
  host: Host,
  isRunning: (run: string) => Promise<boolean>,
  options: RunOptions,
): Promise<Finding[]> {
  const jobs = (await host.jobs(options)).filter(isAtWork);
  const runs = [...new Set(jobs.flatMap(({ run }) => run ?? []))];
  const open = await Promise.all(runs.map(isRunning));
  const ended = runs.filter((_, index) => !open[index]);
  if (ended.length === 0) return [finding('Jobs', 'ok', fine(jobs.length))];
  // A run ends after its jobs: one that was at work when it was listed may have ended with its run since then.
  const left = (await host.jobs(options)).filter((job) => isAtWork(job) && ended.includes(job.run ?? ''));
  return left.length > 0 ? left.map((job) => abandoned(host.name, job)) : [finding('Jobs', 'ok', fine(0))];
}

function isAtWork({ state }: JobSummary): boolean {
  return state === 'running' || state === 'starting';
}

function fine(atWork: number): string {
  return atWork === 0 ? 'No job is at work.' : 'Every job that is at work has a run that goes on.';
}

function abandoned(host: string, { id, verb, run, startedAt }: JobSummary): Finding {
  const since = startedAt === undefined ? '' : ` since ${startedAt}`;
  return finding(
    'Abandoned job',
    'warning',
    `${verb} is at work${since} for the run ${run}, which has ended: nobody watches it. Stop it with: proxmox-mcp host jobs ${host} --cancel ${id}`,
  );
}
