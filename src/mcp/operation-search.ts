import type { OperationDefinition } from '../operations/definition.ts';
import { jsonSchema } from './json-schema.ts';
import { createWordSearch, type WeightedText, type WordSearch } from './word-search.ts';

/** How much a word counts, by where it stands. */
const weights = { name: 10, title: 8, summary: 5, description: 3, fields: 2.5, steps: 2, guide: 2, explained: 1 };

/** Finds operations by words. */
export type OperationSearch = WordSearch<OperationDefinition>;

/**
 * Indexes operations by the words of their name, title, summary, description, steps, guide, fields and the fields'
 * descriptions.
 */
export function createOperationSearch(operations: readonly OperationDefinition[]): OperationSearch {
  return createWordSearch(
    operations.map((operation) => ({ item: operation, name: operation.name, texts: textsOf(operation) })),
  );
}

function textsOf({ name, title, summary, description, steps, guide, input }: OperationDefinition): WeightedText[] {
  return [
    [name, weights.name],
    // `back-up` is also asked for as `backup`.
    [name.replaceAll('-', ''), weights.name],
    [title, weights.title],
    [summary, weights.summary],
    [description, weights.description],
    [steps.join(' '), weights.steps],
    [guide, weights.guide],
    ...textsOfFields(jsonSchema(input)),
  ];
}

/** Names, values and descriptions of a schema's fields, however deep. */
function textsOfFields(schema: Readonly<Record<string, unknown>>): WeightedText[] {
  return Object.entries(schema).flatMap(([key, value]): WeightedText[] => {
    const own: WeightedText[] =
      key === 'properties' && isObject(value)
        ? [[Object.keys(value).join(' '), weights.fields]]
        : key === 'enum' && Array.isArray(value)
          ? [[value.join(' '), weights.fields]]
          : key === 'description' && typeof value === 'string'
            ? [[value, weights.explained]]
            : [];
    const inner = (Array.isArray(value) ? value : [value]).filter(isObject).flatMap(textsOfFields);
    return [...own, ...inner];
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
