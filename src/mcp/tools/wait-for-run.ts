import { z } from 'zod';
import { defineTool } from '../define-tool.ts';
import { detailsOf, hasFailed, runDetails, runId } from '../run-schema.ts';
import { describeProgress, runText } from '../run-text.ts';

/** Clients give up on a call that says nothing; Claude Code does after five minutes. Milliseconds. */
const aliveEveryMs = 20_000;

/** Waits for a run, telling the client its checklist as it changes. */
export const waitForRun = defineTool({
  name: 'wait_for_run',
  title: 'Wait for run',
  description:
    'Wait until a run has ended and return its report, showing progress meanwhile. Returns earlier, with the run still running, when timeoutSeconds have passed; waiting again is fine. Stopping the wait does not stop the run.',
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.object({
    id: runId,
    timeoutSeconds: z.int().min(1).max(3_600).default(300).describe('How long to wait at most, in seconds'),
  }),
  output: runDetails(z.record(z.string(), z.unknown())),
  async handler({ id, timeoutSeconds }, { runs }, { signal, progress }) {
    let last = { done: 0, total: 1, line: 'waiting' };
    const tell = () => progress?.(last.done, last.total, last.line);
    const alive = setInterval(tell, aliveEveryMs);
    try {
      const run = await runs.wait(id, {
        timeoutMs: timeoutSeconds * 1_000,
        signal,
        onProgress(now) {
          last = describeProgress(now);
          tell();
        },
      });
      return { data: detailsOf(run), text: runText(run), failed: hasFailed(run) };
    } finally {
      clearInterval(alive);
    }
  },
});
