import { expect, it } from 'vitest';
import { z } from 'zod';
import { invalidArguments } from '../../src/mcp/input-errors.ts';

const schema = z.strictObject({
  host: z.string(),
  kind: z.enum(['daily', 'full']),
  dryRun: z.boolean().optional(),
});

function said(input: unknown): string {
  const { error } = schema.safeParse(input);
  return error === undefined ? '' : invalidArguments('back_up', schema, input, error).message;
}

it('says that a field is missing, and what it takes, in plain words', () => {
  expect(said({})).toContain(
    '- host: it is missing; expected string\n- kind: it is missing; expected one of "daily", "full"\n',
  );
  expect(said({})).not.toContain('undefined');
  expect(said({ host: 1, kind: 'daily' })).toContain(
    '- host: Invalid input: expected string, received number; got 1\n',
  );
  expect(said({ host: 'a', kind: 'daily', dry: true })).toContain('did you mean dryRun?');
});
