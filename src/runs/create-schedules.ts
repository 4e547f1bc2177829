import {
  type Client,
  type ScheduleDescription,
  ScheduleNotFoundError,
  ScheduleOverlapPolicy,
} from '@temporalio/client';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { cronForm } from './cron.ts';
import { grpcFailure } from './grpc-failure.ts';
import { asUpdate } from './reconcile-schedules.ts';
import { readRefusedSchedules, writeRefusedSchedules } from './refused-schedules.ts';
import { type ScheduleChange, type ScheduleMemo, scheduleOptions, wantedSchedules } from './schedule-spec.ts';
import { describeClockChange, scheduleTimes } from './schedule-times.ts';
import type { ScheduleSummary, Schedules } from './schedules.ts';

/** gRPC's code for what the server calls wrong. */
const invalidArgument = 3;

/** {@link Schedules} over a Temporal client. */
export function createSchedules({ client, config }: { readonly client: Client; readonly config: Config }): Schedules {
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
      const { info, policies } = await describe(id);
      const going = info.runningActions[0]?.workflow.workflowId;
      if (going !== undefined && policies.overlap === ScheduleOverlapPolicy.SKIP) throw stillGoing(id, going);
      // The client's own default would let runs pile up, whatever the schedule says.
      await client.schedule.getHandle(id).trigger(policies.overlap);
      return get(id);
    },

    async change(id, change) {
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
    ...touched(cron, timeZone),
    overlap: policies.overlap === ScheduleOverlapPolicy.BUFFER_ONE ? 'buffer-one' : 'skip',
    paused: state.paused,
    ...(state.note ? { note: state.note } : {}),
    nextRuns: info.nextActionTimes.slice(0, 3).map((time) => time.toISOString()),
    lastRuns: info.recentActions.slice(-5).map((action) => ({
      at: action.takenAt.toISOString(),
      runId: action.action.workflow.workflowId,
    })),
  };
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
