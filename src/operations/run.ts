import { z } from 'zod';
import type { report } from './report.ts';

/** Who or what asked for a run. `name` is the token's name, the login name or the schedule's id. */
export const requester = z.object({ kind: z.enum(['mcp', 'cli', 'schedule', 'demo']), name: z.string() });
export type Requester = z.infer<typeof requester>;

/** What a workflow of the catalogue is started with. */
export interface RunRequest<Input> {
  readonly input: Input;
  readonly requestedBy: Requester;
}

/** How a run ended. `planned`: it was a dry run and changed nothing. `undone`: it failed and took back what it did. */
export const outcome = z.enum(['done', 'planned', 'undone', 'failed', 'cancelled']);
export type Outcome = z.infer<typeof outcome>;

/** What every completed run returns: the operation's own output and the report for people. */
export interface RunResult<Output> {
  readonly outcome: Extract<Outcome, 'done' | 'planned'>;
  readonly report: z.infer<typeof report>;
  readonly output: Output;
}

/** State of one step of a run's live checklist. */
export const stepState = z.enum(['pending', 'running', 'done', 'failed', 'skipped', 'undone']);
export const runStep = z.object({ title: z.string(), state: stepState, note: z.string().optional() });
export type RunStep = z.infer<typeof runStep>;

/** What the `progress` query of a running workflow answers. */
export const progress = z.object({
  phase: z.enum(['starting', 'waiting-for-lock', 'running', 'undoing', 'paused', 'finished']),
  message: z.string().describe('What it is doing now, for a person'),
  steps: z.array(runStep),
});
export type Progress = z.infer<typeof progress>;
