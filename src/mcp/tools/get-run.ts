import { z } from 'zod';
import { defineTool } from '../define-tool.ts';
import { dataOf, runId, runShape } from '../run-data.ts';
import { runText } from '../run-text.ts';

/** One run: its checklist while it runs, its report when it has ended. */
export const getRun = defineTool({
  name: 'get_run',
  title: 'Get run',
  description:
    'Run status, progress and report: is it finished, did it work; its steps while it runs, what it asks when it is paused, its report when it has ended, why it failed and what to do. Answers at once; wait_for_run waits for the end.',
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.object({ id: runId }),
  output: runShape,
  async handler({ id }, { runs }) {
    const run = await runs.get(id);
    return { data: dataOf(run), text: runText(run) };
  },
});
