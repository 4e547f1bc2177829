/** One schedule as lists show it. Times are ISO 8601, UTC. */
export interface ScheduleSummary {
  /** `<operation>/<schedule>/<target>`: `back-up/daily/pve1`. */
  readonly id: string;
  readonly operation: string;
  /** `pve1`, `fleet`, `service`. */
  readonly target: string;
  readonly cron: string;
  readonly timeZone: string;
  readonly overlap: string;
  readonly paused: boolean;
  readonly note?: string;
  readonly nextRuns: readonly string[];
  readonly lastRuns: readonly { readonly at: string; readonly runId: string }[];
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
}
