import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import { principalText } from '../../operations/run.ts';
import { cleanLine } from '../../reports/clean.ts';
import type { LedgerClient } from '../../runs/ledger.ts';
import { waitsFor } from '../../runs/schedule-text.ts';
import type { ScheduleSummary } from '../../runs/schedules.ts';
import { type AnyTool, defineTool } from '../define-tool.ts';
import { boundedOutput, limits, quoted } from '../host-text.ts';
import { asRequester, type Caller, mayUse, outOfScope } from '../scopes.ts';

/** A schedule's id. */
export const scheduleId = z
  .string()
  .max(300)
  .regex(/^[a-z0-9-]+\/[a-z0-9-]+(\/[a-z0-9,-]+)+$/, 'expected operation/schedule/target, e.g. back-up/daily/pve1')
  .describe('From list_schedules');

const reason = z.string().trim().min(3).max(500).describe('Why; shown beside it');

const listSchedules = defineTool({
  name: 'list_schedules',
  title: 'List schedules',
  description:
    'Schedules: what is scheduled and when it runs next (the nightly backup, the morning health check), on which target, in which time zone, its last runs, whether it is paused and why, and what it waits for.',
  risk: 'read',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.object({}),
  async handler(_input, { schedules }) {
    const all = (await schedules.list()).map(shown);
    return { data: { schedules: all.map((one) => ({ ...one, ...waits(one) })) } };
  },
});

const pauseSchedule = defineTool({
  name: 'pause_schedule',
  title: 'Pause schedule',
  description:
    'Pause (disable) a schedule, e.g. the nightly backup: it does not fire until resume_schedule. Stays paused over restarts. A run that is already going goes on.',
  risk: 'change',
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.object({ id: scheduleId, reason }),
  async handler({ id, reason: why }, { schedules, ledger }, { caller }) {
    const schedule = await schedules.pause(id, why, caller.name);
    return writtenDown(ledger, caller, schedule, `Paused the schedule ${id}: ${why}`);
  },
});

const resumeSchedule = defineTool({
  name: 'resume_schedule',
  title: 'Resume schedule',
  description:
    'Resume (enable) a paused schedule: it fires again at its next time. Runs it missed while paused are not made up.',
  risk: 'change',
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.object({ id: scheduleId, reason }),
  async handler({ id, reason: why }, { schedules, ledger }, { caller }) {
    const schedule = await schedules.resume(id, why, caller.name);
    return writtenDown(ledger, caller, schedule, `Resumed the schedule ${id}: ${why}`);
  },
});

const triggerSchedule = defineTool({
  name: 'trigger_schedule',
  title: 'Trigger schedule',
  description:
    'Run a schedule now, e.g. the nightly backup, with its own input and overlap policy, as if its time had come. list_runs shows the run that it starts. Works on a paused schedule too.',
  risk: 'change',
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: true },
  input: z.object({ id: scheduleId }),
  async handler({ id }, { schedules, ledger }, { caller }) {
    const risk = (await schedules.list()).find((one) => one.id === id)?.own?.risk;
    if (risk !== undefined && !mayUse(caller, risk)) throw outOfScope(`triggering ${id} (${risk})`, risk, caller);
    const schedule = await schedules.trigger(id, caller.name);
    return writtenDown(ledger, caller, schedule, `Fired the schedule ${id}`);
  },
});

const changeSchedule = defineTool({
  name: 'change_schedule',
  title: 'Change schedule',
  description:
    'Change when a schedule fires, e.g. the nightly backup: its cron time, its time zone, or both. The change survives restarts; cron: null goes back to the time of the catalogue.',
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
      .describe('Five fields: minute hour day month weekday, e.g. 30 4 * * *. null: back to the default'),
    timeZone: z.string().trim().min(1).max(64).optional().describe('IANA name, e.g. Europe/Berlin'),
  }),
  async handler({ id, cron, timeZone }, { schedules, ledger }, { caller }) {
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
    const to = cron === null ? 'the time of the catalogue' : [cron, timeZone].filter(Boolean).join(', ');
    const schedule = await schedules.change(id, change, caller.name);
    return writtenDown(ledger, caller, schedule, `Changed the schedule ${id}: ${to}`);
  },
});

/** It was done, whether or not the ledger can be told; where it can't, that is said. */
async function writtenDown(
  ledger: LedgerClient,
  caller: Caller,
  schedule: ScheduleSummary,
  text: string,
): Promise<{ readonly data: object }> {
  const { id, operation, target } = schedule;
  const by = principalText(asRequester(caller));
  const record = {
    key: `schedule/${id}/${randomBytes(9).toString('hex')}`,
    kind: 'schedule',
    operation,
    target,
    by,
  } as const;
  try {
    await ledger.record([{ ...record, text: cleanLine(text, 1_000) }]);
    return { data: { schedule: shown(schedule) } };
  } catch (error) {
    const why = quoted(error instanceof Error ? error.message : String(error), limits.line);
    return { data: { schedule: shown(schedule), notInLedger: why } };
  }
}

/** What has to come before its next run acts, in words. */
function waits(one: ScheduleSummary): { readonly waitsFor?: string } {
  const words = waitsFor(one).join(' ');
  return words === '' ? {} : { waitsFor: words };
}

/** Reasons are what somebody wrote, problems may quote what Temporal said. */
export function shown({ note, problem, own, ...schedule }: ScheduleSummary): ScheduleSummary {
  return {
    ...schedule,
    target: cleanLine(schedule.target, limits.name),
    cron: cleanLine(schedule.cron, limits.name),
    timeZone: cleanLine(schedule.timeZone, limits.name),
    ...(own === undefined ? {} : { own: shownOwn(own) }),
    ...(note === undefined ? {} : { note: quoted(note, limits.line) }),
    ...(problem === undefined ? {} : { problem: quoted(problem, limits.line) }),
  };
}

function shownOwn(own: NonNullable<ScheduleSummary['own']>): NonNullable<ScheduleSummary['own']> {
  const { approval, input, madeBy } = own;
  return {
    ...own,
    madeBy: cleanLine(madeBy, limits.name),
    input: boundedOutput(input) as Record<string, unknown>,
    ...(approval === undefined ? {} : { approval: { ...approval, why: cleanLine(approval.why, limits.line) } }),
  };
}

/** The tools that look after schedules. */
export const scheduleTools: readonly AnyTool[] = [
  listSchedules,
  pauseSchedule,
  resumeSchedule,
  triggerSchedule,
  changeSchedule,
];
