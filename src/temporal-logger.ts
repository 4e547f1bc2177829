import type { Logger as TemporalLogger } from '@temporalio/worker';
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
    trace: (message, meta) => log.debug(meta ?? {}, message),
    debug: (message, meta) => log.debug(meta ?? {}, message),
    info: (message, meta) => log.info(meta ?? {}, message),
    warn: (message, meta) => log.warn(meta ?? {}, message),
    error: (message, meta) => log.error(meta ?? {}, message),
  };
  return logger;
}
