import { defaultPayloadConverter } from '@temporalio/common';
import type { temporal } from '@temporalio/proto';
import { cleanLine } from '../reports/clean.ts';
import { readableDuration } from '../reports/units.ts';
import { type Failure, innermost, inWords, msOf, textOf } from './history.ts';
import type { Wait } from './runs.ts';

type PendingActivity = temporal.api.workflow.v1.IPendingActivityInfo;

/** How long something may wait for a worker before that is worth a word, ms. */
const begunWithinMs = 20_000;
const limits = { step: 100, why: 300 } as const;
// temporal.api.enums.v1.PendingActivityState and TimeoutType
const scheduled = 1;
const heartbeat = 4;

export interface PendingKnown {
  /** The activities' summaries by their ids ({@link activitySummaries}). */
  readonly summaries?: ReadonlyMap<string, string>;
  /** Why nobody begins them, by their ids, where that is known: `no worker serves pve2`. */
  readonly unserved?: ReadonlyMap<string, string>;
  /** Ms since the epoch. */
  readonly now?: number;
}

/**
 * What a run waits for with its activities, from a description of it (`describe().raw.pendingActivities`): its own
 * checklist can't say so, because a workflow hears of an activity only when that has ended.
 *
 * @param known what else is known of them
 */
export function pendingActivities(
  pending: readonly PendingActivity[] | null | undefined,
  { summaries = new Map(), unserved = new Map(), now = Date.now() }: PendingKnown = {},
): readonly Wait[] {
  return (pending ?? []).flatMap((activity) => {
    const step = cleanLine(
      summaries.get(activity.activityId ?? '') ?? inWords(activity.activityType?.name ?? ''),
      limits.step,
    );
    const attempt = activity.attempt ?? 1;
    const next = timeOf(activity.nextAttemptScheduleTime);
    const isWaiting = activity.state === scheduled;
    if (activity.lastFailure) return [failed(step, activity, { attempt, next: isWaiting ? next : undefined, now })];
    const since = timeOf(activity.scheduledTime);
    if (!isWaiting || since === undefined || now - since < begunWithinMs) return [];
    const nobody = unserved.get(activity.activityId ?? '');
    const lasts = readableDuration(now - since);
    const why =
      nobody === undefined ? `no worker has begun it for ${lasts}` : `${nobody}; it waits for ${lasts} already`;
    return [{ step, why, attempt, text: `${step}: ${why}` }];
  });
}

/** Activities that wait to be begun for longer than that should take, by their ids. */
export function notBegun(pending: readonly PendingActivity[] | null | undefined, now = Date.now()): readonly string[] {
  return (pending ?? []).flatMap(({ activityId, state, lastFailure, scheduledTime }) => {
    const since = timeOf(scheduledTime);
    const isLate = state === scheduled && !lastFailure && since !== undefined && now - since >= begunWithinMs;
    return isLate && activityId ? [activityId] : [];
  });
}

/** The queues of a run's activities, by the activities' ids, from its history. */
export function activityQueues(history: temporal.api.history.v1.IHistory): ReadonlyMap<string, string> {
  return new Map(
    (history.events ?? []).flatMap(({ activityTaskScheduledEventAttributes: activity }) =>
      activity?.activityId && activity.taskQueue?.name ? [[activity.activityId, activity.taskQueue.name] as const] : [],
    ),
  );
}

/** The summaries of a run's activities, by the activities' ids, from its history. */
export function activitySummaries(history: temporal.api.history.v1.IHistory): ReadonlyMap<string, string> {
  const summaries = new Map<string, string>();
  for (const { activityTaskScheduledEventAttributes: activity, userMetadata } of history.events ?? []) {
    if (!activity?.activityId) continue;
    const summary = textOf(userMetadata?.summary);
    if (summary !== undefined) summaries.set(activity.activityId, summary);
  }
  return summaries;
}

function failed(
  step: string,
  { lastFailure, maximumAttempts }: PendingActivity,
  { attempt, next, now }: { readonly attempt: number; readonly next: number | undefined; readonly now: number },
): Wait {
  const why = cleanLine(whyOf(lastFailure), limits.why);
  const when = next === undefined || next <= now ? 'now' : `in ${timeLeft(next - now)}`;
  const of = maximumAttempts ? ` of ${maximumAttempts}` : '';
  return {
    step,
    why,
    attempt,
    ...(next === undefined ? {} : { nextAttemptAt: new Date(next).toISOString() }),
    text: `${step}: ${why}, trying again ${when} (attempt ${attempt}${of})`,
  };
}

/** What happened, without what to do, which stands at its end. */
function whyOf(failure: Failure | null | undefined): string {
  const found = innermost(failure);
  const timeout = found?.timeoutFailureInfo?.timeoutType;
  if (timeout) return timeout === heartbeat ? 'its worker was lost' : 'it was not done within its time';
  const message = withoutEnd(found?.message || 'no reason given');
  const remedy = withoutEnd(remedyOf(found));
  return remedy !== '' && message.endsWith(remedy) ? withoutEnd(message.slice(0, -remedy.length)) : message;
}

/** Without the full stop, because the line goes on. */
function withoutEnd(text: string): string {
  return text.replace(/[.\s]+$/, '');
}

function remedyOf(failure: Failure | null | undefined): string {
  const [payload] = failure?.applicationFailureInfo?.details?.payloads ?? [];
  try {
    const detail = payload && defaultPayloadConverter.fromPayload<{ readonly remedy?: unknown } | null>(payload);
    return typeof detail?.remedy === 'string' ? detail.remedy : '';
  } catch {
    return '';
  }
}

/** In whole seconds: nobody waits for tenths of one. */
function timeLeft(ms: number): string {
  const seconds = Math.ceil(ms / 1_000);
  return seconds < 60 ? `${seconds} s` : readableDuration(ms);
}

function timeOf(time: Parameters<typeof msOf>[0] | null | undefined): number | undefined {
  return time ? msOf(time) : undefined;
}
