import { defaultPayloadConverter } from '@temporalio/common';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import { ServiceError } from '../errors.ts';
import { attemptHeader } from '../workflows/lib/messages.ts';

/**
 * Keeps what was approved for one execution of a run from being done by another: who resets a run in Temporal makes an
 * execution with the same history and another id of its own. `approval-spent`; the run then asks again.
 */
export const approvedInterceptor: ActivityInterceptorsFactory = ({ info }) => ({
  inbound: {
    async execute(input, next) {
      const payload = input.headers[attemptHeader];
      if (payload !== undefined) {
        const attempt: unknown = defaultPayloadConverter.fromPayload(payload);
        if (attempt !== info.workflowExecution?.runId) {
          throw new ServiceError({
            code: 'approval-spent',
            message: 'The approval was used up by an earlier execution of this run, which somebody has reset',
            remedy: 'It asks again.',
          });
        }
      }
      return await next(input);
    },
  },
});
