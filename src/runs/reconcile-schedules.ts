import {
  type Client,
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  type ScheduleUpdateOptions,
} from '@temporalio/client';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import { grpcFailure } from './grpc-failure.ts';
import { ownFrom, ownOptions } from './own-schedules.ts';
import { type RefusedSchedules, writeRefusedSchedules } from './refused-schedules.ts';
import { type ScheduleMemo, scheduleOptions, type WantedSchedule, wantedSchedules } from './schedule-spec.ts';

export interface Reconciled {
  readonly created: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** Those that could not be made or changed, with the reason; `schedules list` and `doctor` name them. */
  readonly refused: RefusedSchedules;
}

/** gRPC's codes for a server that doesn't answer: cancelled, deadline exceeded, unavailable. */
const noAnswer: readonly number[] = [1, 4, 14];

/**
 * Makes Temporal's schedules those of the catalogue and the configuration: missing ones are created, differing ones
 * changed (a pause and a person's own time are kept), ours that nobody wants any more removed. What people scheduled stays;
 * others' are left alone.
 * One that can't be made keeps none of the others from it. Safe to run from several workers at once.
 */
export async function reconcileSchedules(dependencies: {
  readonly client: Client;
  readonly config: Config;
  readonly log: Log;
}): Promise<Reconciled> {
  const { client, config, log } = dependencies;
  const wanted = new Map(wantedSchedules(config).map((schedule) => [schedule.id, schedule]));
  const there = new Set<string>();
  const created: string[] = [];
  const changed: string[] = [];
  const removed: string[] = [];
  const refused: Record<string, string> = {};

  for await (const { scheduleId, memo } of client.schedule.list()) {
    if (memo?.managedBy !== 'proxmox-mcp') continue;
    if (memo.own === true) {
      if (await tellAnew(scheduleId)) changed.push(scheduleId);
      continue;
    }
    there.add(scheduleId);
    if (wanted.has(scheduleId)) continue;
    if (await remove(scheduleId)) removed.push(scheduleId);
  }
  for (const schedule of wanted.values()) {
    try {
      if (!there.has(schedule.id) && (await create(schedule))) created.push(schedule.id);
      else if (await updateIfDifferent(schedule)) changed.push(schedule.id);
    } catch (error) {
      const reason = refusal(error);
      if (reason === undefined) throw error;
      refused[schedule.id] = reason;
      log.error({ schedule: schedule.id }, `the schedule ${schedule.id} can't be made: ${reason}`);
    }
  }
  try {
    writeRefusedSchedules(config, refused);
  } catch (error) {
    log.warn({ error }, 'the refused schedules could not be written down');
  }
  log.info({ created, changed, removed, total: wanted.size }, 'schedules reconciled');
  return { created, changed, removed, refused };

  /** False when another worker was quicker. */
  async function remove(id: string): Promise<boolean> {
    try {
      await client.schedule.getHandle(id).delete();
      return true;
    } catch (error) {
      if (error instanceof ScheduleNotFoundError) return false;
      throw error;
    }
  }

  /** What somebody made stays as it is; only its times are told for years ahead, and clocks change. */
  async function tellAnew(id: string): Promise<boolean> {
    try {
      const handle = client.schedule.getHandle(id);
      const { action } = await handle.describe();
      const schedule = ownFrom(action.memo);
      if (schedule?.cron === undefined) return false;
      const options = ownOptions(schedule);
      if (options.action.memo.definition === action.memo?.definition) return false;
      await handle.update((previous) => ({ ...asUpdate(options), state: previous.state }));
      return true;
    } catch (error) {
      if (error instanceof ScheduleNotFoundError) return false;
      const reason = refusal(error);
      if (reason === undefined) throw error;
      refused[id] = reason;
      log.error({ schedule: id }, `the times of the schedule ${id} can't be told: ${reason}`);
      return false;
    }
  }

  /** False when it is there after all: another worker was quicker, or the list, eventually consistent, lacked it. */
  async function create(schedule: WantedSchedule): Promise<boolean> {
    try {
      await client.schedule.create(scheduleOptions(schedule, null));
      return true;
    } catch (error) {
      if (error instanceof ScheduleAlreadyRunning) return false;
      throw error;
    }
  }

  async function updateIfDifferent(schedule: WantedSchedule): Promise<boolean> {
    const handle = client.schedule.getHandle(schedule.id);
    const description = await handle.describe();
    const memo = description.action.memo as Partial<ScheduleMemo> | undefined;
    const options = scheduleOptions(schedule, memo?.change ?? null);
    if (memo?.definition === options.action.memo.definition) return false;
    await handle.update((previous) => ({ ...asUpdate(options), state: previous.state }));
    return true;
  }
}

/** Why this one schedule is refused; undefined when the server doesn't answer, which is about all of them. */
function refusal(error: unknown): string | undefined {
  const answer = grpcFailure(error);
  if (answer !== undefined) return noAnswer.includes(answer.code) ? undefined : answer.details;
  if (error instanceof ServiceError) return error.message;
  return error instanceof TypeError || error instanceof RangeError ? error.message : undefined;
}

/** An update can't carry the schedule's id or memo. */
export function asUpdate(options: ReturnType<typeof scheduleOptions>): ScheduleUpdateOptions {
  const { scheduleId: _id, memo: _memo, ...rest } = options;
  return rest as ScheduleUpdateOptions;
}
