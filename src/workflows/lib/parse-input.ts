import { ApplicationFailure } from '@temporalio/workflow';
import { z } from 'zod';
import type { OperationDefinition, TypedOperation } from '../../operations/definition.ts';

/** A run's input as its operation's schema has it. Throws `invalid-input`, with every problem. */
export function parseInput<Input extends z.ZodObject>(
  definition: Pick<TypedOperation<string, OperationDefinition['target'], Input>, 'name' | 'input'>,
  input: unknown,
): z.output<Input> {
  const parsed = z.safeParse(definition.input, input);
  if (parsed.success) return parsed.data;
  throw ApplicationFailure.nonRetryable(
    `The input of ${definition.name} is not valid. ${z.prettifyError(parsed.error)}`,
    'invalid-input',
  );
}
