import type { z } from 'zod';
import type { scheduleSummary } from './schema.ts';

/** A schedule as lists show it. */
export type ScheduleSummary = z.infer<typeof scheduleSummary>;

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
}
