import { checkHealth as definition } from '../../src/operations/check-health.ts';
import { onService } from '../../src/workflows/lib/activities.ts';
import { operationWorkflow } from '../../src/workflows/lib/operation-workflow.ts';
import type { NothingActivities } from './nothing.ts';

/** An operation of three steps that do nothing, under the name of one that there is a tool for. */
export const checkHealth = operationWorkflow(definition, async (run) => {
  for (const step of ['Service', 'Containers', 'Resources']) {
    await run.step(step, (summary) => onService<NothingActivities>(summary).nothing());
  }
  const counts = { ok: 0, warning: 0, failed: 0, unknown: 0, skipped: 0 };
  return { output: { verdict: 'ok' as const, counts, mailed: false }, summary: 'Nothing was done.', sections: [] };
});
