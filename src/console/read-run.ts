import type { z } from 'zod';
import { ServiceError } from '../errors.ts';
import type { Requester } from '../operations/run.ts';
import type { Runs } from '../runs/runs.ts';

/** How long a host may take to answer. */
const waitMs = 15_000;

/** Runs an operation that only looks, on behalf of who looks at a page. Throws what it failed with, or `unavailable`. */
export async function readRun<Output>(
  runs: Pick<Runs, 'start' | 'wait'>,
  operation: { readonly name: string; readonly output: z.ZodType<Output> },
  input: { readonly host: string } & Readonly<Record<string, unknown>>,
  by: Requester,
): Promise<Output> {
  const { id } = await runs.start(operation.name, input, by);
  const { state, result, failure } = await runs.wait(id, { timeoutMs: waitMs });
  const output = operation.output.safeParse(result?.output).data;
  if (state === 'done' && output !== undefined) return output;
  throw new ServiceError({
    code: 'unavailable',
    message: failure?.message ?? `${input.host} has not answered in time`,
    remedy: failure?.remedy ?? 'Look again in a moment.',
    retryable: true,
  });
}
