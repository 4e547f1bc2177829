import { ApplicationFailure, CancelledFailure, TemporalFailure } from '@temporalio/common';
import type { ActivityInboundCallsInterceptor, ActivityInterceptorsFactory } from '@temporalio/worker';
import { explain, ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import { cleanText } from '../reports/clean.ts';
import { readableList } from '../reports/units.ts';
import type { Redact } from '../secret.ts';

/**
 * The one place where an activity's error becomes a Temporal failure: type = the error's code, message = what happened
 * and what to do, retried only when doing it again may work. Known secrets are taken out of every text first. The stack
 * of what nobody threw on purpose goes to the log, not into the history.
 *
 * @param changedKeys what has changed in the configuration since the worker read it: perhaps the cause, so it is said
 */
export function failureInterceptor(
  redact: Redact,
  log: Pick<Log, 'error'>,
  changedKeys: () => readonly string[] = () => [],
): ActivityInterceptorsFactory {
  return ({ info }) => ({
    inbound: {
      async execute(input, next) {
        try {
          return await next(input);
        } catch (error) {
          const failure = toFailure(withOldConfiguration(error, changedKeys), redact);
          if (failure instanceof ApplicationFailure && failure.type === 'internal') {
            const stack = redact((error instanceof Error && error.stack) || String(error));
            log.error({ activity: info.activityType, run: info.workflowExecution?.workflowId, stack }, failure.message);
          }
          throw failure;
        }
      },
    },
  });
}

/** What failed may have failed because the worker doesn't know what was written since: an address, a folder, a token. */
function withOldConfiguration(error: unknown, changedKeys: () => readonly string[]): unknown {
  if (!(error instanceof ServiceError) || error.code === 'cancelled') return error;
  const changed = changedKeys();
  if (changed.length === 0) return error;
  const { code, message, retryable, details, cause } = error;
  const first = `The configuration has changed since the service read it (${readableList(changed)}): run npx proxmox-mcp reload first.`;
  return new ServiceError({ code, message, remedy: `${first} ${error.remedy}`, retryable, details, cause });
}

/** Takes known secrets out of every activity's result: what it returns goes into the history, as it is. */
export function redactingInterceptor(redact: Redact): ActivityInterceptorsFactory {
  const inbound: ActivityInboundCallsInterceptor = {
    execute: async (input, next) => redactAll(await next(input), redact),
  };
  return () => ({ inbound });
}

function redactAll(value: unknown, redact: Redact): unknown {
  if (typeof value === 'string') return redact(value);
  if (Array.isArray(value)) return value.map((item) => redactAll(item, redact));
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, redactAll(item, redact)]));
}

export function toFailure(error: unknown, redact: Redact): Error {
  if (error instanceof TemporalFailure) return error;
  if (error instanceof ServiceError) {
    if (error.code === 'cancelled') return new CancelledFailure(cleanText(redact(error.message)));
    return ApplicationFailure.create({
      message: cleanText(redact(explain(error))),
      type: error.code,
      nonRetryable: !error.retryable,
      details: [{ code: error.code, remedy: cleanText(redact(error.remedy)) }],
    });
  }
  if (error instanceof Error && error.name === 'AbortError') return new CancelledFailure('It was cancelled.');
  // Not thrown on purpose: a defect, or a library's error. It may pass.
  return ApplicationFailure.create({
    message: cleanText(
      redact(`Something unexpected happened: ${error instanceof Error ? error.message : String(error)}`),
    ),
    type: 'internal',
    details: [{ code: 'internal', remedy: 'Look at the worker’s log, then report it with the text found there.' }],
  });
}
