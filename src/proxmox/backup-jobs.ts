import type { z } from 'zod';
import type { backupJobsSchema } from './schemas.ts';

/** A job under Datacenter > Backup. */
export type BackupJob = z.output<typeof backupJobsSchema>[number];

/**
 * Whether a job backs a guest of a node up when it runs.
 *
 * @param node the guest's; undefined: not asked, as no job is for one node alone
 * @param pool the guest's; undefined: it is in none, or nobody says in which
 */
export function isFor(
  job: BackupJob,
  vmid: number,
  { node, pool }: { readonly node: string | undefined; readonly pool?: string | undefined },
): boolean {
  const has = (list: string | number | undefined) =>
    String(list ?? '')
      .split(/[,; ]+/)
      .includes(String(vmid));
  if (job.node !== undefined && job.node !== node) return false;
  if (job.all === true) return !has(job.exclude);
  return job.pool === undefined ? has(job.vmid) : job.pool === pool;
}
