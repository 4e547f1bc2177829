import { ServiceError } from '../errors.ts';

export interface Deadline {
  /** Aborted, with a `ServiceError` as its reason, when time is up or the caller gave up. */
  readonly signal: AbortSignal;
  /** Resolves when the signal is aborted. */
  readonly passed: Promise<'passed'>;
  /** Lets go of the timer and of the caller's signal. */
  readonly clear: () => void;
}

/**
 * One signal for "too late" and "not wanted any more". Its reasons are the errors of work that was never begun;
 * whoever must end something that runs throws {@link stopped} instead.
 *
 * @param what - For messages, for example `pve1: /usr/bin/df`.
 */
export function startDeadline(
  what: string,
  timeoutMs: number,
  ...callers: readonly (AbortSignal | undefined)[]
): Deadline {
  const controller = new AbortController();
  const giveUp = () => controller.abort(stopped('cancelled', what, timeoutMs, 'not started'));
  const timer = setTimeout(() => controller.abort(stopped('timeout', what, timeoutMs, 'not started')), timeoutMs);
  for (const caller of callers) {
    if (caller?.aborted === true) giveUp();
    else caller?.addEventListener('abort', giveUp, { once: true });
  }
  return {
    signal: controller.signal,
    passed: new Promise((resolve) => {
      if (controller.signal.aborted) resolve('passed');
      else controller.signal.addEventListener('abort', () => resolve('passed'), { once: true });
    }),
    clear() {
      clearTimeout(timer);
      for (const caller of callers) caller?.removeEventListener('abort', giveUp);
    },
  };
}

/** How sure it is that nothing of the work goes on. */
export type Ending = 'not started' | 'ended' | 'perhaps still running';

const endings: Readonly<Record<Ending, string>> = {
  'not started': 'it was not started',
  ended: 'it was ended',
  'perhaps still running': 'it was told to end but did not confirm it, so it may still run',
};

/** The error for work that a deadline or its caller ended. */
export function stopped(code: 'timeout' | 'cancelled', what: string, timeoutMs: number, ending: Ending): ServiceError {
  const why = code === 'timeout' ? `did not end within ${timeoutMs / 1000} s` : 'was cancelled';
  return new ServiceError({
    code,
    message: `${what} ${why}; ${endings[ending]}`,
    remedy:
      ending === 'perhaps still running'
        ? 'Look on the host whether it still runs (ps) before doing it again.'
        : 'Try again; if it needs longer, raise its time limit or look at the load of the host.',
    retryable: ending !== 'perhaps still running',
    details: { ending },
  });
}

/** The code of a {@link Deadline}'s reason. */
export function stopCode(signal: AbortSignal): 'timeout' | 'cancelled' {
  return signal.reason instanceof ServiceError && signal.reason.code === 'timeout' ? 'timeout' : 'cancelled';
}
