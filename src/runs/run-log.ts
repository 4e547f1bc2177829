import { defaultPayloadConverter } from '@temporalio/common';
import type { temporal } from '@temporalio/proto';
import type { RunLogLine } from './runs.ts';

type Event = temporal.api.history.v1.IHistoryEvent;
type Line = readonly [event: string, text: string] | undefined;

/** A run's history as lines for a person, oldest first. Bookkeeping of Temporal's own (workflow tasks) is left out. */
export function readLog(history: temporal.api.history.v1.IHistory): RunLogLine[] {
  const steps = new Map<string, string>();
  return (history.events ?? []).flatMap((event) => {
    const line = lineOf(event, steps);
    return line ? [{ at: timeOf(event), event: line[0], text: line[1] }] : [];
  });
}

function lineOf(event: Event, steps: Map<string, string>): Line {
  if (event.workflowExecutionStartedEventAttributes) {
    return ['started', `Started (${event.workflowExecutionStartedEventAttributes.workflowType?.name ?? 'run'})`];
  }
  const scheduled = event.activityTaskScheduledEventAttributes;
  if (scheduled) {
    const step = [textOf(event.userMetadata?.summary), scheduled.activityType?.name].filter(Boolean).join(': ');
    steps.set(String(event.eventId), step);
    return ['step', step];
  }
  const begun = event.activityTaskStartedEventAttributes;
  if (begun) {
    const step = steps.get(String(begun.scheduledEventId));
    const retried = (begun.attempt ?? 1) > 1;
    return retried
      ? ['retried', `${step}: attempt ${begun.attempt} – before it: ${causeOf(begun.lastFailure)}`]
      : undefined;
  }
  const done = event.activityTaskCompletedEventAttributes;
  if (done) return ['step-done', `${steps.get(String(done.scheduledEventId))}: done`];
  const failed = event.activityTaskFailedEventAttributes ?? event.activityTaskTimedOutEventAttributes;
  if (failed) return ['step-failed', `${steps.get(String(failed.scheduledEventId))}: ${causeOf(failed.failure)}`];
  const cancelled = event.activityTaskCanceledEventAttributes;
  if (cancelled) return ['step-cancelled', `${steps.get(String(cancelled.scheduledEventId))}: cancelled`];
  return lineOfRun(event);
}

function lineOfRun(event: Event): Line {
  const signalled = event.workflowExecutionSignaledEventAttributes;
  if (signalled) return ['signal', `Was told: ${signalled.signalName}`];
  const answered = event.workflowExecutionUpdateAcceptedEventAttributes;
  if (answered) return ['answer', `Was answered: ${answered.acceptedRequest?.input?.name ?? 'update'}`];
  const child = event.startChildWorkflowExecutionInitiatedEventAttributes;
  if (child) return ['child', `Started the run ${child.workflowId}`];
  const timer = event.timerStartedEventAttributes;
  if (timer) return ['waiting', textOf(event.userMetadata?.summary) ?? 'Waiting'];
  const asked = event.workflowExecutionCancelRequestedEventAttributes;
  if (asked)
    return [
      'cancel-requested',
      `Asked to stop by ${asked.identity || 'somebody'}: ${asked.cause || 'no reason given'}`,
    ];
  const failure = event.workflowExecutionFailedEventAttributes?.failure;
  if (failure) return ['failed', causeOf(failure)];
  if (event.workflowExecutionCompletedEventAttributes) return ['completed', 'Completed'];
  if (event.workflowExecutionCanceledEventAttributes) return ['cancelled', 'Cancelled'];
  if (event.workflowExecutionTerminatedEventAttributes) {
    return [
      'terminated',
      `Terminated: ${event.workflowExecutionTerminatedEventAttributes.reason || 'no reason given'}`,
    ];
  }
  if (event.workflowExecutionTimedOutEventAttributes) return ['timed-out', 'Ran out of time'];
  return undefined;
}

/** The innermost failure says what happened; those around it only that it happened in an activity. */
function causeOf(failure: temporal.api.failure.v1.IFailure | null | undefined): string {
  let innermost = failure;
  while (innermost?.cause) innermost = innermost.cause;
  return innermost?.message ?? 'no reason given';
}

function textOf(payload: temporal.api.common.v1.IPayload | null | undefined): string | undefined {
  return payload ? defaultPayloadConverter.fromPayload<string>(payload) : undefined;
}

function timeOf(event: Event): string {
  const { seconds, nanos } = event.eventTime ?? {};
  return new Date(Number(seconds ?? 0) * 1_000 + Math.floor((nanos ?? 0) / 1_000_000)).toISOString();
}
