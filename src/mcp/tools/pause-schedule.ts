import { z } from 'zod';
import { defineTool } from '../define-tool.ts';
import { reason, scheduleId, scheduleOf, scheduleSummary } from './schedule-schema.ts';

/** Stops a schedule from firing until it is resumed. */
export const pauseSchedule = defineTool({
  name: 'pause_schedule',
  title: 'Pause schedule',
  description:
    'Pause a schedule: it does not fire until resume_schedule. Stays paused over restarts. A run that is already going goes on.',
  risk: 'change',
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.object({ id: scheduleId, reason }),
  output: z.object({ schedule: scheduleSummary }),
  async handler({ id, reason: why }, { schedules }, { caller }) {
    return { data: { schedule: scheduleOf(await schedules.pause(id, why, caller.name)) } };
  },
});
