import { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import { defineTool } from '../define-tool.ts';
import { scheduleId, scheduleOf, scheduleSummary } from './schedule-schema.ts';

/** Changes when a schedule fires. */
export const changeSchedule = defineTool({
  name: 'change_schedule',
  title: 'Change schedule',
  description:
    'Change when a schedule fires: its cron time, its time zone, or both. The change survives restarts; cron: null goes back to the time of the catalogue.',
  // A backup that is moved out of sight is a backup that is lost.
  risk: 'dangerous',
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  input: z.object({
    id: scheduleId,
    cron: z
      .string()
      .trim()
      .min(9)
      .max(100)
      .nullable()
      .optional()
      .describe('Five fields: minute hour day month weekday, e.g. 30 2 * * *. null: back to the default'),
    timeZone: z.string().trim().min(1).max(64).optional().describe('IANA name, e.g. Europe/Berlin'),
  }),
  output: z.object({ schedule: scheduleSummary }),
  async handler({ id, cron, timeZone }, { schedules }, { caller }) {
    if (cron === undefined && timeZone === undefined) {
      throw new ServiceError({
        code: 'invalid-input',
        message: 'Neither cron nor timeZone was given, so there is nothing to change',
        remedy: 'Give cron, timeZone or both.',
        details: { field: 'cron' },
      });
    }
    const change = {
      ...(cron === undefined ? {} : { cron }),
      ...(timeZone === undefined ? {} : { timeZone }),
    };
    return { data: { schedule: scheduleOf(await schedules.change(id, change, caller.name)) } };
  },
});
