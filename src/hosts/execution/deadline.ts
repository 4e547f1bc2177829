import { ServiceError } from '../../errors.ts';

export interface Deadline {
  /** Why the work may not go on: time is up or the caller gave up. The error of work that was never begun. */
  readonly reason: () => ServiceError | undefined;
  /** Resolves when there is a reason. */
  readonly passed: Promise<'passed'>;
  /** Aborted with the reason. Made when it is asked for: most work never needs one, and it is dear. */
  readonly signal: () => AbortSignal;
  /** Lets go of the timer and of the caller's signal. */
  readonly clear: () => void;
}

/**
 * One end for "too late" and "not wanted any more". Its reasons are the errors of work that was never begun;
 * whoever must end something that runs throws {@link stopped} instead.
 *
 * @param what - For messages, for example `pve1: /usr/bin/df`.
 */
export function startDeadline(
  what: string,
  timeoutMs: number,
  ...callers: readonly (AbortSignal | undefined)[]
): Deadline {
  let reason: ServiceError | undefined;
  let controller: AbortController | undefined;
  let pass: (passed: 'passed') => void = () => undefined;
  const passed = new Promise<'passed'>((resolve) => {
    pass = resolve;
  });
  const end = (code: 'timeout' | 'cancelled') => {
    if (reason !== undefined) return;
    reason = stopped(code, what, timeoutMs, 'not started');
    pass('passed');
    controller?.abort(reason);
  };
  const giveUp = () => end('cancelled');
  const timer = setTimeout(() => end('timeout'), timeoutMs);
  for (const caller of callers) {
    if (caller?.aborted === true) giveUp();
    else caller?.addEventListener('abort', giveUp, { once: true });
  }
  return {
    reason: () => reason,
    passed,
    signal() {
      if (controller === undefined) {
        controller = new AbortController();
        if (reason !== undefined) controller.abort(reason);
      }
      return controller.signal;
    },
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

const tryAgain = 'Try again; if it needs longer, raise its time limit or look at the load of the host.';
const remedies: Readonly<Record<Ending, string>> = {
  'not started': tryAgain,
  ended: tryAgain,
  'perhaps still running': 'Look on the host whether it still runs (ps) before doing it again.',
};

/** The error for work that a deadline or its caller ended. */
export function stopped(code: 'timeout' | 'cancelled', what: string, timeoutMs: number, ending: Ending): ServiceError {
  const seconds = `within ${timeoutMs / 1000} s`;
  // A host that is off answers nothing at all, and so costs what connecting may take; so does a wait for others' commands.
  const never = code === 'timeout' && ending === 'not started';
  const why = code === 'timeout' ? `did not end ${seconds}` : 'was cancelled';
  return new ServiceError({
    code,
    message: never
      ? `${what} could not be started ${seconds}: the host did not answer, or was busy with other commands of the service`
      : `${what} ${why}; ${endings[ending]}`,
    remedy: never ? 'Check that the host is up, reachable and not overloaded, then try again.' : remedies[ending],
    retryable: ending !== 'perhaps still running',
    details: { ending },
  });
}

/** The code of a {@link Deadline}'s reason. */
export function stopCode(deadline: Deadline): 'timeout' | 'cancelled' {
  return deadline.reason()?.code === 'timeout' ? 'timeout' : 'cancelled';
}
