import type { RunDetails } from './runs.ts';

/**
 * Why a run failed and what to do, each said once: a message as the Temporal UI shows it says both already, perhaps with
 * what was undone after it.
 */
export function failureText({ message, remedy }: NonNullable<RunDetails['failure']>): string {
  return message.includes(remedy) ? message : `${message} ${remedy}`;
}
