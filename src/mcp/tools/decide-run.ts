import { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import { defineTool } from '../define-tool.ts';
import { dataOf, runId } from '../run-data.ts';
import { checkMaySteer } from '../run-mcp-tasks.ts';
import { runText } from '../run-text.ts';

/** Answers what a paused run asks, where that is no approval. */
export const decideRun = defineTool({
  name: 'decide_run',
  title: 'Decide run',
  description:
    'Answer the question of a paused run with one of its choices (retry, undo, leave …), so that it goes on; get_run shows the question and what each choice means. Ask the user first. An approval is not answered here: an administrator gives it on the command line.',
  risk: 'change',
  // What it was asked for may be to leave a host half changed.
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
  input: z.object({
    id: runId,
    choice: z.string().trim().min(1).max(100).describe("Name of one of the question's choices"),
    reason: z.string().trim().min(3).max(500).describe('Why, in a few words; kept with the run'),
    question: z.string().max(100).optional().describe('Id of the question; default: the open one'),
  }),
  async handler({ id, choice, reason, question }, { runs, operations }, { caller }) {
    const run = await runs.get(id);
    checkMaySteer(run, operations, caller, 'Deciding');
    const open = run.progress?.question;
    if (open?.kind === 'approval') {
      throw new ServiceError({
        code: 'forbidden',
        message: `The run ${id} waits for an approval, which no tool can give`,
        remedy: `An administrator answers that: npx proxmox-mcp runs decide ${id}`,
      });
    }
    // Named, so that the answer never goes to what it asks next.
    const asked = question ?? open?.id;
    const answer = { choice, reason, ...(asked === undefined ? {} : { question: asked }) };
    const decided = await runs.decide(id, answer, { kind: 'mcp', name: caller.name });
    return { data: dataOf(decided), text: `Answered "${choice}".\n\n${runText(decided)}` };
  },
});
