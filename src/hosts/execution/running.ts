import type { EventEmitter } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { ServiceError } from '../../errors.ts';
import { type Deadline, stopCode, stopped } from './deadline.ts';
import type { CommandResult, ExecOptions } from './executor.ts';
import { collectOutput, type Output } from './output.ts';
import { feed } from './sink.ts';

/** After the exit status, how long silent output streams are waited for: a daemon may have inherited them. */
const drainMs = 2_000;

/** A running command: a child process, or a channel of SSH, which says the same by the same events. */
export interface Streams {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** What of a chunk of standard output is the command's. Default: all. */
  readonly ofCommand?: (chunk: Buffer) => Buffer;
  /** Emits `exit` and `close`, each with a status (null: ended by a signal; undefined: not known) and a signal. */
  readonly events: Pick<EventEmitter, 'once'>;
  /** Closes the output streams though something holds them open. */
  readonly letGo: () => void;
}

export interface Ended {
  readonly code: number | null | undefined;
  readonly signal: string | undefined;
}

export interface Running {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly ended: Promise<Ended>;
  /** Resolves when an end of this side fails: `stdoutTo` or a streamed `stdin`. */
  readonly failed: Promise<ServiceError>;
  /** After a good end: waits until `stdoutTo` has taken everything. */
  readonly finish: () => Promise<void>;
  /** After a bad end: destroys `stdoutTo`, so that nobody takes a part for the whole. */
  readonly abandon: (error: Error) => void;
}

/** Connects a running command's streams to what the caller wants of them. */
export function attach(what: string, streams: Streams, options: ExecOptions): Running {
  const { stdin, stdoutTo } = options;
  const stdout = collectOutput(options.maxOutputBytes);
  const stderr = collectOutput(options.maxOutputBytes);
  const sink = stdoutTo === undefined ? undefined : feed(what, streams.stdout, stdoutTo);
  let silence: NodeJS.Timeout | undefined;
  const ended = new Promise<Ended>((resolve) => {
    streams.events.once('close', (code?: number | null, signal?: string | null) => {
      clearTimeout(silence);
      resolve({ code, signal: signal ?? undefined });
    });
    streams.events.once('exit', (code: number | null, signal?: string | null) => {
      silence = setTimeout(() => {
        if (streams.stdout.isPaused()) {
          silence?.refresh();
          return;
        }
        streams.letGo();
        resolve({ code, signal: signal ?? undefined });
      }, drainMs);
    });
  });
  const { ofCommand = (chunk: Buffer) => chunk } = streams;
  streams.stdout.on('data', (read: Buffer) => {
    silence?.refresh();
    const chunk = ofCommand(read);
    if (chunk.length === 0) return;
    if (sink === undefined) {
      stdout.add(chunk);
    } else {
      stdout.count(chunk.length);
      sink.write(chunk);
    }
  });
  streams.stderr.on('data', (chunk: Buffer) => {
    silence?.refresh();
    stderr.add(chunk);
  });
  // A command may end without reading its input (EPIPE), and what else can fail here shows in how it ends.
  for (const stream of new Set([streams.stdin, streams.stdout, streams.stderr])) stream.on('error', () => undefined);

  let report: (error: ServiceError) => void = () => undefined;
  const failed = new Promise<ServiceError>((resolve) => {
    report = resolve;
  });
  sink?.failed.then(report);
  if (stdin === undefined || typeof stdin === 'string') {
    streams.stdin.end(stdin ?? '');
  } else {
    stdin.on('error', (error) => report(stdinError(what, error)));
    stdin.pipe(streams.stdin);
  }
  const letGoOfInput = () => {
    if (typeof stdin === 'object') stdin.unpipe(streams.stdin).destroy();
  };
  return {
    stdout,
    stderr,
    ended,
    failed,
    async finish() {
      letGoOfInput();
      await sink?.finish();
    },
    abandon(error) {
      letGoOfInput();
      sink?.destroy(error);
    },
  };
}

/** The result of a command that ended by itself, when `stdoutTo` has taken everything. */
export async function result(
  what: string,
  running: Running,
  exitCode: number,
  begun: number,
  deadline: Deadline,
  options: ExecOptions,
): Promise<CommandResult> {
  const finished = running.finish();
  if ((await Promise.race([finished, deadline.passed])) === 'passed') {
    finished.catch(() => undefined);
    const error = stopped(stopCode(deadline), what, options.timeoutMs, 'ended');
    running.abandon(error);
    throw error;
  }
  const { stdout, stderr } = running;
  return {
    exitCode,
    stdout: stdout.text(),
    stderr: stderr.text(),
    stdoutBytes: stdout.bytes,
    stderrBytes: stderr.bytes,
    truncated: stdout.truncated || stderr.truncated,
    durationMs: performance.now() - begun,
  };
}

export function endedBySignal(what: string, signal: string | undefined): ServiceError {
  return new ServiceError({
    code: 'command-failed',
    message: `${what} was ended by the signal ${signal ?? '(unknown)'}`,
    remedy: 'Look on the host for who ended it: memory running out (journalctl -k) or an administrator.',
    details: { signal: signal ?? '' },
  });
}

function stdinError(what: string, cause: Error): ServiceError {
  return new ServiceError({
    code: 'unreadable',
    message: `The input of ${what} could not be read to its end (${cause.message})`,
    remedy: 'Check the source of the input on this machine.',
    cause,
  });
}
