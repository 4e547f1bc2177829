import { z } from 'zod';
import { defineTool } from '../define-tool.ts';
import { scheduleOf, scheduleSummary } from './schedule-schema.ts';

/** Every schedule that the service owns. */
export const listSchedules = defineTool({
  name: 'list_schedules',
  title: 'List schedules',
  description:
    'Schedules: which operation runs on which host and when, in which time zone, its next and last runs, and whether it is paused and why.',
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.object({}),
  output: z.object({ schedules: z.array(scheduleSummary) }),
  async handler(_input, { schedules }) {
    return { data: { schedules: (await schedules.list()).map(scheduleOf) } };
  },
});
