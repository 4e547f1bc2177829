import { z } from 'zod';
import type { CommandResult } from '../execution/executor.ts';
import { isOf, type PatternParameter } from './command.ts';

// The words in which commands say what they answer: zod schemas over what was said. What doesn't fit is thrown as
// `unexpected-answer` by whoever runs the command.

/** What a command said: exit code, standard output and error. For a program's own format: `.transform(…).pipe(…)`. */
export const said = z.custom<CommandResult>();

/** Of a command whose success is all that it has to say. */
export const nothing = said.transform(() => undefined);

/** A number of bytes, files or seconds, in decimal digits. */
export const count = z
  .string()
  .regex(/^\d{1,15}$/, 'expected a number')
  .transform(Number);

/** A time in whole seconds since 1970, up to the year 9999; as ISO 8601 in UTC. */
export const time = count
  .refine((seconds) => seconds <= 253_402_300_799, 'expected seconds since 1970')
  .transform((seconds) => new Date(seconds * 1000).toISOString());

/** A value of this parameter's form. */
export function form(parameter: PatternParameter) {
  return z.string().refine((text) => isOf(parameter, text), `expected ${parameter.description}`);
}

/** JSON on one line. */
export function json<T>(schema: z.ZodType<T>) {
  return z
    .string()
    .transform((text, context) => {
      try {
        return JSON.parse(text) as unknown;
      } catch {
        context.addIssue('expected JSON');
        return z.NEVER;
      }
    })
    .pipe(schema);
}

/** Words with one space between. */
export function words<const Parts extends readonly [z.ZodType, ...z.ZodType[]]>(...parts: Parts) {
  return z.preprocess((text) => String(text).split(' '), z.tuple(parts));
}

/** The key is there, once. */
export function one<T>(value: z.ZodType<T>) {
  return z.preprocess((lines) => (Array.isArray(lines) && lines.length === 1 ? lines[0] : undefined), value);
}

/** The key is there, or it isn't. */
export function optional<T>(value: z.ZodType<T>) {
  return z.preprocess(
    (lines) => (Array.isArray(lines) && lines.length > 0 ? lines : [undefined]),
    one(value.optional()),
  );
}

/** Whether the key is there. */
export const flag = z.array(z.string()).transform((lines) => lines.length > 0);

/** Every line of the key, in order. */
export function many<T>(value: z.ZodType<T>) {
  return z.array(value);
}

/** By key, a schema of all its values: `{ bytes: one(count), changed: flag }`. */
type Keys = Readonly<Record<string, z.ZodType>>;

/**
 * An answer in lines `key value`, which is what our own scripts print. Lines with other keys are left out: programs say
 * things beside.
 */
export function keyValues<const Shape extends Keys>(shape: Shape) {
  return z.preprocess((result) => valuesByKey(said.parse(result).stdout, shape).values, z.object(shape));
}

/**
 * The same where the lines are a list of what somebody else may have put there. Lines that aren't understood don't spoil
 * the rest: `many` keeps what is well-formed, and `notUnderstood` counts everything else.
 */
export function listing<const Shape extends Keys>(shape: Shape) {
  const understood = (result: CommandResult) => {
    const { values, others } = valuesByKey(result.stdout, shape);
    // What is behind the bound was not even read.
    let notUnderstood = others + (result.truncated ? 1 : 0);
    for (const [key, schema] of Object.entries(shape)) {
      if (!(schema instanceof z.ZodArray)) continue;
      const all = values[key] ?? [];
      const good = all.filter((line) => z.safeParse(schema.element, line).success);
      notUnderstood += all.length - good.length;
      values[key] = good;
    }
    return { ...values, notUnderstood };
  };
  return z.preprocess((result) => understood(said.parse(result)), z.object({ ...shape, notUnderstood: z.int() }));
}

function valuesByKey(text: string, keys: Keys): { readonly values: Record<string, string[]>; readonly others: number } {
  const values: Record<string, string[]> = Object.fromEntries(Object.keys(keys).map((key) => [key, []]));
  let others = 0;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [key = ''] = line.split(' ', 1);
    if (Object.hasOwn(values, key)) values[key]?.push(line.slice(key.length + 1));
    else others += 1;
  }
  return { values, others };
}
