import type { OperationDefinition } from '../operations/definition.ts';
import { jsonSchema } from './json-schema.ts';

/** Words that say nothing about what is looked for. */
const empty = new Set(
  'a all am an and any are as at be can could do does every for from get give has have how i in into is it its let make me my need new now of on one or our please run s see should so some t that the their them there this to up us want was we were what when where which who will with would you your'.split(
    ' ',
  ),
);

/** How much a word counts, by where it stands. */
const weights = { name: 10, title: 8, summary: 5, description: 3, fields: 2.5, steps: 2, guide: 2, explained: 1 };

/** Shorter words are matched only whole: `ct` is no beginning of `ctime`. */
const shortestBeginning = 4;

/** What is worth less than this share of the best has a word in common with the query and hardly more. */
const leastShare = 0.25;

interface Indexed {
  readonly operation: OperationDefinition;
  /** Each word with the weight of the best place where it stands. */
  readonly words: ReadonlyMap<string, number>;
}

/** Finds operations by words. */
export interface OperationSearch {
  /** Those in which words of the query stand, best first. */
  find(query: string): readonly OperationDefinition[];
}

/**
 * Indexes operations by the words of their name, title, summary, description, steps, guide, fields and the fields'
 * descriptions. A word counts more the fewer operations have it, and the better its place; those operations come first
 * that have most of the query's words.
 */
export function createOperationSearch(operations: readonly OperationDefinition[]): OperationSearch {
  const index = operations.map((operation): Indexed => ({ operation, words: wordsIn(operation) }));
  const counts = new Map<string, number>();
  for (const { words } of index) for (const word of words.keys()) counts.set(word, (counts.get(word) ?? 0) + 1);

  function score({ words }: Indexed, terms: readonly string[]): number {
    if (terms.length === 0) return 0;
    const found = terms.map((term) =>
      best(words, term, (word) => Math.log(1 + index.length / (counts.get(word) ?? 1))),
    );
    const covered = found.filter((value) => value > 0).length / terms.length;
    return covered * found.reduce((sum, value) => sum + value, 0);
  }

  return {
    find(query) {
      const terms = [...new Set(wordsOf(query))];
      const asName = query.trim().toLowerCase().replaceAll(/[ _]/g, '-');
      const value = (entry: Indexed) => (entry.operation.name === asName ? Number.MAX_VALUE : score(entry, terms));
      const scored = index
        .map((entry) => ({ operation: entry.operation, value: value(entry) }))
        .sort((a, b) => b.value - a.value || (a.operation.name < b.operation.name ? -1 : 1));
      const least = (scored[0]?.value ?? 0) * leastShare;
      return scored.filter(({ value }) => value > 0 && value >= least).map(({ operation }) => operation);
    },
  };
}

/** The worth of the operation's word that answers a term best: the same, or one that begins with it or the other way. */
function best(words: ReadonlyMap<string, number>, term: string, rarity: (word: string) => number): number {
  const same = words.get(term);
  if (same !== undefined) return same * rarity(term);
  let value = 0;
  for (const [word, weight] of words) {
    const [short, long] = word.length < term.length ? [word, term] : [term, word];
    if (short.length >= shortestBeginning && long.startsWith(short)) {
      value = Math.max(value, 0.5 * weight * rarity(word) * (short.length / long.length));
    }
  }
  return value;
}

function wordsIn(operation: OperationDefinition): Map<string, number> {
  const words = new Map<string, number>();
  const add = (text: string, weight: number) => {
    for (const word of wordsOf(text)) words.set(word, Math.max(weight, words.get(word) ?? 0));
  };
  add(operation.name, weights.name);
  // `back-up` is also asked for as `backup`.
  add(operation.name.replaceAll('-', ''), weights.name);
  add(operation.title, weights.title);
  add(operation.summary, weights.summary);
  add(operation.description, weights.description);
  add(operation.steps.join(' '), weights.steps);
  add(operation.guide, weights.guide);
  addFields(jsonSchema(operation.input), add);
  return words;
}

/** Names, values and descriptions of a schema's fields, however deep. */
function addFields(schema: Readonly<Record<string, unknown>>, add: (text: string, weight: number) => void): void {
  for (const [key, value] of Object.entries(schema)) {
    if (key === 'properties' && isObject(value)) add(Object.keys(value).join(' '), weights.fields);
    else if (key === 'enum' && Array.isArray(value)) add(value.join(' '), weights.fields);
    else if (key === 'description' && typeof value === 'string') add(value, weights.explained);
    for (const inner of Array.isArray(value) ? value : [value]) if (isObject(inner)) addFields(inner, add);
  }
}

/** The words that say something, in their simplest form. `dryRun` and `dry-run` are two words. */
function wordsOf(text: string): string[] {
  return text
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '' && !empty.has(word))
    .map(simplest);
}

/** Without the endings of plural and verb: enough that words are the same which a reader takes for the same. */
function simplest(word: string): string {
  const one = /[^aeiu]ies$/.test(word) ? `${word.slice(0, -3)}y` : word.replace(/(?<=..)(?<![siu])s$/, '');
  return one
    .replace(/(?<=....)(?:ing|ed)$/, '')
    .replace(/(?<=..)e$/, '')
    .replace(/(.)\1$/, '$1');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
