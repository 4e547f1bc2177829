import { defaultPayloadConverter } from '@temporalio/common';
import { msNumberToTs } from '@temporalio/common/lib/time.js';
import { expect, it } from 'vitest';
import { activitySummaries, pendingActivities } from '../../src/runs/pending-activities.ts';

const now = Date.parse('2026-11-26T08:00:00Z');
const [scheduled, started] = [1, 2];
const summaries = new Map([['7', 'Report']]);
const payload = (value: unknown) => defaultPayloadConverter.toPayload(value);

/** As the server describes an activity that failed with one of our errors. */
function failed(message: string, remedy: string, more = {}) {
  return {
    activityId: '7',
    activityType: { name: 'mailReport' },
    state: scheduled,
    attempt: 4,
    maximumAttempts: 8,
    nextAttemptScheduleTime: msNumberToTs(now + 39_400),
    lastFailure: {
      message,
      applicationFailureInfo: {
        type: 'unavailable',
        details: { payloads: [payload({ code: 'unavailable', remedy })] },
      },
    },
    ...more,
  };
}

it('says what is waited for, why, and until when, without what nobody has to do', () => {
  const [wait] = pendingActivities([failed("The mail server doesn't answer. Check SMTP_HOST.", 'Check SMTP_HOST')], {
    summaries,
    now,
  });
  expect(wait).toEqual({
    step: 'Report',
    why: "The mail server doesn't answer",
    attempt: 4,
    nextAttemptAt: '2026-11-26T08:00:39.400Z',
    text: "Report: The mail server doesn't answer, trying again in 40 s (attempt 4 of 8)",
  });
});

it('says that it is tried now, and names what has no summary in words', () => {
  const texts = pendingActivities(
    [
      failed('It broke', '', { activityId: '8', state: started, nextAttemptScheduleTime: null, maximumAttempts: 0 }),
      failed('It broke', '', { nextAttemptScheduleTime: msNumberToTs(now + 5 * 60_000) }),
    ],
    { summaries, now },
  ).map(({ text }) => text);
  expect(texts).toEqual([
    'Mail report: It broke, trying again now (attempt 4)',
    'Report: It broke, trying again in 5 min 0 s (attempt 4 of 8)',
  ]);
});

it('takes the innermost reason, cleaned and bounded', () => {
  const lastFailure = {
    message: 'Activity task failed',
    cause: { message: `said\u001b[31m red\nand ${'x'.repeat(1_000)}` },
  };
  const [wait] = pendingActivities([failed('', '', { lastFailure })], { summaries, now });
  expect(wait?.why).toMatch(/^said.* red and x+ … \(\d+ more characters\)$/);
  expect(wait?.why).not.toContain('\u001b');
  expect(wait?.why.length).toBeLessThan(340);
});

it.each([
  [1, 'it was not done within its time'],
  [4, 'its worker was lost'],
])('says of a timeout of kind %i: %s', (timeoutType, why) => {
  const lastFailure = { message: 'activity timeout', timeoutFailureInfo: { timeoutType } };
  expect(pendingActivities([failed('', '', { lastFailure })], { summaries, now })[0]?.why).toBe(why);
});

it('is silent of what goes on, and tells what no worker takes', () => {
  const waiting = (ms: number, state = scheduled) => ({
    activityId: '7',
    state,
    attempt: 1,
    scheduledTime: msNumberToTs(now - ms),
  });
  expect(pendingActivities([waiting(5_000), waiting(600_000, started)], { summaries, now })).toEqual([]);
  expect(pendingActivities([waiting(65_000)], { summaries, now })[0]?.text).toBe(
    'Report: no worker has begun it for 1 min 5 s',
  );
  expect(pendingActivities(undefined)).toEqual([]);
});

it('finds the summaries in the history', () => {
  const events = [
    { activityTaskScheduledEventAttributes: { activityId: '7' }, userMetadata: { summary: payload('Report') } },
    { activityTaskScheduledEventAttributes: { activityId: '8' } },
    { timerStartedEventAttributes: { timerId: '7' }, userMetadata: { summary: payload('Waiting') } },
  ];
  expect(activitySummaries({ events })).toEqual(summaries);
});
