import type { Subject } from './subject.ts';

/** What may have become of a scheduled run, or of a schedule, that a person must hear of. */
export type NoticeKind =
  | 'failed'
  | 'undone'
  | 'terminated'
  | 'timed-out'
  | 'paused'
  | 'overran'
  | 'missed'
  | 'skipped'
  | 'not-met'
  | 'refused'
  | 'not-mailed';

/** One thing that a person must hear of, once. */
export interface Notice {
  /** The same whenever it is found again: what it is about, and which time. */
  readonly key: string;
  readonly kind: NoticeKind;
  /** What it is about: a host, host/VMID, fleet or service. */
  readonly target: string;
  /** Whose level is told first. Default: operations. */
  readonly subject?: Subject;
  /** `Back up failed`: what happened, without the target. */
  readonly headline: string;
  /** Why, in a few words, for a mail's subject: `the backup folder is full`. */
  readonly cause: string;
  /** When, what and why, in sentences. */
  readonly summary: string;
  readonly remedy: string;
  /** When it happened; ISO 8601. */
  readonly at: string;
  /** When the run was started that ended then. */
  readonly from?: string;
  /** Of its host, for the times in what is made of it. */
  readonly timeZone: string;
  /** The run that it is about, and where to see it; a schedule that made none has none. */
  readonly run?: { readonly id: string; readonly look: string };
}

/** What the watch over the scheduled runs says of itself. */
export interface Notices {
  /** What is still to be mailed, oldest first. */
  readonly pending: readonly Notice[];
  /** Older ones that are to be mailed as a number only, because there are too many. */
  readonly dropped: number;
  /** Absent while mail works. */
  readonly unsent?: {
    /** Of the first mail that could not be sent. */
    readonly since: string;
    /** What the last attempt said. */
    readonly why: string;
    /** What to do about it. */
    readonly remedy?: string;
    readonly nextTryAt: string;
    readonly tries: number;
    /** How many stages and repetitions of the escalation were paged since; new notices begin anew. */
    readonly paged?: number;
  };
  readonly lastMailedAt?: string;
  /** How many notices were mailed since it was started. */
  readonly mailed: number;
}
