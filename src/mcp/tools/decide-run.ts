import { z } from 'zod';
import { answerRun } from '../decisions.ts';
import { defineTool } from '../define-tool.ts';
import { dataOf, runId } from '../run-data.ts';
import { runText } from '../run-text.ts';

/** Answers what a paused run asks, where that is no approval. */
export const decideRun = defineTool({
  name: 'decide_run',
  title: 'Decide run',
  description:
    'Answer the question of a paused run with one of its choices (retry, undo, leave …), so that it goes on; get_run shows them. Ask the user first. An approval is not answered here: an administrator gives it.',
  risk: 'change',
  // What it was asked for may be to leave a host half changed.
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
  input: z.object({
    id: runId,
    choice: z.string().trim().min(1).max(100).describe("One of the question's choices"),
    reason: z.string().trim().min(3).max(500).describe('Why; kept with the run'),
    question: z.string().max(100).optional().describe('Id of the question; default: the open one'),
  }),
  async handler({ id, choice, reason, question }, dependencies, { caller }) {
    const answer = { choice, reason, ...(question === undefined ? {} : { question }) };
    const decided = await answerRun(dependencies, caller, id, answer);
    return { data: dataOf(decided), text: `Answered "${choice}".\n\n${runText(decided)}` };
  },
});
