import type { Host, JobSummary, RunOptions } from '../../hosts/host.ts';
import type { Finding } from '../../operations/finding.ts';
import { finding } from './finding.ts';

/**
 * Jobs that are at work on the host though the run they are for has ended: somebody terminated it, or its server lost
 * it. Nobody watches them any more, and the next run of the host waits for them or stops them.
 *
 * @param isRunning whether a run, by its workflow id, is still open
 */
export async function inspectJobs(
  host: Host,
  isRunning: (run: string) => Promise<boolean>,
  options: RunOptions,
): Promise<Finding[]> {
  const { jobs, notUnderstood } = await host.jobs(options);
  return [...(await judgeJobs(host, jobs.filter(isAtWork), isRunning, options)), ...strange(notUnderstood)];
}

async function judgeJobs(
  host: Host,
  atWork: readonly JobSummary[],
  isRunning: (run: string) => Promise<boolean>,
  options: RunOptions,
): Promise<Finding[]> {
  const runs = [...new Set(atWork.flatMap(({ run }) => run ?? []))];
  const open = await Promise.all(runs.map(isRunning));
  const ended = runs.filter((_, index) => !open[index]);
  if (ended.length === 0) return [finding('Jobs', 'ok', fine(atWork.length))];
  // A run ends after its jobs: one that was at work when it was listed may have ended with its run since then.
  const { jobs } = await host.jobs(options);
  const left = jobs.filter((job) => isAtWork(job) && ended.includes(job.run ?? ''));
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
  const summary = `${verb} is at work${since} for the run ${run}, which has ended: nobody watches it.`;
  return finding('Abandoned job', 'warning', summary, {
    remedy: `Stop it with: npx proxmox-mcp host jobs ${host} --cancel ${id}`,
  });
}

function strange(lines: number): Finding[] {
  if (lines === 0) return [];
  const summary = `${lines} lines of the host's list of jobs are not understood: no helper of ours printed them.`;
  return [
    finding('List of jobs', 'unknown', summary, { remedy: 'Look at the jobs folder of the helper on the host.' }),
  ];
}
