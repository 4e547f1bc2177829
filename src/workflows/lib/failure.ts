import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  isCancellation,
  TimeoutFailure,
} from '@temporalio/workflow';

/** What went wrong, as one text for a person and a code for programs. */
export interface Failure {
  readonly code: string;
  /** What happened, why and what to do. */
  readonly message: string;
  /** Only what to do. */
  readonly remedy: string;
}

/** First detail of every `ApplicationFailure` that the service throws (`src/activities/failures.ts`). */
export interface FailureDetail {
  readonly code: string;
  readonly remedy: string;
}

/** Reads the failure that matters out of Temporal's wrapping: the activity's own words, or what it ran out of. */
export function failureOf(error: unknown): Failure {
  if (isCancellation(error)) return cancelled;
  if (error instanceof ActivityFailure) {
    if (error.cause instanceof ApplicationFailure) return failureOf(error.cause);
    if (error.cause instanceof TimeoutFailure) return timeoutOf(error.cause, error.activityType);
    if (error.cause instanceof CancelledFailure) return cancelled;
  }
  if (error instanceof ApplicationFailure) {
    const detail = error.details?.[0] as Partial<FailureDetail> | undefined;
    return { code: error.type ?? 'internal', message: error.message, remedy: detail?.remedy ?? lookAtRun };
  }
  return { code: 'internal', message: error instanceof Error ? error.message : String(error), remedy: lookAtRun };
}

/** Whether a failure is about the way to a host, so that asking it something else would say the same. */
export function isAboutTheWay(code: string): boolean {
  return aboutTheWay.has(code);
}

const aboutTheWay: ReadonlySet<string> = new Set([
  'host-unreachable',
  'host-key-unknown',
  'host-key-changed',
  'ssh-key-refused',
]);

const lookAtRun = 'Look at the run in the Temporal UI.';
const cancelled: Failure = {
  code: 'cancelled',
  message: 'It was cancelled.',
  remedy: 'Start it again when it is wanted.',
};
const startAgain = 'Check that a worker runs and that the host answers, then start it again.';

function timeoutOf(timeout: TimeoutFailure, activity: string): Failure {
  const last = timeout.cause instanceof ApplicationFailure ? ` The last attempt said: ${timeout.cause.message}` : '';
  return {
    code: 'timeout',
    message: `${activity} was not done within its time (${timeout.timeoutType}).${last} ${startAgain}`,
    remedy: startAgain,
  };
}
