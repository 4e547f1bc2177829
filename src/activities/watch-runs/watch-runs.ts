import { setTimeout as sleep } from 'node:timers/promises';
import { CancelledFailure, Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { Config } from '../../config.ts';
import { catalogue } from '../../operations/catalogue.generated.ts';
import type { OperationDefinition } from '../../operations/definition.ts';
import type { Notice } from '../../operations/notice.ts';
import { describeRunReference } from '../../reports/run-reference.ts';
import { runUrl } from '../../run-url.ts';
import { zoneOfTarget } from '../../time-zone.ts';
import { type OverrunLimits, type ScheduledRun, stillTold, type Told } from './decide.ts';
import { endedSince, goingOn, noticeOfEnd, noticeOfGoing } from './look-at-runs.ts';
import { type Counters, lookAtRefused, lookAtSchedules } from './look-at-schedules.ts';

export const queue = 'service';

/** How the watch looks; in ms. */
export interface LookSettings {
  /** Between two looks at what has ended and what goes on. */
  readonly everyMs: number;
  /** Between two looks at what changes seldom: the schedules, and the mails of paused runs. */
  readonly seldomMs: number;
  /** For what else goes wrong at the same time, once something was found: it is told in the same mail. */
  readonly gatherMs: number;
  /** What has ended is in lists of Temporal a moment later, and clocks differ a little: so far back is looked again. */
  readonly overlapMs: number;
  readonly overrun: OverrunLimits;
}

/** What the watch knows, between two parts of it. */
export interface Watched {
  /** Everything that ended before has been looked at; ms since the epoch. */
  readonly since: number;
  readonly told: Told;
  /** Absent before the first look. */
  readonly counters?: Counters;
}

/** Looks until something is found, and for `forMs` at most. */
export interface WatchInput extends Watched {
  readonly forMs: number;
  readonly settings: LookSettings;
}

export interface WatchActivities {
  watchScheduledRuns(input: WatchInput): Promise<Watched & { readonly found: readonly Notice[] }>;
}

/**
 * The look at scheduled runs. It lasts for hours where nothing happens, because every call of an activity stays in the
 * history of the watch; a look itself reads two lists and leaves nothing.
 *
 * @param dependencies `refusedSchedules`: why schedules could not be made, by their ids
 */
export function createWatchActivities(dependencies: {
  readonly client: Client;
  readonly config: Pick<Config, 'hosts' | 'temporal'>;
  readonly refusedSchedules: () => Readonly<Record<string, string>>;
}): WatchActivities {
  const { client, config, refusedSchedules } = dependencies;
  const looker = { client, titleOf, timeZoneOf: (target: string) => zoneOfTarget(config, target), placeOf };

  return {
    async watchScheduledRuns({ forMs, settings, ...before }) {
      const context = Context.current();
      const until = Date.now() + forMs;
      /** Ended runs of which nothing is to be told. */
      const well = new Set<string>();
      const found: Notice[] = [];
      const told: Record<string, number | string> = { ...before.told };
      let { since, counters } = before;
      let goesOn = new Set<string>();
      let looked = Number.NEGATIVE_INFINITY;
      let gathering = false;

      for (;;) {
        context.heartbeat();
        const now = Date.now();
        await lookAtEnded(now);
        const seldom = now - looked >= settings.seldomMs;
        await lookAtGoing(now, seldom);
        if (seldom) {
          looked = now;
          const schedules = await lookAtSchedules(looker, counters ?? {}, now);
          for (const notice of schedules.notices) tell(notice, now);
          // What is seen for the first time is remembered at once: the next attempt compares with it.
          const isNew = Object.keys(schedules.counters).join() !== Object.keys(counters ?? {}).join();
          counters = schedules.counters;
          if (isNew && found.length === 0) break;
        }
        const isOver = found.length > 0 ? gathering : Date.now() >= until;
        if (isOver) break;
        gathering = found.length > 0;
        const pauseMs = gathering ? settings.gatherMs : Math.min(settings.everyMs, until - Date.now());
        if (!(await pause(context, Math.max(0, pauseMs)))) break;
      }
      return { since, told: stillTold(told, since - settings.overlapMs, goesOn), counters: counters ?? {}, found };

      async function lookAtEnded(now: number): Promise<void> {
        for (const run of await endedSince(client, since - settings.overlapMs)) {
          if (well.has(run.runId) || hasTold(run)) continue;
          const notice = await noticeOfEnd(looker, run);
          if (notice === undefined) well.add(run.runId);
          else tell(notice, run.closedAt ?? now);
        }
        since = now;
      }

      async function lookAtGoing(now: number, seldom: boolean): Promise<void> {
        const runs = await goingOn(client);
        const refused = lookAtRefused(looker, refusedSchedules(), now);
        goesOn = new Set([...runs.map(({ runId }) => runId), ...refused.map(({ key }) => key)]);
        for (const notice of refused) tell(notice, notice.key);
        for (const run of runs) {
          // Of a run that has asked a person it is known why it takes long.
          if (run.phase === 'paused') told[`overran:${run.runId}`] = run.runId;
          const isSettled = run.phase === 'paused' ? !seldom : told[`overran:${run.runId}`] !== undefined;
          if (isSettled) continue;
          const notice = await noticeOfGoing(looker, run, settings.overrun, now);
          if (notice !== undefined) tell(notice, run.runId);
        }
      }

      function hasTold({ runId }: ScheduledRun): boolean {
        return ends.some((kind) => told[`${kind}:${runId}`] !== undefined);
      }

      function tell(notice: Notice, of: number | string): void {
        if (told[notice.key] !== undefined) return;
        told[notice.key] = of;
        found.push(notice);
      }
    },
  };

  function placeOf(id: string): string {
    const { command, link } = describeRunReference({ id, url: runUrl(config, id), machine: '' });
    return link === undefined ? command : `${command}, or ${link}`;
  }
}

const ends = ['failed', 'undone', 'terminated', 'timed-out', 'not-met', 'not-mailed'] as const;

function titleOf(operation: string): Pick<OperationDefinition, 'title' | 'subject'> {
  return Object.values(catalogue).find(({ name }) => name === operation) ?? { title: operation };
}

/** False when the worker stops: what was found until then is given back, and another worker goes on. */
async function pause(context: Context, ms: number): Promise<boolean> {
  try {
    await sleep(ms, undefined, { signal: context.cancellationSignal });
    return true;
  } catch {
    if (context.cancellationDetails?.cancelRequested) throw new CancelledFailure('The watch was cancelled.');
    return false;
  }
}
