import { ApplicationFailure, defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { sleep, workflowInfo } from '@temporalio/workflow';
import type { NotBefore } from '../../operations/run.ts';
import { readableDuration, readableTime } from '../../reports/units.ts';

/** The moment for which a schedule started a run, as Temporal writes it down. */
const scheduledFor = defineSearchAttributeKey('TemporalScheduledStartTime', SearchAttributeType.DATETIME);

/** When a run may act that was started ahead of that, and not long after it. */
export interface Due {
  /** Ms since the epoch. */
  readonly at: number;
  /** By its host's clock: `2026-11-29 23:00:00 CET`. */
  readonly text: string;
  /** Waits until then. False: it was no longer to be waited for. */
  reached(): Promise<boolean>;
  /** Throws `not-approved` when its time is over, as nobody has approved it within that. */
  requireInTime(withinMs: number): void;
}

/** Undefined for a run that acts as soon as it can. */
export function dueOf(notBefore: NotBefore | undefined): Due | undefined {
  if (notBefore === undefined) return undefined;
  const { at: given, leadMs = 0, timeZone } = notBefore;
  const { startTime, typedSearchAttributes } = workflowInfo();
  const started = typedSearchAttributes.get(scheduledFor) ?? startTime;
  const at = given === undefined ? started.getTime() + leadMs : Date.parse(given);
  const text = readableTime(new Date(at).toISOString(), timeZone);
  return {
    at,
    text,
    async reached() {
      const waitMs = at - Date.now();
      if (waitMs <= 0) return false;
      await sleep(waitMs, { summary: `Waiting for ${text}` });
      return true;
    },
    requireInTime(withinMs) {
      if (Date.now() < at + withinMs) return;
      throw ApplicationFailure.create({
        message: `It was to be done at ${text}, or within ${readableDuration(withinMs)} after that, and that time is over. Nothing was changed.`,
        type: 'not-approved',
        nonRetryable: true,
        details: [{ code: 'not-approved', remedy: 'Schedule it for another time where it is still wanted.' }],
      });
    },
  };
}
