import type { HostConfig } from '../config.ts';
import type { CommandArguments, CommandName, JobCommandName } from '../privileges/table.ts';
import type { CommandResult, TransferOptions, TransferResult } from './executor.ts';

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

/**
 * A managed host as activities see it: only entries of the privilege table can be run, with typed arguments. A command
 * that ended with an exit code other than 0 is a normal result; see {@link CommandResult} for what throws.
 */
export interface Host {
  readonly name: string;
  readonly config: HostConfig;
  run<Name extends CommandName>(name: Name, args: CommandArguments<Name>, options?: RunOptions): Promise<CommandResult>;
  /** Starts the job unless it is there, follows it to its end; can be cut and called again anywhere, at any moment. */
  job<Name extends JobCommandName>(name: Name, args: CommandArguments<Name>, options: JobOptions): Promise<JobResult>;
  download(from: string, to: string, options: TransferOptions): Promise<TransferResult>;
  upload(from: string, to: string, options: TransferOptions): Promise<TransferResult>;
}

/** Hosts by name; throws `not-found` for an unknown one, naming those that there are. */
export interface Hosts {
  get(name: string): Host;
  readonly names: readonly string[];
  close(): Promise<void>;
}
