import {
  type Client,
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  type ScheduleUpdateOptions,
} from '@temporalio/client';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import { type ScheduleMemo, scheduleOptions, type WantedSchedule, wantedSchedules } from './schedule-spec.ts';

export interface Reconciled {
  readonly created: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/**
 * Makes Temporal's schedules those of the catalogue and the configuration: missing ones are created, differing ones
 * changed (a pause and a person's own time are kept), ours that nobody wants any more removed. Others are left alone.
 * Safe to run from several workers at once.
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

  for await (const { scheduleId, memo } of client.schedule.list()) {
    if (memo?.managedBy !== 'proxmox-mcp') continue;
    there.add(scheduleId);
    if (wanted.has(scheduleId)) continue;
    if (await remove(scheduleId)) removed.push(scheduleId);
  }
  for (const schedule of wanted.values()) {
    if (!there.has(schedule.id) && (await create(schedule))) created.push(schedule.id);
    else if (await updateIfDifferent(schedule)) changed.push(schedule.id);
  }
  log.info({ created, changed, removed, total: wanted.size }, 'schedules reconciled');
  return { created, changed, removed };

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

/** An update can't carry the schedule's id or memo. */
export function asUpdate(options: ReturnType<typeof scheduleOptions>): ScheduleUpdateOptions {
  const { scheduleId: _id, memo: _memo, ...rest } = options;
  return rest as ScheduleUpdateOptions;
}
