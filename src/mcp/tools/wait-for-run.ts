import { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import type { RunDetails, Runs } from '../../runs/runs.ts';
import { type AnyTool, defineTool, type ToolCall } from '../define-tool.ts';
import { dataOf, hasFailed, runId } from '../run-data.ts';
import { asksCaller, describeProgress, runText } from '../run-text.ts';

/** Clients give up on a call that says nothing; Claude Code does after five minutes. Milliseconds. */
const aliveEveryMs = 20_000;

/**
 * Waits of one caller at a time: an agent follows a handful of runs, a fleet's dashboard perhaps one for each host. Each
 * wait asks its run's worker for progress once a second.
 */
const waitsOfOne = 20;

/** Waits of all callers at a time: with their questions once a second, what one worker answers without other work suffering. */
const waitsOfAll = 200;

/** Waits for a run, telling the client its checklist as it changes. */
export function waitForRunTool(): AnyTool {
  const waits = boundedWaits();
  return defineTool({
    name: 'wait_for_run',
    title: 'Wait for run',
    description:
      'Wait until a run has ended (is finished) and return its report, showing progress meanwhile. Returns earlier, with the run still running, after timeoutSeconds, when it asks something that decide_run can answer, or over stdio after 50 s without progress; wait again then. Stopping the wait does not stop the run.',
    risk: 'read',
    annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
    input: z.object({
      id: runId,
      timeoutSeconds: z.int().min(1).max(3_600).default(300),
    }),
    async handler({ id, timeoutSeconds }, { runs }, call) {
      const run = await waits.during(call.caller.name, () => waitForEndOrQuestion(runs, id, timeoutSeconds, call));
      return { data: dataOf(run), text: runText(run), failed: hasFailed(run) };
    },
  });
}

async function waitForEndOrQuestion(
  runs: Runs,
  id: string,
  timeoutSeconds: number,
  { signal, progress, answerWithinMs = Number.POSITIVE_INFINITY }: ToolCall,
): Promise<RunDetails> {
  let last = { done: 0, total: 1, line: 'waiting' };
  const tell = () => progress?.(last.done, last.total, last.line);
  const alive = setInterval(tell, aliveEveryMs);
  const asked = new AbortController();
  try {
    return await runs.wait(id, {
      timeoutMs: Math.min(timeoutSeconds * 1_000, answerWithinMs),
      signal: AbortSignal.any([signal, asked.signal]),
      onProgress(now) {
        last = describeProgress(now);
        tell();
        if (asksCaller(now)) asked.abort();
      },
    });
  } catch (error) {
    if (!asked.signal.aborted || signal.aborted) throw error;
    return await runs.get(id);
  } finally {
    clearInterval(alive);
  }
}

/** Lets so many waits go on at the same time and refuses what is beyond: each holds a connection for up to an hour. */
function boundedWaits() {
  const waiting = new Map<string, number>();
  let all = 0;
  return {
    async during<T>(caller: string, wait: () => Promise<T>): Promise<T> {
      const own = waiting.get(caller) ?? 0;
      if (own >= waitsOfOne) throw tooMany(`${caller} waits for ${own} runs already`);
      if (all >= waitsOfAll) throw tooMany(`${all} waits go on already`);
      waiting.set(caller, own + 1);
      all += 1;
      try {
        return await wait();
      } finally {
        all -= 1;
        const left = (waiting.get(caller) ?? 1) - 1;
        if (left === 0) waiting.delete(caller);
        else waiting.set(caller, left);
      }
    },
  };
}

function tooMany(why: string): ServiceError {
  return new ServiceError({
    code: 'rate-limited',
    message: `${why}, which is as many as are served at a time; the run goes on all the same`,
    remedy: 'Use get_run, which answers at once, or wait again when another wait has ended.',
    retryable: true,
  });
}
