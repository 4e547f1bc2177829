import type { NoticeKind } from '../../operations/notice.ts';
import type { Outcome } from '../../operations/run.ts';

/** A run that a schedule has started, as lists of Temporal show it. */
export interface ScheduledRun {
  readonly id: string;
  /** Temporal's own id of this execution. */
  readonly runId: string;
  readonly operation: string;
  readonly target: string;
  /** Id of its schedule. */
  readonly schedule: string;
  readonly status: string;
  readonly outcome?: Outcome | undefined;
  readonly phase?: string | undefined;
  readonly startedAt: number;
  readonly closedAt?: number | undefined;
}

/** The ends of a run that a person must hear of. */
export type BadEnd = Extract<NoticeKind, 'failed' | 'undone' | 'terminated' | 'timed-out' | 'not-met'>;

/** When a run takes too long: everything in ms. */
export interface OverrunLimits {
  /** No run that takes less is called slow. */
  readonly leastMs: number;
  /** How often the longest of the last good runs is still usual. */
  readonly factor: number;
  /** For a schedule whose runs have never ended well. */
  readonly firstMs: number;
}

/**
 * What a person must hear of the end of a run; undefined where nothing: it went well, or was cancelled, which is what a
 * person wanted. A cancelled run that could not be undone has failed.
 */
export function judgeEnd({ status, outcome }: Pick<ScheduledRun, 'status' | 'outcome'>): BadEnd | undefined {
  switch (status) {
    case 'FAILED':
      return outcome === 'undone' ? 'undone' : 'failed';
    case 'TERMINATED':
      return 'terminated';
    case 'TIMED_OUT':
      return 'timed-out';
    default:
      return undefined;
  }
}

/** For how long a run may go on before it is told of. `durations`: of the last runs of its schedule that ended well. */
export function usualMs(durations: readonly number[], { leastMs, factor, firstMs }: OverrunLimits): number {
  return durations.length === 0 ? Math.max(leastMs, firstMs) : Math.max(leastMs, factor * Math.max(...durations));
}

/**
 * What was told already, by the keys of the notices: when it ended (ms), or the id of the run or schedule that is so for
 * as long as it goes on.
 */
export type Told = Readonly<Record<string, number | string>>;

/**
 * What must still be remembered, because it could be found again: what ended since `from` (ms), and what goes on.
 * Everything else is forgotten, so that this doesn't grow for years.
 */
export function stillTold(told: Told, from: number, goesOn: ReadonlySet<string>): Told {
  return Object.fromEntries(
    Object.entries(told).filter(([, of]) => (typeof of === 'string' ? goesOn.has(of) : of >= from)),
  );
}

/** How often a schedule did not start a run that was due: since it was made. */
export interface NotStarted {
  /** Its catch-up window had passed. */
  readonly missed: number;
  /** Its last run was still going. */
  readonly skipped: number;
}

/**
 * How often more than when it was looked at last. Of a schedule that is seen for the first time nothing is news; one that was made
 * anew begins with zero.
 */
export function moreNotStarted(before: NotStarted | undefined, now: NotStarted): NotStarted {
  if (before === undefined) return { missed: 0, skipped: 0 };
  const more = (of: keyof NotStarted) => (now[of] < before[of] ? now[of] : now[of] - before[of]);
  return { missed: more('missed'), skipped: more('skipped') };
}
