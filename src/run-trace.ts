import { createHash } from 'node:crypto';
import { parseTraceContext, type TraceContext } from './trace-context.ts';

// A run lasts longer than the process that starts it, and any worker may do its next step. So what its spans belong to
// follows from what every worker can know of it: its memo, and the ids that Temporal gave it.

/** Of a run's execution, the id of the span that says when it began. Its steps and the runs that it starts are below that. */
export function spanOfRun(runId: string): string {
  return hashOf(`span ${runId}`, 16);
}

/**
 * What a run's first span belongs to. Undefined: it was started without a trace, and begins its own ({@link ownTrace}).
 */
export function startedIn(memo: Readonly<Record<string, unknown>> | undefined): TraceContext | undefined {
  return parseTraceContext(memo?.trace, memo?.traceState);
}

/** Trace of a run that was started without one, as by a schedule; of a child, by the run at the root of it. */
export function ownTrace(rootRunId: string): string {
  return hashOf(`trace ${rootRunId}`, 32);
}

/** SHA-256 has no digits that are all zeros within anybody's lifetime, which an id may not be. */
function hashOf(text: string, digits: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, digits);
}
