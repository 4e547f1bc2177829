import type { z } from 'zod';
import type { Answer, Progress, Requester } from '../operations/run.ts';
import type { runDetails, runLogLine, runSummary } from './schema.ts';

/** A run as lists show it. */
export type RunSummary = z.infer<typeof runSummary>;

/** A run with what it is doing or what came of it. */
export type RunDetails = z.infer<typeof runDetails>;

/** One thing that happened in a run. */
export type RunLogLine = z.infer<typeof runLogLine>;

/** Starts, finds and ends runs. The one way in for MCP, the CLI and the console; holds no logic of an operation. */
export interface Runs {
  /**
   * Validates the input against the operation's schema (`invalid-input`, every problem at once), starts the workflow
   * durably and returns at once. The same idempotency key of the same requester finds the same run.
   */
  start(
    operation: string,
    input: unknown,
    by: Requester,
    options?: { readonly idempotencyKey?: string },
  ): Promise<RunSummary & { readonly existing: boolean }>;
  list(filter: {
    readonly operation?: string;
    readonly host?: string;
    readonly status?: RunSummary['status'];
    readonly limit: number;
    readonly cursor?: string;
  }): Promise<{ readonly runs: readonly RunSummary[]; readonly cursor?: string }>;
  /** Throws `not-found`. */
  get(id: string): Promise<RunDetails>;
  /** Resolves when the run has ended or `timeoutMs` has passed, whichever is first. */
  wait(
    id: string,
    options: {
      readonly timeoutMs: number;
      readonly signal?: AbortSignal;
      readonly onProgress?: (progress: Progress) => void;
    },
  ): Promise<RunDetails>;
  /**
   * Answers the question of a paused run. Throws `conflict` when it waits for no answer or that is none of its choices,
   * `forbidden` when a model answers what is an administrator's to approve.
   */
  decide(id: string, answer: Answer, by: Requester): Promise<RunDetails>;
  /** Asks the run to stop and undo; returns at once. */
  cancel(id: string, reason: string, by: Requester): Promise<RunDetails>;
  /** What happened, step by step, oldest first, from the run's history. */
  log(id: string): Promise<readonly RunLogLine[]>;
}
