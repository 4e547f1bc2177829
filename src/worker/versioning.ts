import { readFileSync } from 'node:fs';
import type { WorkerOptions } from '@temporalio/worker';
import { buildOf, workflowBundlePath } from '../build-id.ts';
import type { Config } from '../config.ts';
import { deploymentName } from '../runs/worker-versions.ts';

/** What makes a worker one of a build. */
export interface Versioned {
  /** Undefined: it works without versioning. */
  readonly build: string | undefined;
  readonly workflowBundle: NonNullable<WorkerOptions['workflowBundle']>;
  /**
   * For the workers of all queues but the ledger's. That one is served by one process at a time: under versioning a run of
   * another build would wait for a ledger that nobody may open beside it. As it is none of any build's, Temporal gives it the
   * work of all.
   */
  readonly options: Pick<WorkerOptions, 'workerDeploymentOptions'>;
}

export function versionedOf({ worker }: Pick<Config, 'worker'>): Versioned {
  const codePath = workflowBundlePath();
  if (!worker.versioning) return { build: undefined, workflowBundle: { codePath }, options: {} };
  const build = buildOf({ worker });
  return {
    build,
    workflowBundle: { code: ofVersionedWorker(readFileSync(codePath, 'utf8')) },
    options: optionsOf(build),
  };
}

/** The workflows, told before they are loaded that they may say how they behave; on the first line, so that lines stay. */
export function ofVersionedWorker(code: string): string {
  return `globalThis.isVersionedWorker=true;${code}`;
}

export function optionsOf(buildId: string): Versioned['options'] {
  return {
    workerDeploymentOptions: {
      useWorkerVersioning: true,
      version: { deploymentName, buildId },
      defaultVersioningBehavior: 'PINNED',
    },
  };
}
