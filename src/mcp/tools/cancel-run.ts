import { z } from 'zod';
import { defineTool } from '../define-tool.ts';
import { dataOf, runId } from '../run-data.ts';
import { runText } from '../run-text.ts';
import { asRequester } from '../scopes.ts';

/** Asks a run to stop and take back what it did. */
export const cancelRun = defineTool({
  name: 'cancel_run',
  title: 'Cancel run',
  description:
    'Cancel a run (stop, abort a backup or another operation that is going on): ask it to stop and undo what it has done so far. Returns at once; wait_for_run shows how it ended.',
  risk: 'change',
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: true },
  input: z.object({
    id: runId,
    reason: z.string().trim().min(3).max(500).describe('Why; kept with the run'),
  }),
  async handler({ id, reason }, { runs }, { caller }) {
    const run = await runs.cancel(id, reason, asRequester(caller));
    const text =
      run.closedAt === undefined ? `Asked it to stop and undo what it did.\n\n${runText(run)}` : runText(run);
    return { data: dataOf(run), text };
  },
});
