import { createHash } from 'node:crypto';
import { type ScheduleOptions, ScheduleOverlapPolicy, type ScheduleSpec } from '@temporalio/client';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { type OperationDefinition, riskOf, workflowType } from '../operations/definition.ts';
import type { ApprovalTerms } from '../operations/judgement.ts';
import { type NotBefore, type Requester, type RunRequest, requester, runCondition } from '../operations/run.ts';
import { searchAttributes } from '../operations/search-attributes.ts';
import { labelFor } from '../operations/target.ts';
import { readableDuration } from '../reports/units.ts';
import { zoneOfTarget } from '../time-zone.ts';
import { runIdPrefix, startOptions } from '../workflows/lib/attributes.ts';
import { serviceQueue } from '../workflows/lib/messages.ts';
import { findOperation, operations } from './find-operation.ts';
import { calendarsOf, occurrences, shortestGap } from './occurrences.ts';
import { parseInput } from './parse-input.ts';
import type { ScheduleMemo } from './schedule-spec.ts';
import { scheduleTimes } from './schedule-times.ts';
import type { ScheduleRequest } from './schedules.ts';
import { scheduleName } from './schema.ts';
import { cronOf, momentAhead } from './when.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** How long before its time a run asks that needs an approval: as long as it may be answered, within these. */
const lead = { leastMs: hourMs, mostMs: dayMs } as const;
/** What asks each time can't be due more often. */
const leastGapMs = 2 * hourMs;
/** A run that the service was down for is made up for so long after its time. */
const lateMs = hourMs;
/** A moment that is nearer than this may be over before Temporal knows of it. */
const atOnceMs = 10_000;
/** Times that are told one by one are told for so long ahead; every start of the service tells them anew. */
const toldYears = 5;

/** What a schedule that somebody made remembers of that, in the memo of its runs. */
export const ownMemo = z.object({
  /** ISO 8601; of one that runs once. */
  at: z.iso.datetime().optional(),
  /** How long before its time it starts its run, ms. */
  leadMs: z.number(),
  /** A first time that came too soon to be asked for ahead: its run was started on its own. */
  first: z.iso.datetime().optional(),
  input: z.record(z.string(), z.unknown()),
  condition: runCondition.optional(),
  maker: requester,
  madeAt: z.iso.datetime(),
  approval: z
    .object({
      count: z.int(),
      approvers: z.array(z.string()),
      answerWithinMs: z.number(),
      executeWithinMs: z.number(),
      why: z.string(),
    })
    .optional(),
});
export type OwnMemo = z.infer<typeof ownMemo>;

/** A schedule that somebody wants, understood. */
export interface OwnSchedule {
  readonly id: string;
  /** The second part of its id. */
  readonly name: string;
  readonly operation: OperationDefinition;
  readonly label: string;
  readonly timeZone: string;
  /** Absent: it runs once. */
  readonly cron?: string | undefined;
  readonly own: OwnMemo;
}

/** What begins the second part of the id of every schedule that somebody made; no schedule of the catalogue has it. */
const prefix = 'own-';

/** Reads a request, every part of it. Throws `invalid-input`, `not-found`. Nothing is asked of the policy yet. */
export function understand(request: ScheduleRequest, maker: Requester, config: Config, now = Date.now()): OwnSchedule {
  const operation = findOperation(request.operation);
  const input = parseInput(operation, request.input, config);
  const label = labelFor(operation, input);
  const timeZone = zoneOfTarget(config, label);
  const { condition, at, every } = request;
  if (request.name !== undefined && !scheduleName.safeParse(request.name).success) {
    throw new ServiceError({
      code: 'invalid-input',
      message: `name: "${request.name}" can't be the name of a schedule, and nothing was scheduled`,
      remedy: 'Use up to 40 of a-z, 0-9 and -.',
      details: { field: 'name' },
    });
  }
  if (condition !== undefined && operation.target !== 'host' && operation.target !== 'guest') {
    throw new ServiceError({
      code: 'invalid-input',
      message: `if: ${operation.name} works on ${label}, which is no one host whose health could be looked at, and nothing was scheduled`,
      remedy: 'Leave the condition out, or schedule an operation on one host.',
      details: { field: 'if' },
    });
  }
  if ((at === undefined) === (every === undefined)) {
    throw new ServiceError({
      code: 'invalid-input',
      message: `${at === undefined ? 'Neither at nor every was given' : 'Both at and every were given'}, so it is not clear when it is to run`,
      remedy: 'Give at for once, or every for again and again.',
      details: { field: 'at' },
    });
  }
  const moment = at === undefined ? undefined : new Date(momentAhead(at, timeZone, now)).toISOString();
  const cron = every === undefined ? undefined : cronOf(every);
  if (cron !== undefined && next(cron, timeZone, now) === undefined) {
    throw new ServiceError({
      code: 'invalid-input',
      message: `every: "${every}" never comes: the calendar has no such day`,
      remedy: 'Give another time.',
      details: { field: 'every' },
    });
  }
  const name = `${prefix}${request.name ?? nameOf(moment, every, timeZone)}`;
  return {
    id: `${operation.name}/${name}/${label}`,
    name,
    operation,
    label,
    timeZone,
    cron,
    own: {
      ...(moment !== undefined && { at: moment }),
      leadMs: 0,
      input,
      ...(condition !== undefined && { condition }),
      maker,
      madeAt: new Date(now).toISOString(),
    },
  };
}

/** From the memo of its runs; undefined where that isn't one's of ours, or of an operation that there is no more. */
export function ownFrom(memo: Readonly<Record<string, unknown>> | undefined): OwnSchedule | undefined {
  const own = ownMemo.safeParse(memo?.own).data;
  const {
    schedule: id = '',
    operation: name = '',
    target = '',
    cron = '',
    timeZone = '',
  } = (memo ?? {}) as Partial<ScheduleMemo>;
  const operation = Object.hasOwn(operations, name) ? operations[name] : undefined;
  if (own === undefined || operation === undefined) return undefined;
  const second = id.split('/')[1] ?? '';
  return { id, name: second, operation, label: target, timeZone, cron: own.at === undefined ? cron : undefined, own };
}

/** When it is due next, ms; undefined: never again. */
export function nextDue({ cron, timeZone, own }: OwnSchedule, now = Date.now()): number | undefined {
  if (cron !== undefined) return next(cron, timeZone, now);
  const at = Date.parse(own.at ?? '');
  return at > now ? at : undefined;
}

/**
 * The same with what the policy said to it: what needs an approval is started ahead of its time, so that it can ask. A
 * first time that is too near for that is asked for at once. Throws `invalid-input` for what would ask all the time.
 */
export function withApproval(
  schedule: OwnSchedule,
  asked: { readonly terms: ApprovalTerms; readonly why: string },
  now = Date.now(),
): OwnSchedule {
  const { count, approvers, answerWithinMs, executeWithinMs } = asked.terms;
  const approval = { count, approvers, answerWithinMs, executeWithinMs, why: asked.why };
  const wanted = Math.min(Math.max(answerWithinMs, lead.leastMs), lead.mostMs);
  const { cron, timeZone, own } = schedule;
  if (cron === undefined) {
    const leadMs = Math.min(wanted, Math.max(0, Date.parse(own.at ?? '') - now));
    return { ...schedule, own: { ...own, leadMs, approval } };
  }
  const gap = shortestGap(firstOf(cron, timeZone, now, 60));
  if (gap < leastGapMs) {
    throw new ServiceError({
      code: 'invalid-input',
      message: `every: it needs an approval each time, and it would be due after ${readableDuration(gap)} already, so nothing was scheduled`,
      remedy: `Give times that are at least ${readableDuration(leastGapMs)} apart.`,
      details: { field: 'every' },
    });
  }
  // Halfway, so that the run before has ended when the next one begins to ask.
  const leadMs = Math.min(wanted, Math.floor(gap / 2 / minuteMs) * minuteMs);
  const [due] = firstOf(cron, timeZone, now, 1);
  const first = due !== undefined && due - leadMs < now + atOnceMs ? new Date(due).toISOString() : undefined;
  return { ...schedule, own: { ...own, leadMs, approval, ...(first !== undefined && { first }) } };
}

/** What it starts, for Temporal; with `at`, ahead of that one time. */
export function ownAction(
  schedule: OwnSchedule,
  at?: string,
): Extract<ScheduleOptions['action'], { type: 'startWorkflow' }> & { memo: Record<string, unknown> } {
  const { id, name, operation, label, timeZone, own } = schedule;
  const { input, maker, condition, leadMs } = own;
  const by: Requester = { kind: 'schedule', name: id };
  const time = at ?? own.at;
  const notBefore: NotBefore = { timeZone, ...(time === undefined ? { leadMs } : { at: time }) };
  const request: RunRequest<unknown> = {
    input,
    requestedBy: by,
    onBehalfOf: maker,
    ...(riskOf(operation, input) !== 'read' && { notBefore }),
    ...(condition !== undefined && { condition }),
  };
  const memo: ScheduleMemo = {
    schedule: id,
    operation: operation.name,
    target: label,
    cron: whenText(schedule),
    timeZone,
    definition: digestOf(schedule),
    change: null,
  };
  return {
    type: 'startWorkflow',
    workflowType: workflowType(operation.name),
    workflowId: `${runIdPrefix(operation, input)}/${name}`,
    taskQueue: serviceQueue,
    args: [request],
    memo: { ...memo, own: { ...own, ...(at !== undefined && { at }) } },
    ...startOptions(operation, input, by),
  };
}

/** The options that Temporal is given. */
export function ownOptions(
  schedule: OwnSchedule,
  now = Date.now(),
): ScheduleOptions & { action: { memo: Record<string, unknown> } } {
  const { id, own } = schedule;
  const isOnce = schedule.cron === undefined;
  const starts = Date.parse(own.at ?? '') - own.leadMs;
  const isNow = isOnce && starts < now + atOnceMs;
  return {
    scheduleId: id,
    spec: isNow ? { calendars: calendarsOf([now - dayMs]), timezone: 'UTC' } : specOf(schedule, now),
    action: ownAction(schedule),
    policies: {
      overlap: ScheduleOverlapPolicy.SKIP,
      catchupWindow: own.leadMs + lateMs,
      pauseOnFailure: false,
    },
    ...(isOnce && { state: { remainingActions: 1, ...(isNow && { triggerImmediately: true }) } }),
    memo: { managedBy: 'proxmox-mcp', own: true },
  };
}

function specOf({ cron, timeZone, own }: OwnSchedule, now: number): ScheduleSpec {
  if (cron === undefined) {
    return { calendars: calendarsOf([Date.parse(own.at ?? '') - own.leadMs]), timezone: 'UTC' };
  }
  if (own.leadMs === 0) return scheduleTimes(cron, timeZone, new Date(now)).spec;
  // So long before times that a clock change touches that no expression could say it. The same all the year.
  const year = new Date(now).getUTCFullYear();
  const moments = [...occurrences(cron, timeZone, Date.UTC(year, 0, 1), Date.UTC(year + toldYears, 0, 1))];
  return { calendars: calendarsOf(moments.map((moment) => moment - own.leadMs)), timezone: 'UTC' };
}

/** A different one means that Temporal has to be told anew. */
function digestOf(schedule: OwnSchedule): string {
  const { operation, cron, timeZone, own } = schedule;
  const { first: _first, madeAt: _madeAt, approval: _approval, ...does } = own;
  const year = cron === undefined ? 0 : new Date().getUTCFullYear();
  return createHash('sha256')
    .update(JSON.stringify([does, cron, timeZone, operation.risk, year, Object.values(searchAttributes)]))
    .digest('hex');
}

/** The cron expression, or when it runs once. */
function whenText({ cron, timeZone, own }: OwnSchedule): string {
  return cron ?? `once, ${localTime(own.at ?? '', timeZone)}`;
}

/** `2026-11-29 23:00` */
function localTime(iso: string, timeZone: string): string {
  return new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' }).format(new Date(iso));
}

function nameOf(moment: string | undefined, every: string | undefined, timeZone: string): string {
  const text = moment === undefined ? (every ?? '') : localTime(moment, timeZone);
  return text
    .toLowerCase()
    .replaceAll(':', '')
    .replaceAll('*', 'x')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 40);
}

function next(cron: string, timeZone: string, now: number): number | undefined {
  return firstOf(cron, timeZone, now, 1)[0];
}

function firstOf(cron: string, timeZone: string, now: number, count: number): number[] {
  const found: number[] = [];
  for (const moment of occurrences(cron, timeZone, now + 1)) {
    found.push(moment);
    if (found.length === count) break;
  }
  return found;
}
