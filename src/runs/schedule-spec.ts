import { createHash } from 'node:crypto';
import { type ScheduleOptions, ScheduleOverlapPolicy } from '@temporalio/client';
import type { Config } from '../config.ts';
import { type OperationDefinition, type ScheduleDefinition, workflowType } from '../operations/definition.ts';
import { searchAttributes } from '../operations/search-attributes.ts';
import { runIdPrefix, startOptions } from '../workflows/lib/attributes.ts';
import { serviceQueue } from '../workflows/lib/messages.ts';
import { operations } from './find-operation.ts';
import { canServe } from './parse-input.ts';
import { scheduleTimes } from './schedule-times.ts';

/** A time that a person set instead of the catalogue's; survives reconciliation. */
export interface ScheduleChange {
  readonly cron?: string;
  readonly timeZone?: string;
}

/** What a schedule of ours remembers about itself, in the memo of the runs that it starts (the only one that can change). */
export interface ScheduleMemo {
  readonly schedule: string;
  readonly operation: string;
  readonly target: string;
  readonly cron: string;
  readonly timeZone: string;
  /** Digest of what the catalogue, the configuration and the clock's changes say; a different one means: update. */
  readonly definition: string;
  readonly change: ScheduleChange | null;
  /** Of one that somebody made; see `ownMemo`. */
  readonly own?: unknown;
}

/** One schedule that should be there. */
export interface WantedSchedule {
  readonly id: string;
  readonly operation: OperationDefinition;
  readonly definition: ScheduleDefinition;
  /** Its operation's target as its input names it, and in a word. */
  readonly target: { readonly host?: string };
  readonly label: string;
  readonly timeZone: string;
}

const overlaps = {
  skip: ScheduleOverlapPolicy.SKIP,
  'buffer-one': ScheduleOverlapPolicy.BUFFER_ONE,
} as const;

/** Every schedule of the catalogue on every host that has what its operation needs; those of the fleet and the service once. */
export function wantedSchedules(config: Config): readonly WantedSchedule[] {
  return Object.values(operations).flatMap((operation) =>
    operation.schedules.flatMap((definition) =>
      scheduledTargets(operation, config).map((target) => ({
        id: `${operation.name}/${definition.id}/${target.label}`,
        operation,
        definition,
        ...target,
      })),
    ),
  );
}

function scheduledTargets(
  { target, needs }: OperationDefinition,
  { hosts }: Config,
): readonly Pick<WantedSchedule, 'target' | 'label' | 'timeZone'>[] {
  if (target !== 'host') return [{ target: {}, label: target, timeZone: hosts[0]?.timeZone ?? 'UTC' }];
  return hosts
    .filter((host) => canServe(host, needs))
    .map(({ name, timeZone }) => ({ target: { host: name }, label: name, timeZone }));
}

/** The options that Temporal is given for a wanted schedule, with a person's change on top. Throws `invalid-input`. */
export function scheduleOptions(
  wanted: WantedSchedule,
  change: ScheduleChange | null,
): ScheduleOptions & { action: { memo: Record<string, unknown> } } {
  const { id, operation, definition, target, label } = wanted;
  const cron = change?.cron ?? definition.cron;
  const { spec, timeZone } = scheduleTimes(cron, change?.timeZone ?? wanted.timeZone);
  const by = { kind: 'schedule', name: id } as const;
  const input = { ...definition.input, ...target };
  const memo: ScheduleMemo = {
    schedule: id,
    operation: operation.name,
    target: label,
    cron,
    timeZone,
    definition: createHash('sha256')
      // With the attributes, so that a schedule of an earlier version starts its runs with those that are new.
      .update(JSON.stringify([definition, label, spec, operation.risk, Object.values(searchAttributes)]))
      .digest('hex'),
    change,
  };
  return {
    scheduleId: id,
    spec,
    action: {
      type: 'startWorkflow',
      workflowType: workflowType(operation.name),
      workflowId: `${runIdPrefix(operation, input)}/${definition.id}`,
      taskQueue: serviceQueue,
      args: [{ input, requestedBy: by }],
      memo: { ...memo },
      ...startOptions(operation, input, by),
    },
    policies: {
      overlap: overlaps[definition.overlap],
      catchupWindow: definition.catchUpWindowMs,
      pauseOnFailure: definition.pauseOnFailure,
    },
    memo: { managedBy: 'proxmox-mcp', why: definition.why },
  };
}
