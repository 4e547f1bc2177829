import { z } from 'zod';
import { riskOf } from '../../operations/definition.ts';
import { runCondition } from '../../operations/run.ts';
import { scheduleText } from '../../runs/schedule-text.ts';
import { scheduleName } from '../../runs/schema.ts';
import { type AnyTool, defineTool } from '../define-tool.ts';
import { invalidInput } from '../input-errors.ts';
import { asMaker, mayUse, outOfScope } from '../scopes.ts';
import { findOperation, operationName } from './operation-tools.ts';
import { scheduleId, shown } from './schedule-tools.ts';

const scheduleOperation = defineTool({
  name: 'schedule_operation',
  title: 'Schedule operation',
  description:
    'Do any operation later (tonight, on Sunday night) or again and again (every night), by itself; with if only when the host is healthy then. Take its name and input from search_operations. Judged as starting it now is, at every run: what needs an approval asks ahead of its time. Tell the user when it runs and who must approve until when.',
  // At least: the operation's own risk counts, too.
  risk: 'change',
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: true },
  input: z.object({
    operation: operationName().describe('e.g. control-guest'),
    input: z.record(z.string(), z.unknown()).describe("The operation's own fields, as its schema says"),
    at: z
      .string()
      .max(60)
      .optional()
      .describe("Once, by the host's clock: 2026-11-29 23:00, sun 23:00, tomorrow 02:00, in 2h"),
    every: z.string().max(100).optional().describe('Or repeatedly: daily 02:00, sun 23:00, or cron: 0 23 * * 0'),
    if: runCondition.optional().describe('Else it is not done. healthy: its check says ok; not-failing: or warns'),
    name: scheduleName.optional().describe('Default: made of the time'),
  }),
  async handler({ operation: name, input, if: condition, ...when }, { schedules, operations }, { caller }) {
    const operation = findOperation(name, operations);
    const parsed = operation.input.strict().safeParse(input);
    if (!parsed.success) throw invalidInput(operation, input, parsed.error);
    const risk = riskOf(operation, parsed.data);
    if (!mayUse(caller, risk)) throw outOfScope(`scheduling ${operation.name} (${risk})`, risk, caller);
    const request = { operation: operation.name, input, condition, ...when };
    const { existing, ...made } = await schedules.add(request, asMaker(caller));
    const schedule = shown(made);
    const text = `${existing ? 'This was scheduled already' : 'Scheduled'}. ${scheduleText(schedule)} remove_schedule removes it.`;
    return { data: { note: text, existing, schedule }, text };
  },
});

const removeSchedule = defineTool({
  name: 'remove_schedule',
  title: 'Remove schedule',
  description:
    'Remove (delete) a schedule that schedule_operation made; a run of it that only waits for its time is cancelled. Those of the catalogue can be paused instead.',
  risk: 'change',
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false },
  input: z.object({ id: scheduleId }),
  async handler({ id }, { schedules }, { caller }) {
    const risk = (await schedules.list()).find((one) => one.id === id)?.own?.risk ?? 'change';
    if (!mayUse(caller, risk)) throw outOfScope(`removing ${id} (${risk})`, risk, caller);
    const { cancelled, ...removed } = await schedules.remove(id, asMaker(caller));
    const also = cancelled.length === 0 ? '' : ` Cancelled, which waited for its time: ${cancelled.join(', ')}`;
    const text = `Removed ${id}.${also}`;
    return { data: { note: text, cancelled, schedule: shown(removed) }, text };
  },
});

/** The tools for schedules that somebody makes. */
export const ownScheduleTools: readonly AnyTool[] = [scheduleOperation, removeSchedule];
