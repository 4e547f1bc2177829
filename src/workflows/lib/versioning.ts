import { setWorkflowOptions } from '@temporalio/workflow';

/**
 * Set in the sandbox by a worker that works under versioning (`workflow-bundle.ts` of the worker). The server takes a workflow's
 * behaviour only from such a worker, and refuses every task of another one that names it.
 */
declare global {
  var isVersionedWorker: true | undefined;
}

/**
 * A workflow that never ends by itself, or serves runs of all builds: it goes over to the current build with its next task, as
 * every workflow does without versioning, and no old worker is kept for it. Its code changes with patches. Everything else
 * ends on the build that it began on.
 */
export function movesOn<Args extends unknown[], Result>(workflow: (...args: Args) => Promise<Result>): void {
  if (globalThis.isVersionedWorker) setWorkflowOptions({ versioningBehavior: 'AUTO_UPGRADE' }, workflow);
}
