import { defaultPayloadConverter } from '@temporalio/common';
import type { WorkflowInterceptorsFactory } from '@temporalio/workflow';
import { attemptHeader } from './messages.ts';

/** The execution of the run that an approval was used up for, as the ledger has it; undefined: it acts by none. */
let attempt: string | undefined;

/**
 * From here on every activity is told for which execution of the run the approval was used up. One that finds itself in
 * another execution, made by a reset, does nothing: `src/activities/approved.ts`.
 */
export function actFor(approvedAttempt: string | undefined): void {
  attempt = approvedAttempt;
}

/** Read by Temporal's worker. */
export const interceptors: WorkflowInterceptorsFactory = () => ({
  outbound: [
    {
      scheduleActivity(input, next) {
        if (attempt === undefined) return next(input);
        const headers = { ...input.headers, [attemptHeader]: defaultPayloadConverter.toPayload(attempt) };
        return next({ ...input, headers });
      },
    },
  ],
});
