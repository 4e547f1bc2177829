import {
  type Client,
  ScheduleAlreadyRunning,
  type ScheduleDescription,
  ScheduleNotFoundError,
  ScheduleOverlapPolicy,
} from '@temporalio/client';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { riskOf } from '../operations/definition.ts';
import { actsAt, principalText, type Requester } from '../operations/run.ts';
import { searchAttributes } from '../operations/search-attributes.ts';
import { cleanLine } from '../reports/clean.ts';
import { cronForm } from './cron.ts';
import { findOperation } from './find-operation.ts';
import { grpcFailure } from './grpc-failure.ts';
import { createLedgerClient } from './ledger.ts';
import { type GuestFinders, nameGuest } from './name-guest.ts';
import {
  nextDue,
  type OwnMemo,
  type OwnSchedule,
  ownAction,
  ownFrom,
  ownOptions,
  understand,
  withApproval,
} from './own-schedules.ts';
import { asUpdate } from './reconcile-schedules.ts';
import { readRefusedSchedules, writeRefusedSchedules } from './refused-schedules.ts';
import { randomPart } from './run-id.ts';
import { type ScheduleChange, type ScheduleMemo, scheduleOptions, wantedSchedules } from './schedule-spec.ts';
import { describeClockChange, scheduleTimes } from './schedule-times.ts';
import type { ScheduleRequest, ScheduleSummary, Schedules } from './schedules.ts';

/** So many schedules of people and agents there may be: a list of them is still read. */
const mostOwn = 200;

/** gRPC's code for what the server calls wrong. */
const invalidArgument = 3;

/** {@link Schedules} over a Temporal client. */
export function createSchedules({
  client,
  config,
  ...finders
}: GuestFinders & {
  readonly client: Client;
  readonly config: Config;
}): Schedules {
  const ledger = createLedgerClient(client);
  return {
    async list() {
      const ids: string[] = [];
      for await (const { scheduleId, memo } of client.schedule.list()) {
        if (memo?.managedBy === 'proxmox-mcp') ids.push(scheduleId);
      }
      const refused = readRefusedSchedules(config);
      const all = await Promise.all([...new Set([...ids, ...Object.keys(refused)])].sort().map((id) => find(id)));
      return all.flatMap(({ id, found }) => {
        const problem = refused[id];
        if (problem === undefined) return found ?? [];
        return { ...(found ?? missing(config, id)), problem };
      });
    },
    pause: (id, reason, by) => act(id, (handle) => handle.pause(`${reason} (${by})`)),
    resume: (id, reason, by) => act(id, (handle) => handle.unpause(`${reason} (${by})`)),

    async trigger(id) {
      const { info, policies, action } = await describe(id);
      const going = info.runningActions[0]?.workflow.workflowId;
      if (going !== undefined && policies.overlap === ScheduleOverlapPolicy.SKIP) throw stillGoing(id, going);
      const own = ownFrom(action.memo);
      if (own !== undefined && (own.cron === undefined || own.own.leadMs > 0)) {
        // Temporal would start it for its own time, or as if it were that long ahead.
        await startFor(own, new Date().toISOString());
        return get(id);
      }
      // The client's own default would let runs pile up, whatever the schedule says.
      await client.schedule.getHandle(id).trigger(policies.overlap);
      return get(id);
    },

    add,
    remove,

    async change(id, change) {
      if (ownFrom((await describe(id)).action.memo) !== undefined) throw notChanged(id);
      const wanted = wantedSchedules(config).find((schedule) => schedule.id === id);
      if (!wanted) throw notFound(id);
      const memo = (await describe(id)).action.memo as Partial<ScheduleMemo> | undefined;
      const next = merge(memo?.change ?? null, change);
      try {
        await client.schedule.getHandle(id).update((previous) => ({
          ...asUpdate(scheduleOptions(wanted, next)),
          state: previous.state,
        }));
      } catch (error) {
        const refused = grpcFailure(error);
        if (refused !== undefined && refused.code !== invalidArgument) throw error;
        throw new ServiceError({
          code: 'invalid-input',
          message: `The schedule ${id} can't have that time: ${refused?.details ?? (error as Error).message}`,
          remedy: `${cronForm} Nothing was changed.`,
          ...(error instanceof ServiceError && { details: error.details }),
          cause: error,
        });
      }
      const { [id]: settled, ...others } = readRefusedSchedules(config);
      if (settled !== undefined) writeRefusedSchedules(config, others);
      return get(id);
    },
  };

  async function add(request: ScheduleRequest, by: Requester) {
    // Found now, and not at its time: the one that is meant today is the one that it works on.
    const input = await nameGuest(findOperation(request.operation), request.input, { config, ...finders });
    const understood = understand({ ...request, input }, by, config);
    const { id, operation, label, own } = understood;
    const there = await existing(understood);
    if (there !== undefined) return there;
    await requireRoom();
    const due = nextDue(understood) ?? Date.now();
    const judged = await ledger.judge({
      operation: operation.name,
      risk: riskOf(operation, own.input),
      input: own.input,
      requestedBy: { kind: 'schedule', name: id },
      onBehalfOf: by,
      at: new Date(due).toISOString(),
    });
    const common = { operation: operation.name, target: label, by: principalText(by) };
    const key = `schedule/${id}/${randomPart()}`;
    if (judged.verdict === 'refused') {
      const text = cleanLine(`Refused: scheduling ${id}. ${judged.why}`, 1_000);
      await ledger.record([{ ...common, key, kind: 'refusal', text, data: { input: own.input } }]);
      throw new ServiceError({
        code: 'forbidden',
        message: `${id} was not scheduled: ${judged.why}`,
        remedy: judged.remedy,
      });
    }
    const schedule = judged.verdict === 'ask' ? withApproval(understood, judged) : understood;
    const options = ownOptions(schedule);
    const when = String(options.action.memo.cron);
    const text = cleanLine(`Scheduled ${id}: ${when} (${schedule.timeZone})`, 1_000);
    await ledger.record([{ ...common, key, kind: 'schedule', text, data: { schedule: id, ...schedule.own } }]);
    try {
      await client.schedule.create(options);
    } catch (error) {
      if (error instanceof ScheduleAlreadyRunning) throw taken(id);
      throw error;
    }
    if (schedule.own.first !== undefined) await startFor(schedule, schedule.own.first);
    return { ...(await get(id)), existing: false };
  }

  async function requireRoom(): Promise<void> {
    let count = 0;
    for await (const { memo } of client.schedule.list()) if (memo?.own === true) count += 1;
    if (count < mostOwn) return;
    throw new ServiceError({
      code: 'conflict',
      message: `There are ${count} schedules already that somebody made, which is as many as there may be, and nothing was scheduled`,
      remedy: 'Remove some that nobody needs: remove_schedule, or `npx proxmox-mcp schedules remove`.',
    });
  }

  /** The schedule of that id where it is the same; one that is done gives way. Throws `already-exists` for another one. */
  async function existing({ id, cron, own }: OwnSchedule) {
    let description: ScheduleDescription;
    try {
      description = await describe(id);
    } catch (error) {
      if (error instanceof ServiceError && error.code === 'not-found') return undefined;
      throw error;
    }
    const known = ownFrom(description.action.memo);
    if (known !== undefined && summaryOf(description).own?.isDone) {
      await client.schedule.getHandle(id).delete();
      return undefined;
    }
    const essence = (one: OwnMemo | undefined) =>
      JSON.stringify([one?.at, one?.input, one?.condition, one?.maker.kind, one?.maker.name]);
    if (known === undefined || known.cron !== cron || essence(known.own) !== essence(own)) throw taken(id);
    return { ...summaryOf(description), existing: true };
  }

  /** A run of it beside its times. */
  async function startFor(schedule: OwnSchedule, at: string): Promise<void> {
    const { type: _, workflowType, workflowId, args = [], ...options } = ownAction(schedule, at);
    await client.workflow.start(workflowType as string, {
      ...options,
      args: [...args],
      workflowId: `${workflowId}-${randomPart()}`,
    });
  }

  async function remove(id: string, by: Requester) {
    const description = await describe(id);
    const { own: isOwn, operation, target } = summaryOf(description);
    if (isOwn === undefined) throw notOwn(id);
    // What was started ahead belongs to it, and has done nothing yet.
    const going = [
      ...new Set([
        ...description.info.runningActions.map(({ workflow }) => workflow.workflowId),
        ...(await runsOf(id)),
      ]),
    ];
    await ledger.record([
      {
        key: `schedule/${id}/${randomPart()}`,
        kind: 'schedule',
        operation,
        target,
        by: principalText(by),
        text: cleanLine(`Removed the schedule ${id}`, 1_000),
        data: { schedule: id },
      },
    ]);
    await client.schedule.getHandle(id).delete();
    const cancelled: string[] = [];
    for (const run of going) if (await cancelIfAhead(run, id, by)) cancelled.push(run);
    return { ...summaryOf(description), nextRuns: [], cancelled };
  }

  async function runsOf(id: string): Promise<readonly string[]> {
    const query = `${searchAttributes.requestedBy} = 'schedule:${id}' AND ExecutionStatus = 'Running'`;
    const found: string[] = [];
    for await (const { workflowId } of client.workflow.list({ query })) found.push(workflowId);
    return found;
  }

  async function cancelIfAhead(workflowId: string, id: string, by: Requester): Promise<boolean> {
    const { status, memo, startTime, runId } = await client.workflow.getHandle(workflowId).describe();
    if (status.name !== 'RUNNING' || actsAt(memo, startTime.getTime()) <= Date.now()) return false;
    await client.workflowService.requestCancelWorkflowExecution({
      namespace: config.temporal.namespace,
      workflowExecution: { workflowId, runId },
      identity: principalText(by),
      reason: `its schedule ${id} was removed`,
    });
    return true;
  }

  async function act(id: string, what: (handle: ReturnType<Client['schedule']['getHandle']>) => Promise<void>) {
    await describe(id);
    await what(client.schedule.getHandle(id));
    return get(id);
  }

  /** With its id, because it may have gone since it was listed. */
  async function find(id: string): Promise<{ readonly id: string; readonly found?: ScheduleSummary }> {
    try {
      return { id, found: await get(id) };
    } catch (error) {
      if (error instanceof ServiceError && error.code === 'not-found') return { id };
      throw error;
    }
  }

  async function get(id: string): Promise<ScheduleSummary> {
    return summaryOf(await describe(id));
  }

  async function describe(id: string): Promise<ScheduleDescription> {
    try {
      const description = await client.schedule.getHandle(id).describe();
      if (description.memo?.managedBy === 'proxmox-mcp') return description;
    } catch (error) {
      if (!(error instanceof ScheduleNotFoundError)) throw error;
    }
    throw notFound(id);
  }
}

/** `cron: null` goes back to the catalogue's time and the host's time zone. */
function merge(
  before: ScheduleChange | null,
  change: { cron?: string | null; timeZone?: string },
): ScheduleChange | null {
  if (change.cron === null) return change.timeZone === undefined ? null : { timeZone: change.timeZone };
  return {
    ...before,
    ...(change.cron === undefined ? {} : { cron: change.cron }),
    ...(change.timeZone === undefined ? {} : { timeZone: change.timeZone }),
  };
}

function summaryOf(description: ScheduleDescription): ScheduleSummary {
  const memo = description.action.memo as Partial<ScheduleMemo> | undefined;
  const { state, info, policies, scheduleId: id } = description;
  const { cron = '', timeZone = '' } = memo ?? {};
  return {
    id,
    operation: memo?.operation ?? operationIn(id),
    target: memo?.target ?? targetIn(id),
    cron,
    timeZone,
    ...(memo?.own === undefined && touched(cron, timeZone)),
    overlap: policies.overlap === ScheduleOverlapPolicy.BUFFER_ONE ? 'buffer-one' : 'skip',
    paused: state.paused,
    ...(state.note ? { note: state.note } : {}),
    nextRuns: info.nextActionTimes.slice(0, 3).map((time) => time.toISOString()),
    ...ownPart(description),
    lastRuns: info.recentActions.slice(-5).map((action) => ({
      at: action.takenAt.toISOString(),
      runId: action.action.workflow.workflowId,
    })),
  };
}

/** What is said of one that somebody made: the times at which it acts, not those at which it begins to ask. */
function ownPart({ action, info }: ScheduleDescription): Partial<ScheduleSummary> {
  const schedule = ownFrom(action.memo);
  if (schedule === undefined) return {};
  const { cron, timeZone, own, operation } = schedule;
  const { at, leadMs, first = at, input, condition, maker, madeAt, approval } = own;
  const now = Date.now();
  const isAhead = first !== undefined && Date.parse(first) > now;
  const later = at === undefined ? info.nextActionTimes.map((time) => time.getTime() + leadMs) : [];
  const nextRuns = [...(isAhead ? [Date.parse(first)] : []), ...later].slice(0, 3);
  const [due] = nextRuns;
  const { answerWithinMs = 0, executeWithinMs = 0 } = approval ?? {};
  const asks = approval !== undefined && due !== undefined ? Math.max(due - leadMs, Date.parse(madeAt)) : undefined;
  const until =
    asks === undefined || due === undefined
      ? undefined
      : Math.min(Math.max(asks + answerWithinMs, due), due + executeWithinMs);
  return {
    ...(cron !== undefined && touched(cron, timeZone)),
    nextRuns: nextRuns.map(isoOf),
    own: {
      madeBy: principalText(maker),
      madeAt,
      risk: riskOf(operation, input),
      input,
      ...(at !== undefined && { at }),
      ...(at !== undefined && !isAhead && { isDone: true }),
      ...(condition !== undefined && { condition }),
      ...(approval !== undefined && {
        approval: {
          count: approval.count,
          approvers: approval.approvers,
          why: approval.why,
          ...(asks !== undefined && { asksAt: isoOf(asks) }),
          ...(until !== undefined && { until: isoOf(until) }),
        },
      }),
    },
  };
}

function isoOf(time: number): string {
  return new Date(time).toISOString();
}

/** What is known of a schedule that Temporal doesn't have. */
function missing(config: Config, id: string): ScheduleSummary {
  const wanted = wantedSchedules(config).find((schedule) => schedule.id === id);
  return {
    id,
    operation: operationIn(id),
    target: targetIn(id),
    cron: wanted?.definition.cron ?? '',
    timeZone: wanted?.timeZone ?? '',
    overlap: wanted?.definition.overlap ?? 'skip',
    paused: false,
    nextRuns: [],
    lastRuns: [],
  };
}

/** An id is operation/schedule/target. */
function operationIn(id: string): string {
  return id.split('/')[0] ?? '';
}

function targetIn(id: string): string {
  return id.split('/').slice(2).join('/');
}

function touched(cron: string, timeZone: string): Pick<ScheduleSummary, 'clockChange' | 'problem'> {
  try {
    const clockChange = describeClockChange(scheduleTimes(cron, timeZone));
    return clockChange === undefined ? {} : { clockChange };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

function taken(id: string): ServiceError {
  return new ServiceError({
    code: 'already-exists',
    message: `There is another schedule ${id} already, and nothing was scheduled`,
    remedy: 'Give this one a name of its own, or remove the other one first.',
    details: { field: 'name' },
  });
}

function notOwn(id: string): ServiceError {
  return new ServiceError({
    code: 'conflict',
    message: `The schedule ${id} is the catalogue's, which the service makes by itself, and it was not removed`,
    remedy: 'Pause it: pause_schedule, or `npx proxmox-mcp schedules pause`.',
  });
}

function notChanged(id: string): ServiceError {
  return new ServiceError({
    code: 'conflict',
    message: `The schedule ${id} was made by somebody, so that its time isn't changed: the policy judged it for that time`,
    remedy: 'Remove it and schedule it anew: remove_schedule and schedule_operation, or `npx proxmox-mcp schedules`.',
  });
}

function stillGoing(id: string, run: string): ServiceError {
  return new ServiceError({
    code: 'conflict',
    message: `The schedule ${id} was not fired, because its last run ${run} is still going.`,
    remedy: 'Wait for that run (wait_for_run) or cancel it, then trigger the schedule again.',
    details: { run },
  });
}

function notFound(id: string): ServiceError {
  return new ServiceError({
    code: 'not-found',
    message: `There is no schedule "${id}".`,
    remedy: 'list_schedules names those that there are; they are made when the worker starts.',
  });
}
