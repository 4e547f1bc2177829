import { z } from 'zod';

export type JsonSchema = { readonly type: 'object' } & Record<string, unknown>;

/**
 * An object's schema as JSON schema (2020-12, MCP's own dialect, which needs no naming), without what only costs length.
 * Read as input: fields with a default may be left out, and a client must not refuse an answer with one field more.
 */
export function jsonSchema(schema: z.ZodType): JsonSchema {
  const { $schema: _dialect, ...made } = z.toJSONSchema(schema, {
    io: 'input',
    target: 'draft-2020-12',
    override({ jsonSchema: part }) {
      // Bounds that every whole number of JavaScript has, and the 200 characters that spell out `date-time`.
      if (part.minimum === Number.MIN_SAFE_INTEGER) delete part.minimum;
      if (part.maximum === Number.MAX_SAFE_INTEGER) delete part.maximum;
      if (part.format === 'date-time') delete part.pattern;
      // Text or a number: half as long this way.
      const types = (part.anyOf ?? []).map(({ type }) => type);
      if (types.length > 0 && types.every((type) => type === 'string' || type === 'integer')) {
        delete part.anyOf;
        Object.assign(part, { type: types });
      }
      // Of a record: names are text, and values may be anything, unless it says otherwise.
      if (part.propertyNames !== undefined) {
        delete part.propertyNames;
        if (isEmpty(part.additionalProperties)) delete part.additionalProperties;
      }
    },
  });
  return { ...made, type: 'object' };
}

/**
 * The same as every conversation pays for it: without the forms and lengths of texts, which a model hardly ever gets wrong
 * and the server checks all the same, with an error that says what was expected.
 */
export function briefSchema(schema: z.ZodType): JsonSchema {
  return without(jsonSchema(schema)) as JsonSchema;
}

const left: ReadonlySet<string> = new Set(['pattern', 'minLength', 'maxLength', 'minItems', 'maxItems']);

/** A field may be called like one of these, and is none: fields are objects. */
function without(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(without);
  if (part === null || typeof part !== 'object') return part;
  const kept = Object.entries(part).filter(([key, value]) => !left.has(key) || typeof value === 'object');
  return Object.fromEntries(kept.map(([key, value]) => [key, key === 'default' ? value : without(value)]));
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
