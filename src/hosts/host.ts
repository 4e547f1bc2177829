import type { z } from 'zod';
import type { HostConfig, HostLayout } from '../config.ts';
import type {
  ArgumentsOf,
  Command,
  CommandLock,
  FenceOf,
  GuestFence,
  HostFence,
  InputOf,
  JobCommand,
  OutputOf,
  PlainCommand,
  RunOf,
} from './commands/command.ts';
import type { TransferOptions, TransferResult } from './execution/executor.ts';

export type { GuestFence, HostFence } from './commands/command.ts';

export interface RunOptions {
  readonly signal?: AbortSignal;
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

/** What `run` takes after the arguments: whatever changes something needs the fences of its lock, an undo its run. */
export type RunRest<C extends Command> = C extends
  | { readonly lock: CommandLock }
  | { readonly readsInput: true }
  | { readonly streamsOutput: true }
  ? [options: RunOptions & FenceOf<C> & RunOf<C> & InputOf<C> & OutputOf<C>]
  : [options?: RunOptions];

/** What stops a job of another run: the fence of who holds the host alone, or the fences of who holds the job's guest. */
export type CancelOptions =
  | { readonly fence?: HostFence; readonly vmid?: never }
  | { readonly fence: GuestFence; readonly vmid: number };

/**
 * A managed host as activities see it: only commands of the table can be run, with typed arguments, and each returns its
 * own answer. What a command's exit codes mean is thrown as a `ServiceError`; beside its own meanings: `command-failed`,
 * `disk-full`, `unreadable`; `unexpected-answer` for what isn't an answer of the command; `invalid-input` for arguments
 * that aren't of their form; `command-refused`, `fenced-out` and `conflict` (somebody else is at work: again later) by
 * the host's helper, and `helper-differs` where that is of another version or configuration; `timeout`, `cancelled`; and what a connection can throw.
 */
export interface Host {
  readonly name: string;
  readonly config: HostConfig;
  run<C extends PlainCommand, A>(
    command: C & { readonly answer: z.ZodType<A> },
    args: ArgumentsOf<C>,
    ...rest: RunRest<C>
  ): Promise<A>;
  /**
   * Starts the job unless it is there, follows it to its end; can be cut and called again anywhere, at any moment.
   * Throws `cancelled` and `timeout` when it was stopped, `outcome-unknown` when the host lost it (a reboot), and
   * retryable errors when only the watching failed: the next call finds the same job.
   */
  job<C extends JobCommand, A>(
    command: C & { readonly answer: z.ZodType<A> },
    args: ArgumentsOf<C>,
    options: JobOptions & FenceOf<C>,
  ): Promise<A>;
  /**
   * Gives the host a plan that an administrator has signed (`planText`), whose calls it then executes, each once. The same
   * again is the same. Throws `not-signed` where the host takes it for none; answers whose signature it was.
   */
  admit(text: string, signature: string, options?: RunOptions): Promise<{ readonly signer: string }>;
  /** What the host's helper says it was made for. */
  helper(options?: RunOptions): Promise<HelperState>;
  /** The jobs that the host knows, running or ended. */
  jobs(options?: RunOptions): Promise<JobListing>;
  /**
   * Stops a job with all its processes, or sees to it that it never starts. With a fence, which is how a run stops the
   * jobs of others, only while nobody has shown a newer one; else throws `fenced-out`.
   */
  cancelJob(id: string, options?: CancelOptions): Promise<CancelledJob>;
  /** Forgets jobs that ended more than so many days ago; answers their ids. */
  cleanJobs(days: number): Promise<readonly string[]>;
  /**
   * Copies a file of the host here; see `Executor.download`. Both ways only below the folder of the backups and that of
   * transfers (`<state>/transfers`); throws `invalid-input` for other paths of the host.
   */
  download(from: string, to: string, options: TransferOptions): Promise<TransferResult>;
  /** Copies a file to the host; see `Executor.upload`. */
  upload(from: string, to: string, options: TransferOptions): Promise<TransferResult>;
}

/** What a host's helper says it was made for, against what this service would install now. */
export type HelperState =
  | { readonly kind: 'current' }
  /** There is none, or it can't be read: whoever calls it hears why. */
  | { readonly kind: 'unknown' }
  /** Made by another version of this service, for the same places. */
  | { readonly kind: 'version' }
  /** Made for another configuration of the host. */
  | { readonly kind: 'layout'; readonly differences: readonly LayoutDifference[] }
  /** Something else stands where the helper should. */
  | { readonly kind: 'foreign' };

export interface LayoutDifference {
  readonly entry: keyof HostLayout;
  /** `BACKUP_DIR` */
  readonly key: string;
  readonly there: string;
  readonly here: string;
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
  | 'busy'
  | 'changes-stopped'
  | 'not-signed';

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

/** What the host says of its jobs. */
export interface JobListing {
  readonly jobs: readonly JobSummary[];
  /** Lines that no helper of ours prints: something else is there, or somebody made them up. */
  readonly notUnderstood: number;
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
