import type { Logger } from 'pino';

/** Structured logger: `log.info({ host }, 'connected')`. Secrets are `Secret` values and print as `[secret]`. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'child'>;
