import { z } from 'zod';
import { defineTool } from '../define-tool.ts';
import { scheduleId, scheduleOf, scheduleSummary } from './schedule-schema.ts';

/** Fires a schedule now. */
export const triggerSchedule = defineTool({
  name: 'trigger_schedule',
  title: 'Trigger schedule',
  description:
    'Run a schedule now, with its own input and overlap policy, as if its time had come. list_runs shows the run that it starts. Works on a paused schedule too.',
  risk: 'change',
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: true },
  input: z.object({ id: scheduleId }),
  output: z.object({ schedule: scheduleSummary }),
  async handler({ id }, { schedules }, { caller }) {
    return { data: { schedule: scheduleOf(await schedules.trigger(id, caller.name)) } };
  },
});
