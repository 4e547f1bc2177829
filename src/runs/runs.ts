import type { z } from 'zod';
import type { OperationDefinition } from '../operations/definition.ts';
import type { Verdict } from '../operations/finding.ts';
import type { Answer, Progress, Requester } from '../operations/run.ts';
import type { runDetails, runLogLine, runSummary, wait } from './schema.ts';

/** A run as lists show it. */
export type RunSummary = z.infer<typeof runSummary>;

/** A run with what it is doing or what came of it. */
export type RunDetails = z.infer<typeof runDetails>;

/** What a run can't get on with now: `Report: The mail server doesn't answer, trying again in 40 s (attempt 4 of 8)`. */
export type Wait = z.infer<typeof wait>;

/** What a run that goes on is doing, and what it can't get on with. */
export type LiveProgress = Progress & Pick<RunDetails, 'waits'>;

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
  /**
   * A page of runs, newest first. `running` as a state is whatever goes on; `host` holds its guests, too. Throws
   * `invalid-input` for a moment that can't be understood and for a cursor of another filter.
   */
  list(filter: {
    readonly operation?: string;
    readonly host?: string;
    readonly state?: RunSummary['state'];
    readonly verdict?: Verdict;
    /** Started at this moment or later, as `momentOf` takes it. */
    readonly since?: string;
    /** Started before this moment, as `momentOf` takes it. */
    readonly until?: string;
    /** Of `since` and `until`. Default: the host's, or the first one's. */
    readonly timeZone?: string;
    /** Who asked: `mcp:claude`, a name alone (`claude`), or a kind alone (`mcp`, `schedule`). */
    readonly requestedBy?: string;
    /** Only changes that can be taken back now. */
    readonly undoable?: boolean;
    /** Also those that only plan. Default false. */
    readonly dryRuns?: boolean;
    readonly limit: number;
    readonly cursor?: string;
  }): Promise<{ readonly runs: readonly RunSummary[]; readonly cursor?: string }>;
  /**
   * Throws `not-found`, and `conflict` where several begin so: here and below an id is the whole one, or as much of its
   * start as only this run has; of its last part alone, too.
   */
  get(id: string): Promise<RunDetails>;
  /** Resolves when the run has ended or `timeoutMs` has passed, whichever is first. */
  wait(
    id: string,
    options: {
      readonly timeoutMs: number;
      readonly signal?: AbortSignal;
      readonly onProgress?: (progress: LiveProgress) => void;
    },
  ): Promise<RunDetails>;
  /**
   * Starts a run that takes back what a finished one has done, from what that recorded; under the same policy as any
   * other. Asked again, by whomever, it finds the same one, unless that has failed. Throws `conflict` where the run can't
   * be taken back, saying why. The run itself refuses where all is not as it was left.
   *
   * @param options.check may throw, before anything is started
   */
  undo(
    id: string,
    by: Requester,
    options?: {
      readonly dryRun?: boolean;
      readonly check?: (operation: OperationDefinition, input: Readonly<Record<string, unknown>>) => void;
    },
  ): Promise<RunSummary & { readonly existing: boolean }>;
  /**
   * Answers the question of a paused run. Throws `conflict` when it waits for no answer or that is none of its choices,
   * `forbidden` when a model answers what is an administrator's to approve.
   */
  decide(id: string, answer: Answer, by: Requester): Promise<RunDetails>;
  /**
   * Asks the run to stop and undo; returns at once. Throws `conflict` for one that is ending already and waits for an
   * answer: only that lets it go on.
   */
  cancel(id: string, reason: string, by: Requester): Promise<RunDetails>;
  /** What happened, step by step, oldest first, from the run's history. */
  log(id: string): Promise<readonly RunLogLine[]>;
}
