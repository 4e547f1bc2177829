import { z } from 'zod';
import { riskOf } from '../../operations/definition.ts';
import { runCondition } from '../../operations/run.ts';
import { cleanLine } from '../../reports/clean.ts';
import { writtenInput } from '../../runs/name-guest.ts';
import { scheduleText } from '../../runs/schedule-text.ts';
import type { ScheduleSummary } from '../../runs/schedules.ts';
import { scheduleName } from '../../runs/schema.ts';
import { type AnyTool, defineTool } from '../define-tool.ts';
import { limits } from '../host-text.ts';
import { invalidInput } from '../input-errors.ts';
import { asMaker, mayUse, outOfScope } from '../scopes.ts';
import { findOperation, operationName } from './operation-tools.ts';
import { scheduleId, shown } from './schedule-tools.ts';

const scheduleOperation = defineTool({
  name: 'schedule_operation',
  title: 'Schedule operation',
  description:
    'Do an operation later, once or every night, by itself. Name and input as search_operations says. Tell the user when it runs, and who must approve until when.',
  // At least: the operation's own risk counts, too.
  risk: 'change',
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: true },
  input: z.object({
    operation: operationName(),
    input: z.record(z.string(), z.unknown()),
    at: z.string().max(60).optional().describe("Once, by the host's clock: 2026-11-29 23:00, sun 23:00"),
    every: z.string().max(100).optional().describe('Or repeatedly: daily 02:00, sun 23:00, cron'),
    if: runCondition.optional().describe('Only if its host checks ok (or warns) right before'),
    name: scheduleName.optional(),
  }),
  async handler({ operation: name, input, if: condition, ...when }, { schedules, operations }, { caller }) {
    const operation = findOperation(name, operations);
    const parsed = writtenInput(operation).strict().safeParse(input);
    if (!parsed.success) throw invalidInput(operation, input, parsed.error);
    const risk = riskOf(operation, parsed.data);
    if (!mayUse(caller, risk)) throw outOfScope(`scheduling ${operation.name} (${risk})`, risk, caller);
    const request = { operation: operation.name, input, condition, ...when };
    const { existing, ...made } = await schedules.add(request, asMaker(caller));
    const schedule = shown(made);
    const text = `${existing ? 'This was scheduled already' : 'Scheduled'}. ${inWords(schedule)} remove_schedule removes it.`;
    return { data: { summary: text, existing, schedule }, text };
  },
});

const removeSchedule = defineTool({
  name: 'remove_schedule',
  title: 'Remove schedule',
  description: 'Remove (delete) what schedule_operation made; a run that only waits for its time is cancelled.',
  risk: 'change',
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false },
  input: z.object({ id: scheduleId }),
  async handler({ id }, { schedules }, { caller }) {
    const risk = (await schedules.list()).find((one) => one.id === id)?.own?.risk ?? 'change';
    if (!mayUse(caller, risk)) throw outOfScope(`removing ${id} (${risk})`, risk, caller);
    const { cancelled, ...removed } = await schedules.remove(id, asMaker(caller));
    const also =
      cancelled.length === 0
        ? ''
        : ` Cancelled, which waited for its time: ${cleanLine(cancelled.join(', '), limits.line)}`;
    const text = `Removed ${id}.${also}`;
    return {
      data: {
        summary: text,
        cancelled: cancelled.map((run) => cleanLine(run, limits.name * 2)),
        schedule: shown(removed),
      },
      text,
    };
  },
});

/** What somebody wrote about it is in the data, quoted. */
function inWords({ note: _, ...schedule }: ScheduleSummary): string {
  return scheduleText(schedule);
}

/** The tools for schedules that somebody makes. */
export const ownScheduleTools: readonly AnyTool[] = [scheduleOperation, removeSchedule];
