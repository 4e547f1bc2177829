import { stopped } from '../execution/deadline.ts';
import type { TransferOptions } from '../execution/executor.ts';

/** A transfer is several commands under one deadline. */
export function transferClock(what: string, options: TransferOptions) {
  const begun = performance.now();
  const elapsedMs = () => performance.now() - begun;
  return {
    elapsedMs,
    /** For the next command: what is left of the time. */
    options(): { timeoutMs: number; signal?: AbortSignal } {
      const timeoutMs = Math.round(options.timeoutMs - elapsedMs());
      if (timeoutMs <= 0) throw stopped('timeout', what, options.timeoutMs, 'ended');
      return options.signal === undefined ? { timeoutMs } : { timeoutMs, signal: options.signal };
    },
  };
}
