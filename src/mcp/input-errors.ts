import { closest } from 'fastest-levenshtein';
import type { z } from 'zod';
import { ServiceError } from '../errors.ts';

/** Every problem of a call's arguments in one error, each with its field, what was expected and what came. */
export function invalidArguments(tool: string, schema: z.ZodObject, input: unknown, error: z.ZodError): ServiceError {
  const fields = Object.keys(schema.shape);
  const problems = error.issues.flatMap((issue) => describe(issue, fields, input));
  const first = error.issues[0];
  return new ServiceError({
    code: 'invalid-input',
    message: `${tool} was not called, because of its arguments:\n${problems.map((problem) => `- ${problem}`).join('\n')}\nNothing was changed`,
    remedy: 'Correct the fields named above and call it again.',
    details: { tool, field: first === undefined ? '' : first.path.map(String).join('.') },
  });
}

function describe(issue: z.core.$ZodIssue, fields: readonly string[], input: unknown): string[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownField(key, issue.path, fields));
  const field = issue.path.length === 0 ? 'arguments' : issue.path.map(String).join('.');
  const got = valueAt(input, issue.path);
  // "expected string, received undefined" is nobody's English.
  if (got === undefined) return [`${field}: it is missing${expectedOf(issue)}`];
  return [`${field}: ${issue.message}; got ${show(got)}`];
}

function expectedOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type') return `; expected ${issue.expected}`;
  return issue.code === 'invalid_value' ? `; expected one of ${issue.values.map(show).join(', ')}` : '';
}

function unknownField(key: string, path: readonly PropertyKey[], fields: readonly string[]): string {
  const name = show(key);
  if (path.length > 0) return `${path.map(String).join('.')}: has no field ${name}`;
  if (fields.length === 0) return `${name}: there is no such field; this tool takes no arguments`;
  return `${name}: there is no such field; did you mean ${closest(key, fields)}? The fields are ${fields.join(', ')}`;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      value !== null && typeof value === 'object' && Object.hasOwn(value, key)
        ? (value as Record<PropertyKey, unknown>)[key]
        : undefined,
    input,
  );
}

/** A value short enough for a sentence. */
function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
