import { createHash } from 'node:crypto';
import { type Client, ScheduleNotFoundError } from '@temporalio/client';
import type { OperationDefinition } from '../../operations/definition.ts';
import type { Notice } from '../../operations/notice.ts';
import { moreNotStarted, type NotStarted } from './decide.ts';
import { ofMissed, ofRefused, targetIn } from './words.ts';

interface Looker {
  readonly client: Client;
  readonly titleOf: (operation: string) => Pick<OperationDefinition, 'title' | 'subject'>;
  readonly timeZoneOf: (target: string) => string;
}

/** How often each schedule of ours did not start a run that was due, by its id. */
export type Counters = Readonly<Record<string, NotStarted>>;

/** What a person must hear of runs that were due and were not started since `before`. */
export async function lookAtSchedules(
  { client, titleOf, timeZoneOf }: Looker,
  before: Counters,
  now: number,
): Promise<{ readonly counters: Counters; readonly notices: readonly Notice[] }> {
  const ids: string[] = [];
  for await (const { scheduleId, memo } of client.schedule.list()) {
    if (memo?.managedBy === 'proxmox-mcp') ids.push(scheduleId);
  }
  const counters: Record<string, NotStarted> = {};
  const notices: Notice[] = [];
  for (const id of ids.sort()) {
    const info = await describe(client, id);
    if (info === undefined) continue;
    const counted = { missed: info.numActionsMissedCatchupWindow, skipped: info.numActionsSkippedOverlap };
    counters[id] = counted;
    const more = moreNotStarted(before[id], counted);
    const going = info.runningActions[0]?.workflow.workflowId;
    for (const kind of ['missed', 'skipped'] as const) {
      if (more[kind] === 0) continue;
      const schedule = { id, next: info.nextActionTimes[0], going: kind === 'skipped' ? going : undefined };
      const times = { kind, times: more[kind], total: counted[kind], now };
      notices.push(ofMissed(schedule, titleOf(operationIn(id)), times, timeZoneOf(targetIn(id))));
    }
  }
  return { counters, notices };
}

/** What a person must hear of schedules that could not be made: why, by their ids. */
export function lookAtRefused(
  { titleOf, timeZoneOf }: Pick<Looker, 'titleOf' | 'timeZoneOf'>,
  refused: Readonly<Record<string, string>>,
  now: number,
): readonly Notice[] {
  return Object.entries(refused).map(([id, reason]) => {
    const key = `refused:${id}:${createHash('sha256').update(reason).digest('hex').slice(0, 12)}`;
    return ofRefused(id, reason, titleOf(operationIn(id)), { key, now, timeZone: timeZoneOf(targetIn(id)) });
  });
}

async function describe(client: Client, id: string) {
  try {
    return (await client.schedule.getHandle(id).describe()).info;
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return undefined;
    throw error;
  }
}

/** The operation in a schedule's id: operation/schedule/target. */
function operationIn(schedule: string): string {
  return schedule.split('/')[0] ?? '';
}
