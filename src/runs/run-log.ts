import { defaultPayloadConverter } from '@temporalio/common';
import type { temporal } from '@temporalio/proto';
import { readableDuration } from '../reports/units.ts';
import {
  decideSignal,
  decideUpdate,
  lockGrantedSignal,
  lockWaitSignal,
  releaseLockSignal,
} from '../workflows/lib/messages.ts';
import { type Failure, innermost, inWords, msOf, textOf } from './history.ts';
import type { RunLogLine } from './runs.ts';

type Event = temporal.api.history.v1.IHistoryEvent;
type Payloads = temporal.api.common.v1.IPayloads;
type Line = readonly [event: string, text: string] | undefined;

/** What an activity was called for, and when, by the id of its event. */
type Steps = Map<string, { readonly name: string; readonly at: number }>;

/** A run's history in words, oldest first. Bookkeeping of Temporal's own (workflow tasks) is left out. */
export function readLog(history: temporal.api.history.v1.IHistory): RunLogLine[] {
  const steps: Steps = new Map();
  return (history.events ?? []).flatMap((event) => {
    const line = lineOf(event, steps) ?? lineOfMessage(event) ?? lineOfRun(event);
    return line ? [{ at: new Date(timeOf(event)).toISOString(), event: line[0], text: line[1] }] : [];
  });
}

function lineOf(event: Event, steps: Steps): Line {
  const scheduled = event.activityTaskScheduledEventAttributes;
  if (scheduled) {
    const name = textOf(event.userMetadata?.summary) ?? inWords(scheduled.activityType?.name ?? 'step');
    steps.set(String(event.eventId), { name, at: timeOf(event) });
    return ['step', `${name}: begins`];
  }
  const begun = event.activityTaskStartedEventAttributes;
  if (begun) {
    const { attempt = 1, lastFailure } = begun;
    if ((attempt ?? 1) <= 1) return undefined;
    return [
      'retried',
      `${nameOf(begun, steps)}: tried again, for the ${nth(attempt ?? 1)} time: ${causeOf(lastFailure)}`,
    ];
  }
  const done = event.activityTaskCompletedEventAttributes;
  if (done) {
    const from = steps.get(String(done.scheduledEventId))?.at ?? timeOf(event);
    return ['step-done', `${nameOf(done, steps)}: done in ${readableDuration(timeOf(event) - from)}`];
  }
  const failed = event.activityTaskFailedEventAttributes ?? event.activityTaskTimedOutEventAttributes;
  if (failed) return ['step-failed', `${nameOf(failed, steps)}: failed: ${causeOf(failed.failure)}`];
  const cancelled = event.activityTaskCanceledEventAttributes;
  return cancelled ? ['step-cancelled', `${nameOf(cancelled, steps)}: stopped`] : undefined;
}

/** What the run was told, and what it told others. */
function lineOfMessage(event: Event): Line {
  const signalled = event.workflowExecutionSignaledEventAttributes;
  if (signalled) {
    const said = argument(signalled.input);
    switch (signalled.signalName) {
      case lockGrantedSignal.name:
        return ['lock', `Got the lock of ${field(said, 'lock')}`];
      case lockWaitSignal.name: {
        const before = isObject(said) ? said.before : undefined;
        return ['lock', `Waits for ${field(before, 'title')} (${field(before, 'owner')})`];
      }
      case decideSignal.name:
        return ['answer', answerOf(said)];
      default:
        return ['signal', `Was told: ${inWords(signalled.signalName ?? 'something')}`];
    }
  }
  const sent = event.signalExternalWorkflowExecutionInitiatedEventAttributes;
  if (sent?.signalName === releaseLockSignal.name) {
    return ['lock', `Gave back the lock of ${(sent.workflowExecution?.workflowId ?? '').replace(/^lock\//, '')}`];
  }
  const asked = event.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest?.input;
  if (asked == null) return undefined;
  if (asked.name === decideUpdate.name) return ['answer', answerOf(argument(asked.args))];
  return ['answer', `Was asked to: ${inWords(asked.name ?? 'update')}`];
}

function lineOfRun(event: Event): Line {
  const started = event.workflowExecutionStartedEventAttributes;
  if (started) {
    const request = argument(started.input);
    const by = isObject(request) ? request.requestedBy : undefined;
    return ['started', `Started, asked for by ${field(by, 'name')} (${field(by, 'kind')})`];
  }
  const child = event.startChildWorkflowExecutionInitiatedEventAttributes;
  if (child) return ['child', `Started the run ${child.workflowId}`];
  if (event.timerStartedEventAttributes) return ['waiting', textOf(event.userMetadata?.summary) ?? 'Waits'];
  const asked = event.workflowExecutionCancelRequestedEventAttributes;
  if (asked)
    return [
      'cancel-requested',
      `Asked to stop by ${asked.identity || 'somebody'}: ${asked.cause || 'no reason given'}`,
    ];
  const failure = event.workflowExecutionFailedEventAttributes?.failure;
  if (failure) return ['failed', `Failed: ${causeOf(failure)}`];
  if (event.workflowExecutionCompletedEventAttributes) return ['completed', 'Done'];
  if (event.workflowExecutionCanceledEventAttributes) return ['cancelled', 'Cancelled'];
  const terminated = event.workflowExecutionTerminatedEventAttributes;
  if (terminated)
    return ['terminated', `Ended from outside, undoing nothing: ${terminated.reason || 'no reason given'}`];
  return event.workflowExecutionTimedOutEventAttributes ? ['timed-out', 'Ran out of time'] : undefined;
}

function answerOf(said: unknown): string {
  if (typeof said === 'string') return `Answered "${said}"`;
  const by = isObject(said) && isObject(said.by) ? ` by ${field(said.by, 'name')} (${field(said.by, 'kind')})` : '';
  const why = isObject(said) && typeof said.reason === 'string' ? `: ${said.reason}` : '';
  return `Answered "${field(said, 'choice')}"${by}${why}`;
}

/** Why something failed; of what ran out of time, that. */
function causeOf(failure: Failure | null | undefined): string {
  const found = innermost(failure);
  if (found?.timeoutFailureInfo) return 'no answer within its time';
  return found?.message ?? 'no reason given';
}

function nameOf({ scheduledEventId }: { readonly scheduledEventId?: unknown }, steps: Steps): string {
  return steps.get(String(scheduledEventId))?.name ?? 'A step';
}

function nth(count: number): string {
  const ending = { 1: 'st', 2: 'nd', 3: 'rd' }[count % 10] ?? 'th';
  return `${count}${count % 100 >= 11 && count % 100 <= 13 ? 'th' : ending}`;
}

/** The first argument of a message; undefined where it is none that can be read. */
function argument(payloads: Payloads | null | undefined): unknown {
  const [payload] = payloads?.payloads ?? [];
  try {
    return payload == null ? undefined : defaultPayloadConverter.fromPayload(payload);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function field(value: unknown, name: string): string {
  const found = isObject(value) ? value[name] : undefined;
  return typeof found === 'string' ? found : 'somebody';
}

function timeOf({ eventTime }: Event): number {
  return msOf(eventTime ?? {});
}
