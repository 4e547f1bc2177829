import type { HostConfig } from '../config.ts';
import type { CommandArguments, CommandName, JobCommandName, NeedsFence, PlainCommandName } from './commands/table.ts';
import type { CommandResult, TransferOptions, TransferResult } from './execution/executor.ts';

export interface RunOptions {
  readonly signal?: AbortSignal;
  /** Default 64 KiB of each stream. */
  readonly maxOutputBytes?: number;
  /** The lease's fencing token; required by the host helper for everything that changes something. */
  readonly fence?: number;
}

export interface JobOptions extends RunOptions {
  /** Made from the run and the step (`jobId`), so that a retry finds the same job. 1–100 of `a-z0-9-`. */
  readonly id: string;
  /** Workflow id of the run that the job is for; the host keeps it in the job's record. */
  readonly run?: string;
  /**
   * Stops watching and leaves the job as it is, for a worker that shuts down; throws `unavailable`, retryable.
   * (`signal` cancels the job.)
   */
  readonly leave?: AbortSignal;
  /** Called at least every few seconds while the job is watched: heartbeat here. */
  readonly onProgress?: (progress: JobProgress) => void;
}

export interface JobProgress {
  readonly id: string;
  readonly stdoutBytes: number;
  /** Last line of output, at most 200 characters. */
  readonly lastLine: string;
}

export interface JobResult extends CommandResult {
  readonly id: string;
  /** True when an earlier attempt had started it and this call only found it. */
  readonly found: boolean;
}

/** What `run` takes after the arguments: whatever changes something needs the lease's fencing token. */
export type RunRest<Name extends CommandName> =
  NeedsFence<Name> extends true ? [options: RunOptions & { readonly fence: number }] : [options?: RunOptions];

export type JobOptionsOf<Name extends JobCommandName> =
  NeedsFence<Name> extends true ? JobOptions & { readonly fence: number } : JobOptions;

/**
 * A managed host as activities see it: only entries of the privilege table can be run, with typed arguments. A command
 * that ended with an exit code other than 0 is a normal result; see {@link CommandResult} for what throws.
 */
export interface Host {
  readonly name: string;
  readonly config: HostConfig;
  run<Name extends PlainCommandName>(
    name: Name,
    args: CommandArguments<Name>,
    ...rest: RunRest<Name>
  ): Promise<CommandResult>;
  /**
   * Starts the job unless it is there, follows it to its end; can be cut and called again anywhere, at any moment.
   * Throws `cancelled` and `timeout` when it was stopped, `outcome-unknown` when the host lost it (a reboot), and
   * retryable errors when only the watching failed: the next call finds the same job.
   */
  job<Name extends JobCommandName>(
    name: Name,
    args: CommandArguments<Name>,
    options: JobOptionsOf<Name>,
  ): Promise<JobResult>;
  /** The jobs that the host knows, running or ended. */
  jobs(options?: RunOptions): Promise<readonly JobSummary[]>;
  /**
   * Stops a job with all its processes, or sees to it that it never starts. With `fence`, which is how a run stops the
   * jobs of others, only while nobody holds a newer lease; else throws `fenced-out`.
   */
  cancelJob(id: string, options?: { readonly fence?: number }): Promise<CancelledJob>;
  /** Forgets jobs that ended more than so many days ago; answers their ids. */
  cleanJobs(days: number): Promise<readonly string[]>;
  download(from: string, to: string, options: TransferOptions): Promise<TransferResult>;
  upload(from: string, to: string, options: TransferOptions): Promise<TransferResult>;
}

/**
 * `lost`: its process is gone and left no exit code (the host rebooted or it was killed): look at what it was to do.
 * `terminated`: something else stopped it.
 */
export type JobState =
  | 'absent'
  | 'starting'
  | 'running'
  | 'ended'
  | 'cancelled'
  | 'timeout'
  | 'terminated'
  | 'lost'
  | 'fenced-out'
  | 'busy';

export interface JobSummary {
  readonly id: string;
  readonly state: JobState;
  readonly exitCode?: number;
  /** ISO 8601, UTC. */
  readonly startedAt?: string;
  readonly endedAt?: string;
  /** The helper's name of the command. */
  readonly verb: string;
  /** Workflow id of the run that it is for; absent where the host doesn't know it. */
  readonly run?: string;
}

export interface CancelledJob {
  readonly state: JobState;
  /** Processes that could not be stopped. */
  readonly left: readonly number[];
}

/** Hosts by name; throws `not-found` for an unknown one, naming those that there are. */
export interface Hosts {
  get(name: string): Host;
  readonly names: readonly string[];
  close(): Promise<void>;
}
