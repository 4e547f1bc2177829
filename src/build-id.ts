import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from './config.ts';
import { packageRoot, packageVersion } from './package.ts';

/** The workflows of this program, bundled when it was built. */
export function workflowBundlePath(): string {
  return join(packageRoot(), 'dist', 'workflow-bundle.js');
}

/**
 * What this program's worker calls its build: its version and a digest of its workflows, so that two builds whose workflows
 * differ never have one name, and the same workflows have the same.
 */
export function buildOf({ worker }: Pick<Config, 'worker'>): string {
  if (worker.buildId !== undefined) return worker.buildId;
  const digest = createHash('sha256').update(readFileSync(workflowBundlePath())).digest('hex').slice(0, 12);
  return `${packageVersion()}-${digest}`;
}
