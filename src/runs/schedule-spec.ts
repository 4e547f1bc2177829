import { createHash } from 'node:crypto';
import { type ScheduleOptions, ScheduleOverlapPolicy } from '@temporalio/client';
import type { Config, HostConfig } from '../config.ts';
import { type OperationDefinition, type ScheduleDefinition, workflowType } from '../operations/definition.ts';
import { serviceQueue } from '../workflows/lib/queues.ts';
import { startAttributes, startTexts } from './attributes.ts';
import { operations } from './find-operation.ts';

/** A time that a person set instead of the catalogue's; survives reconciliation. */
export interface ScheduleChange {
  readonly cron?: string;
  readonly timeZone?: string;
}

/** What a schedule of ours remembers about itself, in the memo of the runs that it starts (the only one that can change). */
export interface ScheduleMemo {
  readonly schedule: string;
  readonly operation: string;
  readonly host: string;
  readonly cron: string;
  readonly timeZone: string;
  /** Digest of what the catalogue and the configuration say; a different one means: update. */
  readonly definition: string;
  readonly change: ScheduleChange | null;
}

/** One schedule that should be there. */
export interface WantedSchedule {
  readonly id: string;
  readonly operation: OperationDefinition;
  readonly definition: ScheduleDefinition;
  readonly host: HostConfig;
}

const overlaps = {
  skip: ScheduleOverlapPolicy.SKIP,
  'buffer-one': ScheduleOverlapPolicy.BUFFER_ONE,
} as const;

/** Every schedule of the catalogue on every host that commands can be run on. */
export function wantedSchedules(config: Config): readonly WantedSchedule[] {
  const hosts = config.hosts.filter((host) => host.ssh || host.local);
  return Object.values(operations).flatMap((operation) =>
    operation.schedules.flatMap((definition) =>
      hosts.map((host) => ({ id: `${operation.name}/${definition.id}/${host.name}`, operation, definition, host })),
    ),
  );
}

/** The options that Temporal is given for a wanted schedule, with a person's change on top. */
export function scheduleOptions(
  wanted: WantedSchedule,
  change: ScheduleChange | null,
): ScheduleOptions & { action: { memo: Record<string, unknown> } } {
  const { id, operation, definition, host } = wanted;
  const cron = change?.cron ?? definition.cron;
  const timeZone = change?.timeZone ?? host.timeZone;
  const by = { kind: 'schedule', name: id } as const;
  const input = { ...definition.input, host: host.name };
  const memo: ScheduleMemo = {
    schedule: id,
    operation: operation.name,
    host: host.name,
    cron,
    timeZone,
    definition: createHash('sha256')
      .update(JSON.stringify([definition, host.name, host.timeZone, operation.risk]))
      .digest('hex'),
    change,
  };
  return {
    scheduleId: id,
    spec: { cronExpressions: [cron], timezone: timeZone },
    action: {
      type: 'startWorkflow',
      workflowType: workflowType(operation.name),
      workflowId: `${operation.name}/${host.name}/${definition.id}`,
      taskQueue: serviceQueue,
      args: [{ input, requestedBy: by }],
      memo: { ...memo },
      typedSearchAttributes: startAttributes(operation, host.name, by),
      ...startTexts(operation, host.name, by),
    },
    policies: {
      overlap: overlaps[definition.overlap],
      catchupWindow: definition.catchUpWindowMs,
      pauseOnFailure: definition.pauseOnFailure,
    },
    memo: { managedBy: 'proxmox-mcp', why: definition.why },
  };
}
