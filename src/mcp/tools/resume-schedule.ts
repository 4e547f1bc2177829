import { z } from 'zod';
import { defineTool } from '../define-tool.ts';
import { reason, scheduleId, scheduleOf, scheduleSummary } from './schedule-schema.ts';

/** Lets a paused schedule fire again. */
export const resumeSchedule = defineTool({
  name: 'resume_schedule',
  title: 'Resume schedule',
  description:
    'Resume a paused schedule: it fires again at its next time. Runs it missed while paused are not made up.',
  risk: 'change',
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.object({ id: scheduleId, reason }),
  output: z.object({ schedule: scheduleSummary }),
  async handler({ id, reason: why }, { schedules }, { caller }) {
    return { data: { schedule: scheduleOf(await schedules.resume(id, why, caller.name)) } };
  },
});
