import { closest, distance } from 'fastest-levenshtein';
import type { z } from 'zod';
import { ServiceError } from '../errors.ts';
import type { OperationDefinition } from '../operations/definition.ts';
import { writtenInput } from '../runs/name-guest.ts';
import { jsonSchema } from './json-schema.ts';

/** So many problems of one call are named; who sends more has sent something else. */
const shownProblems = 20;

/** Every problem of a call's arguments in one error, each with its field, what was expected and what came. */
export function invalidArguments(tool: string, schema: z.ZodObject, input: unknown, error: z.ZodError): ServiceError {
  const problems = problemsOf(schema, input, error);
  return new ServiceError({
    code: 'invalid-input',
    message: `${tool} was not called, because of its arguments:\n${problems}\nNothing was changed`,
    remedy: 'Correct the fields named above and call it again.',
    details: { tool, field: error.issues[0]?.path.map(String).join('.') ?? '' },
  });
}

/** The same for an operation's input in a call's field `input`, with what the operation takes. */
export function invalidInput(operation: OperationDefinition, input: unknown, error: z.ZodError): ServiceError {
  const taken = writtenInput(operation);
  const problems = problemsOf(taken, input, error, ['input']);
  const schema = JSON.stringify(jsonSchema(taken.strict()));
  return new ServiceError({
    code: 'invalid-input',
    message: `${operation.name} was not started, because of its input:\n${problems}\nThe JSON schema of its input:\n${schema}\nNothing was changed`,
    remedy: 'Correct the fields named above and call it again.',
    details: { operation: operation.name, field: ['input', ...(error.issues[0]?.path ?? [])].map(String).join('.') },
  });
}

/** One problem a line. `at`: the field in which the input came, none where it is the arguments themselves. */
function problemsOf(schema: z.ZodObject, input: unknown, error: z.ZodError, at: readonly string[] = []): string {
  const fields = Object.keys(schema.shape);
  const problems = error.issues.flatMap((issue) => describe(issue, fields, input, at));
  const hidden = problems.length - shownProblems;
  return [...problems.slice(0, shownProblems), ...(hidden > 0 ? [`and ${hidden} more`] : [])]
    .map((problem) => `- ${problem}`)
    .join('\n');
}

function describe(
  issue: z.core.$ZodIssue,
  fields: readonly string[],
  input: unknown,
  at: readonly string[],
): readonly string[] {
  const path = [...at, ...issue.path].map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    const known = issue.path.length === 0 ? fields : undefined;
    return issue.keys.map((key) => unknownField(key, path, known));
  }
  const field = path === '' ? 'arguments' : path;
  const got = valueAt(input, issue.path);
  // "expected string, received undefined" is nobody's English.
  if (got === undefined) return [`${field}: it is missing${expectedOf(issue)}`];
  return [`${field}: ${issue.message}; got ${show(got)}`];
}

function expectedOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type') return `; expected ${issue.expected}`;
  return issue.code === 'invalid_value' ? `; expected one of ${issue.values.map(show).join(', ')}` : '';
}

/** `fields`: those that there are instead, where they are few and known. */
function unknownField(key: string, path: string, fields: readonly string[] | undefined): string {
  const name = show(key);
  const where = path === '' ? name : `${path}: ${name}`;
  if (fields === undefined) return `${where}: there is no such field`;
  if (fields.length === 0) return `${where}: there is no such field; no fields are taken`;
  const meant = nearest(key, fields);
  const hint = meant === undefined ? '' : `did you mean ${meant}? `;
  return `${where}: there is no such field; ${hint}The fields are ${fields.join(', ')}`;
}

/** A field whose name this one is a part of, or is mistyped; one that only looks a little alike would lead astray. */
function nearest(key: string, fields: readonly string[]): string | undefined {
  const wrong = key.slice(0, 200).toLowerCase();
  const whole = fields.find((field) => wrong.length >= 3 && field.toLowerCase().startsWith(wrong));
  if (whole !== undefined) return whole;
  const field = closest(wrong, fields);
  const right = field.toLowerCase();
  const sorted = (word: string) => [...word].sort().join('');
  const isNear = distance(wrong, right) <= Math.max(1, Math.floor(right.length / 3)) || sorted(wrong) === sorted(right);
  return isNear ? field : undefined;
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
