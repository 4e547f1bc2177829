import type { Readable, Writable } from 'node:stream';

/** A program with its arguments: absolute path first. Never a shell line. */
export type Argv = readonly [program: string, ...args: string[]];

export interface ExecOptions {
  /** Deadline for the whole command, in ms; past it the command is ended and `timeout` is thrown. */
  readonly timeoutMs: number;
  /** How much of each output stream is kept, in bytes (the rest is drained and counted). Default 64 KiB. */
  readonly maxOutputBytes?: number | undefined;
  /** Ends the command and throws `cancelled`. */
  readonly signal?: AbortSignal;
  /** Written to the command's standard input, which is then closed. Default: empty. */
  readonly stdin?: string | Readable;
  /** Receives standard output instead of `stdout` keeping it; back-pressure is honoured. */
  readonly stdoutTo?: Writable;
}

/**
 * What a command that ran to its end said. A missing exit status is never one of these: it is thrown as
 * `outcome-unknown` (the connection died) or as `command-failed` (a signal ended it).
 */
export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Bytes that the streams carried, kept or not. */
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  readonly truncated: boolean;
  readonly durationMs: number;
}

/**
 * Runs programs on one host, over SSH or on this machine. Knows nothing of commands or operations: activities never
 * hold one, they hold a `Host` (`src/hosts/host.ts`), which only runs commands of the table.
 *
 * Throws `ServiceError` with: `host-unreachable`, `host-key-unknown`, `host-key-changed`, `ssh-key-refused`,
 * `ssh-channel-refused`, `connection-lost` (before the command started: safe to retry), `outcome-unknown` (the
 * connection died after it started), `timeout`, `cancelled`.
 */
export interface Executor {
  readonly kind: 'ssh' | 'local';
  exec(argv: Argv, options: ExecOptions): Promise<CommandResult>;
  /**
   * Copies a local file to the host: temporary name beside `to`, checksum compared, fsync, rename; resumes a partial
   * one of the same source. Streams; memory stays flat.
   */
  upload(from: string, to: string, options: TransferOptions): Promise<TransferResult>;
  /** The same in the other direction. */
  download(from: string, to: string, options: TransferOptions): Promise<TransferResult>;
  close(): Promise<void>;
}

export interface TransferOptions {
  readonly timeoutMs: number;
  /** Permission bits of the new file. Default 0o600. */
  readonly mode?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (bytes: number) => void;
}

export interface TransferResult {
  readonly bytes: number;
  readonly sha256: string;
  readonly durationMs: number;
}
