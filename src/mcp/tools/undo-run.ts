import { z } from 'zod';
import { riskOf } from '../../operations/definition.ts';
import { defineTool } from '../define-tool.ts';
import { dataOf, runId } from '../run-data.ts';
import { nextStep, runLine } from '../run-text.ts';
import { asRequester, mayUse, outOfScope } from '../scopes.ts';

/** Takes back a finished change, as a change of its own. */
export const undoRun = defineTool({
  name: 'undo_run',
  title: 'Undo run',
  description:
    'Undo (revert, take back, roll back) what a finished run has changed, by a run of its own, planned and approved like any other; refused where somebody has changed it since. list_runs with undoable finds what can be undone. For a run that goes on: cancel_run.',
  // Of the least; what it starts has a risk of its own.
  risk: 'change',
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: true },
  input: z.object({
    id: runId,
    dryRun: z.boolean().default(false).describe('true: only plan'),
  }),
  async handler({ id, dryRun }, { runs, metrics }, { caller, takesMcpTasks }) {
    const { existing, ...started } = await runs.undo(id, asRequester(caller), {
      dryRun,
      check(operation, input) {
        const risk = riskOf(operation, input);
        if (!mayUse(caller, risk)) throw outOfScope(`Undoing ${id} by ${operation.name}`, risk, caller);
      },
    });
    metrics.runStarted(started.operation, existing);
    // One that was there before may be waiting for a person by now.
    const run = existing && started.closedAt === undefined ? await runs.get(started.id) : started;
    const what = existing ? 'This was asked for before' : 'Started';
    return {
      data: { ...dataOf(run), existing },
      text: `${what}: ${runLine(run)}\nid: ${run.id}\nTemporal UI: ${run.url}\n${nextStep(run)}`,
      ...(takesMcpTasks ? { mcpTask: run.id } : {}),
    };
  },
});
