import { defaultPayloadConverter } from '@temporalio/common';
import type { temporal } from '@temporalio/proto';

/** What happened, as Temporal keeps it with all that was around it. */
export type Failure = temporal.api.failure.v1.IFailure;

/** The innermost failure says what happened; those around it only that it happened in an activity. */
export function innermost(failure: Failure | null | undefined): Failure | undefined {
  let found = failure;
  while (found?.cause) found = found.cause;
  return found ?? undefined;
}

/** `requestLock` → `Request lock`. */
export function inWords(name: string): string {
  const words = name.replace(
    /([a-z0-9])([A-Z])/g,
    (_, before: string, after: string) => `${before} ${after.toLowerCase()}`,
  );
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A text of ours that stands in a payload. */
export function textOf(payload: temporal.api.common.v1.IPayload | null | undefined): string | undefined {
  return payload ? defaultPayloadConverter.fromPayload<string>(payload) : undefined;
}

/** Ms since the epoch. */
export function msOf(time: { seconds?: unknown; nanos?: number | null }): number {
  return Number(time.seconds ?? 0) * 1_000 + Math.floor((time.nanos ?? 0) / 1_000_000);
}
