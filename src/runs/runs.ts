import type { Answer, Outcome, Progress, Requester, RunResult } from '../operations/run.ts';

/** A run as lists show it. */
export interface RunSummary {
  /** The workflow id; unguessable: `back-up/pve1/<128 random bits or a digest of the idempotency key>`. */
  readonly id: string;
  readonly operation: string;
  readonly target: string;
  readonly status: 'running' | 'completed' | 'failed' | 'cancelled' | 'terminated' | 'timed-out';
  readonly outcome?: Outcome;
  readonly requestedBy?: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly closedAt?: string;
  /** Page of the run in the Temporal UI. */
  readonly url: string;
}

export interface RunDetails extends RunSummary {
  readonly progress?: Progress;
  readonly result?: RunResult<Record<string, unknown>>;
  readonly failure?: { readonly code: string; readonly message: string; readonly remedy: string };
}

export interface RunLogLine {
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly event: string;
  readonly text: string;
}

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
