import type { z } from 'zod';
import type { Requester, RunCondition } from '../operations/run.ts';
import type { scheduleSummary } from './schema.ts';

/** A schedule as lists show it. */
export type ScheduleSummary = z.infer<typeof scheduleSummary>;

/** What somebody wants to be done by itself: once, or again and again. */
export interface ScheduleRequest {
  readonly operation: string;
  readonly input: unknown;
  /** Once, as `momentAhead` takes it. */
  readonly at?: string | undefined;
  /** Again and again, as `cronOf` takes it. */
  readonly every?: string | undefined;
  readonly condition?: RunCondition | undefined;
  /** Default: made of the time. */
  readonly name?: string | undefined;
}

/** The schedules that the service owns. Times, pauses and changes live in Temporal and survive restarts. */
export interface Schedules {
  list(): Promise<readonly ScheduleSummary[]>;
  pause(id: string, reason: string, by: string): Promise<ScheduleSummary>;
  resume(id: string, reason: string, by: string): Promise<ScheduleSummary>;
  /** Fires it now, under its own overlap policy: throws `conflict` while a run of it goes that it must not overlap. */
  trigger(id: string, by: string): Promise<ScheduleSummary>;
  /** Changes its time; survives reconciliation until it is reset with `cron: null`. Throws `invalid-input`. */
  change(
    id: string,
    change: { readonly cron?: string | null; readonly timeZone?: string },
    by: string,
  ): Promise<ScheduleSummary>;
  /**
   * Schedules any operation for `by`, as whom every run of it is judged. Asks the policy first: what it would refuse is not
   * scheduled (`forbidden`), and what needs an approval asks ahead of its time. The same request again finds the same one.
   * Throws `invalid-input`, `not-found`, `already-exists`, `unavailable` where no worker answers for the policy.
   */
  add(request: ScheduleRequest, by: Requester): Promise<ScheduleSummary & { readonly existing: boolean }>;
  /**
   * Removes one that was added, and cancels the runs that it started ahead and that wait for their time. Throws `conflict`
   * for one of the catalogue, which can be paused.
   */
  remove(id: string, by: Requester): Promise<ScheduleSummary & { readonly cancelled: readonly string[] }>;
}
