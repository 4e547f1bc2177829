import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Client,
  ScheduleAlreadyRunning,
  type ScheduleDescription,
  ScheduleNotFoundError,
} from '@temporalio/client';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { readableTime } from '../reports/units.ts';
import { grpcFailure } from '../runs/grpc-failure.ts';
import { occurrences } from '../runs/occurrences.ts';
import { type OwnSchedule, ownFrom, ownOptions } from '../runs/own-schedules.ts';
import { parseInput } from '../runs/parse-input.ts';
import { asUpdate } from '../runs/reconcile-schedules.ts';
import { type ScheduleMemo, scheduleOptions, wantedSchedules } from '../runs/schedule-spec.ts';
import type { MoveContext, ServerStore } from './store.ts';

const file = 'schedules.json';
const knownWithinMs = 60_000;
/** gRPC's codes of what no waiting changes: permission denied, unauthenticated. */
const refusing: ReadonlySet<number> = new Set([7, 16]);

const movedSchedule = z.object({
  id: z.string(),
  paused: z.boolean(),
  note: z.string().optional(),
  change: z.object({ cron: z.string().optional(), timeZone: z.string().optional() }).nullable(),
  cron: z.string(),
  timeZone: z.string(),
  /** Of one that somebody made: what it remembers of that. */
  memo: z.record(z.string(), z.unknown()).optional(),
  /** It ran once, or was started for that. */
  isOver: z.boolean(),
});
type MovedSchedule = z.infer<typeof movedSchedule>;
const content = z.object({ pausedAt: z.iso.datetime(), schedules: z.array(movedSchedule) });

/** What stands at those that were paused by this, and at no other. */
const movedNote = 'Paused by move export: the service moves to another server';

/** The schedules with their times, pauses and notes, and those that people made. */
export const scheduleStore: ServerStore = {
  name: 'schedules',
  keptBy: 'server',

  async export({ client }, into) {
    // Written before any is paused, and kept by a repetition, so that what had been paused by people stays known.
    const before = into.has(file) ? into.read(file, content) : undefined;
    const schedules = (await ours(client)).map(readSchedule);
    const pausedAt = before?.pausedAt ?? new Date().toISOString();
    into.write(file, { pausedAt, schedules });
    return { text: counted(schedules) };
  },

  async import(context, from) {
    const { pausedAt, schedules } = from.read(file, content);
    const remarks: string[] = [];
    let brought = 0;
    for (const one of schedules) {
      const why = await bring(context, one);
      if (why === undefined) {
        brought += 1;
        remarks.push(...missedOf(one, pausedAt));
      } else remarks.push(`${one.id}: ${why}`);
    }
    return { text: `${brought} of ${counted(schedules)}`, remarks };
  },
};

function counted(all: readonly MovedSchedule[]): string {
  const of = (what: string, some: readonly MovedSchedule[]) => (some.length === 0 ? [] : [`${some.length} ${what}`]);
  const details = [
    ...of(
      'with another time',
      all.filter(({ change }) => change !== null),
    ),
    ...of(
      'paused',
      all.filter(({ paused }) => paused),
    ),
    ...of(
      'made by somebody',
      all.filter(({ memo }) => memo !== undefined),
    ),
  ];
  return `${all.length} schedules${details.length === 0 ? '' : ` (${details.join(', ')})`}`;
}

/** Nothing fires on the old server any more. Those that were paused before stay as they are. Safe to be repeated. */
export async function pauseSchedules(client: Client): Promise<void> {
  for (const { scheduleId, state } of await ours(client)) {
    if (!state.paused) await client.schedule.getHandle(scheduleId).pause(movedNote);
  }
}

/** Takes {@link pauseSchedules} back: exactly those that it paused fire again. */
export async function resumeSchedules(client: Client): Promise<readonly string[]> {
  const resumed: string[] = [];
  for (const { scheduleId, state } of await ours(client)) {
    if (!state.paused || state.note !== movedNote) continue;
    await client.schedule.getHandle(scheduleId).unpause('The service does not move');
    resumed.push(scheduleId);
  }
  return resumed;
}

async function ours(client: Client): Promise<readonly ScheduleDescription[]> {
  const found: ScheduleDescription[] = [];
  for await (const { scheduleId, memo } of client.schedule.list()) {
    if (memo?.managedBy !== 'proxmox-mcp') continue;
    try {
      found.push(await client.schedule.getHandle(scheduleId).describe());
    } catch (error) {
      if (!(error instanceof ScheduleNotFoundError)) throw error;
    }
  }
  return found.sort((a, b) => (a.scheduleId < b.scheduleId ? -1 : 1));
}

function readSchedule({ scheduleId: id, state, action, info }: ScheduleDescription): MovedSchedule {
  const memo = (action.memo ?? {}) as Partial<ScheduleMemo>;
  const byMove = state.paused && state.note === movedNote;
  const own = ownFrom(action.memo);
  return {
    id,
    paused: state.paused && !byMove,
    ...(state.note !== undefined && state.note !== '' && !byMove && { note: state.note }),
    change: memo.change ?? null,
    cron: memo.cron ?? '',
    timeZone: memo.timeZone ?? 'UTC',
    ...(own !== undefined && { memo: { ...memo } }),
    isOver: own !== undefined && own.cron === undefined && info.numActionsTaken > 0,
  };
}

/**
 * A server that was just set up refuses schedules for some seconds, as its parts don't know the namespace or its search attributes
 * yet.
 */
async function onceKnown(create: () => Promise<unknown>): Promise<void> {
  for (const deadline = Date.now() + knownWithinMs; ; ) {
    try {
      await create();
      return;
    } catch (error) {
      const answer = grpcFailure(error);
      if (answer === undefined) throw error;
      if (refusing.has(answer.code) || Date.now() > deadline) throw notTaken(answer.details, error);
      await sleep(1_000);
    }
  }
}

function notTaken(details: string, cause: unknown): ServiceError {
  return new ServiceError({
    code: 'unavailable',
    message: `The Temporal server takes no schedule: ${details}`,
    remedy: 'Put right what it says, then run this again: it goes on where it was.',
    retryable: true,
    cause,
  });
}

/** Undefined when it is there; else why not. */
async function bring(context: MoveContext, one: MovedSchedule): Promise<string | undefined> {
  const options = optionsOf(context.config, one);
  if (typeof options === 'string') return options;
  if (context.dryRun) return undefined;
  const { schedule } = context.client;
  const state = { ...options.state, paused: one.paused, ...(one.note !== undefined && { note: one.note }) };
  try {
    await onceKnown(() => schedule.create({ ...options, state }));
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    // A worker has made it already, or this is a repetition. One that runs once is the same, or has run.
    if (one.memo !== undefined) return undefined;
    await schedule.getHandle(one.id).update((previous) => ({
      ...asUpdate(options),
      state: { ...previous.state, paused: one.paused, ...(one.note !== undefined && { note: one.note }) },
    }));
  }
  return undefined;
}

function optionsOf(config: Config, one: MovedSchedule): ReturnType<typeof ownOptions> | string {
  if (one.memo === undefined) {
    const wanted = wantedSchedules(config).find(({ id }) => id === one.id);
    if (wanted === undefined) return 'this configuration has no such host or operation, so it was left out';
    return scheduleOptions(wanted, one.change === null ? null : defined(one.change));
  }
  if (one.isOver) return 'it ran once, and is over';
  const own = ownFrom(one.memo);
  if (own === undefined) return 'it is of an operation that there is no more, so it was left out';
  return ownOptionsOf(config, own);
}

function ownOptionsOf(config: Config, own: OwnSchedule): ReturnType<typeof ownOptions> | string {
  const { at } = own.own;
  if (at !== undefined && Date.parse(at) <= Date.now()) {
    return `its time, ${readableTime(at, own.timeZone)}, passed while the service moved: it was not run, and is left out`;
  }
  try {
    parseInput(own.operation, own.own.input, config);
  } catch (error) {
    if (error instanceof ServiceError && error.code !== 'unavailable') return `it was left out: ${error.message}`;
    throw error;
  }
  return ownOptions(own);
}

/** What was due while nothing fired: nobody does it twice, and a person decides whether it is done at all. */
function missedOf({ id, cron, timeZone, paused, memo }: MovedSchedule, since: string): readonly string[] {
  if (paused || cron === '' || (memo !== undefined && ownFrom(memo)?.cron === undefined)) return [];
  const times = [...occurrences(cron, timeZone, Date.parse(since), Date.now())];
  const [first] = times;
  if (first === undefined) return [];
  const when = readableTime(new Date(first).toISOString(), timeZone);
  return [
    `${id} was due while the service moved (${when}${times.length > 1 ? `, and ${times.length - 1} times more` : ''}), and was not run. To run it now: npx proxmox-mcp schedules trigger ${id}`,
  ];
}

function defined(change: NonNullable<MovedSchedule['change']>) {
  const { cron, timeZone } = change;
  return { ...(cron !== undefined && { cron }), ...(timeZone !== undefined && { timeZone }) };
}
