import { TemporalFailure } from '@temporalio/common';
import type { LogMetadata, Logger as TemporalLogger } from '@temporalio/worker';
import type { Log } from './log.ts';

/** Temporal's own messages in the service's log. */
export function temporalLogger(log: Log): TemporalLogger {
  const logger: TemporalLogger = {
    log: (level, message, meta) => {
      if (level === 'ERROR') logger.error(message, meta);
      else if (level === 'WARN') logger.warn(message, meta);
      else if (level === 'INFO') logger.info(message, meta);
      else logger.debug(message, meta);
    },
    trace: (message, meta) => log.debug(readable(meta), message),
    debug: (message, meta) => log.debug(readable(meta), message),
    info: (message, meta) => log.info(readable(meta), message),
    warn: (message, meta) => log.warn(readable(meta), message),
    error: (message, meta) => log.error(readable(meta), message),
  };
  return logger;
}

/** An error's message isn't among the fields that JSON knows of it. Failures of ours are told without their stack. */
function readable(meta: LogMetadata = {}): LogMetadata {
  const error: unknown = meta.error;
  if (!(error instanceof Error)) return meta;
  const { name, message, stack } = error;
  const type = 'type' in error && typeof error.type === 'string' ? error.type : name;
  return { ...meta, error: { type, message, ...(error instanceof TemporalFailure ? {} : { stack }) } };
}
