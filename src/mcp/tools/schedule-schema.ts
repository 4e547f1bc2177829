import { z } from 'zod';
import type { ScheduleSummary } from '../../runs/schedules.ts';

/** A schedule's id as callers give it. */
export const scheduleId = z
  .string()
  .max(200)
  .regex(/^[a-z0-9-]+\/[a-z0-9-]+\/[a-z0-9-]+$/, 'expected operation/schedule/host, e.g. back-up/daily/pve1')
  .describe('Id of a schedule, from list_schedules: operation/schedule/host');

export const reason = z
  .string()
  .trim()
  .min(3)
  .max(500)
  .describe('Why, in a few words; administrators see it beside the schedule');

export const scheduleSummary = z.object({
  id: z.string(),
  operation: z.string(),
  target: z.string().describe('The host, or fleet, or service'),
  cron: z.string(),
  timeZone: z.string(),
  overlap: z.string().describe('What happens when it fires while its previous run is still going'),
  paused: z.boolean(),
  note: z.string().optional(),
  nextRuns: z.array(z.string()).describe('ISO 8601, UTC'),
  lastRuns: z.array(z.object({ at: z.string(), runId: z.string() })),
});

/** A schedule as {@link scheduleSummary} has it. */
export function scheduleOf(schedule: ScheduleSummary): z.infer<typeof scheduleSummary> {
  const { id, operation, target, cron, timeZone, overlap, paused, note } = schedule;
  return {
    id,
    operation,
    target,
    cron,
    timeZone,
    overlap,
    paused,
    ...(note === undefined ? {} : { note }),
    nextRuns: [...schedule.nextRuns],
    lastRuns: schedule.lastRuns.map(({ at, runId }) => ({ at, runId })),
  };
}
