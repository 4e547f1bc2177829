import { type Client, ScheduleNotFoundError } from '@temporalio/client';
import type { ServiceInstruments } from './instruments.ts';

/** A due run that Temporal has not started for so long is late. */
const lateMs = 5 * 60_000;

interface Counts {
  missed: number;
  skipped: number;
}

/** How the schedules stand. */
export async function readSchedules(
  client: Client,
  { schedules }: Pick<ServiceInstruments, 'schedules'>,
  now = Date.now(),
): Promise<readonly string[]> {
  const ids: string[] = [];
  const states = { active: 0, paused: 0, late: 0 };
  for await (const { scheduleId, memo, state, info } of client.schedule.list()) {
    if (memo?.managedBy !== 'proxmox-mcp') continue;
    ids.push(scheduleId);
    const next = info.nextActionTimes[0]?.getTime() ?? Number.POSITIVE_INFINITY;
    if (state.paused) states.paused += 1;
    else if (next < now - lateMs) states.late += 1;
    else states.active += 1;
  }
  for (const [state, number] of Object.entries(states)) schedules.set({ state }, number);
  return ids;
}

/** How often runs that were due were not started, which each schedule has to be asked for. */
export async function readMissed(
  client: Client,
  ids: readonly string[],
  { scheduleMissed }: Pick<ServiceInstruments, 'scheduleMissed'>,
): Promise<void> {
  const byOperation = new Map<string, Counts>();
  for (const id of ids) {
    const counts = await countsOf(client, id);
    // A schedule's id is operation/schedule/target.
    const operation = id.split('/')[0] ?? '';
    const sum = byOperation.get(operation) ?? { missed: 0, skipped: 0 };
    byOperation.set(operation, { missed: sum.missed + counts.missed, skipped: sum.skipped + counts.skipped });
  }
  scheduleMissed.reset();
  for (const [operation, { missed, skipped }] of byOperation) {
    scheduleMissed.set({ operation, reason: 'missed' }, missed);
    scheduleMissed.set({ operation, reason: 'skipped' }, skipped);
  }
}

async function countsOf(client: Client, id: string): Promise<Counts> {
  try {
    const { info } = await client.schedule.getHandle(id).describe();
    return { missed: info.numActionsMissedCatchupWindow, skipped: info.numActionsSkippedOverlap };
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return { missed: 0, skipped: 0 };
    throw error;
  }
}
