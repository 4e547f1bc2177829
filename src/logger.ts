import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { destination, multistream, pino, type StreamEntry, stdTimeFunctions } from 'pino';
import { asCalledHere } from './command-name.ts';
import type { Config } from './config.ts';
import type { Log } from './log.ts';
import { currentTrace } from './trace.ts';

export interface LoggerOptions {
  readonly level: Config['logLevel'];
  /** Which process this is: `mcp`, `worker`, `start`. On every line as `process`. */
  readonly name: string;
  /** Appended to, mode 0600; JSON lines. */
  readonly file?: string;
  /** Whether JSON lines also go to standard error (never to standard output, which MCP over stdio owns). Default false. */
  readonly stderr?: boolean;
  /** Whether each line names the trace and the span that it is said in, where there are. Default false. */
  readonly traced?: boolean;
}

/** Fields that can only hold secrets; `Secret` values print as `[secret]` by themselves. */
const redacted = ['password', 'token', 'tokenValue', 'authorization', 'cookie', 'secret', 'privateKey', 'apiKey'];

/** The one logger of a process. With neither file nor stderr it says nothing. */
export function createLogger({ level, name, file, stderr = false, traced = false }: LoggerOptions): Log {
  const streams: StreamEntry[] = [];
  if (stderr) streams.push({ level, stream: destination({ fd: 2, sync: true }) });
  if (file !== undefined) {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // Written at once: the lines before a crash are the ones that matter.
    streams.push({ level, stream: destination({ dest: file, append: true, mode: 0o600, sync: true }) });
  }
  return pino(
    {
      level: streams.length === 0 ? 'silent' : level,
      base: { process: name, pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      hooks: { streamWrite: asCalledHere<string> },
      formatters: { level: (label) => ({ level: label }) },
      ...(traced && { mixin: traceFields }),
      redact: { paths: redacted.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]), censor: '[secret]' },
    },
    multistream(streams),
  );
}

/** By the names that OpenTelemetry has for logs that are not its own. */
function traceFields(): Record<string, string> {
  const trace = currentTrace();
  return trace === undefined ? {} : { trace_id: trace.traceId, span_id: trace.spanId };
}
