import { setTimeout as sleep } from 'node:timers/promises';
import { ApiFailure } from './answer.ts';
import type { SimulatorState } from './state.ts';

const lockSeconds = 10;

/**
 * Changes a file of the cluster's own file system under its lock. Without quorum the lock isn't had: after some seconds
 * it fails. `prefix` goes before every failure, as in `create pool failed: …`.
 */
export async function changeClusterFile<Result>(
  state: SimulatorState,
  file: 'user.cfg' | 'storage.cfg' | 'jobs.cfg' | 'replication.cfg' | 'ha' | 'datacenter.cfg',
  prefix: string | undefined,
  change: () => Result,
): Promise<Result> {
  const lead = prefix === undefined ? '' : `${prefix}: `;
  if (!state.cluster.quorate) {
    await sleep(lockSeconds * state.pace.secondMs);
    const lock = file === 'ha' ? 'domain-ha' : `file-${file.replace('.', '_')}`;
    throw new ApiFailure(500, `${lead}cfs-lock '${lock}' error: no quorum!`);
  }
  try {
    return change();
  } catch (error) {
    if (error instanceof ApiFailure && error.status === 500) throw new ApiFailure(500, `${lead}${error.message}`);
    throw error;
  }
}
