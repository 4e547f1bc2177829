import { distance } from 'fastest-levenshtein';

/** A text of what is searched for, and how much its words count. */
export type WeightedText = readonly [text: string, weight: number];

/** Words that say nothing about what is looked for. */
const empty = new Set(
  'a all am an and any are as at be can could do does every for from get give has have how i in into is it its let make me my need new now of on one or our please run s see should so some t that the their them there this to up us want was we were what when where which who will with would you your'.split(
    ' ',
  ),
);

/** Shorter words are matched only whole: `ct` is no beginning of `ctime`. */
const shortestBeginning = 4;

/** What is worth less than this share of the best has a word in common with the query and hardly more. */
const leastShare = 0.25;

/** Shorter words are mistyped into other words. */
const shortestMistyped = 5;

export interface Searched<Item> {
  readonly item: Item;
  /** Kebab or snake case. */
  readonly name: string;
  readonly texts: readonly WeightedText[];
}

interface Indexed<Item> extends Searched<Item> {
  /** Each word with the weight of the best place where it stands. */
  readonly words: ReadonlyMap<string, number>;
}

/** Finds things by words. */
export interface WordSearch<Item> {
  /** Those in which words of the query stand, best first. */
  find(query: string): readonly Item[];
  /**
   * The one that a wrong name means: every word of it stands there, or in its name with a letter wrong. Undefined where
   * there is none: a name that only looks alike would lead astray.
   */
  meant(name: string): Item | undefined;
}

/**
 * Indexes things by the words of their texts. A word counts more the fewer things have it, and the better its place;
 * those come first that have most of the query's words.
 */
export function createWordSearch<Item>(entries: readonly Searched<Item>[]): WordSearch<Item> {
  const index = entries.map((entry): Indexed<Item> => ({ ...entry, words: wordsIn(entry.texts) }));
  const counts = new Map<string, number>();
  for (const { words } of index) for (const word of words.keys()) counts.set(word, (counts.get(word) ?? 0) + 1);
  const rarity = (word: string) => Math.log(1 + index.length / (counts.get(word) ?? 1));

  function score({ words }: Indexed<Item>, terms: readonly string[]): number {
    if (terms.length === 0) return 0;
    const found = terms.map((term) => best(words, term, rarity));
    const covered = found.filter((value) => value > 0).length / terms.length;
    return covered * found.reduce((sum, value) => sum + value, 0);
  }

  /** The terms with those that are mistyped words of this one's name put right; undefined where one is nowhere in it. */
  function understood({ name, words }: Indexed<Item>, terms: readonly string[]): readonly string[] | undefined {
    const ofName = [...wordsOf(name), ...wordsOf(name.replaceAll(/[-_]/g, ''))];
    const right = terms.map((term) =>
      best(words, term, rarity) > 0
        ? term
        : ofName.find((word) => word.length >= shortestMistyped - 1 && distance(word, term) === 1),
    );
    return right.every((term) => term !== undefined) ? right : undefined;
  }

  return {
    find(query) {
      const terms = [...new Set(wordsOf(query))];
      const asName = query.trim().toLowerCase().replaceAll(/[ _]/g, '-');
      const value = (entry: Indexed<Item>) =>
        entry.name.replaceAll('_', '-') === asName ? Number.MAX_VALUE : score(entry, terms);
      const scored = index
        .map((entry) => ({ entry, value: value(entry) }))
        .sort((a, b) => b.value - a.value || (a.entry.name < b.entry.name ? -1 : 1));
      const least = (scored[0]?.value ?? 0) * leastShare;
      return scored.filter(({ value: worth }) => worth > 0 && worth >= least).map(({ entry }) => entry.item);
    },
    meant(name) {
      const terms = [...new Set(wordsOf(name.slice(0, 200)))];
      const written = partsOf(name).join('');
      const same = index.find((entry) => {
        const right = partsOf(entry.name).join('');
        return right === written || (right.length > shortestMistyped && distance(right, written) === 1);
      });
      if (same !== undefined || terms.length === 0) return same?.item;
      // Of words that say nothing elsewhere, those that stand in a name tell names apart.
      const parts = new Set(partsOf(name));
      const alike = (entry: Indexed<Item>) => partsOf(entry.name).filter((part) => parts.has(part)).length;
      const scored = index.flatMap((entry) => {
        const right = understood(entry, terms);
        return right === undefined ? [] : [{ entry, value: score(entry, right) + alike(entry) }];
      });
      return scored.sort((a, b) => b.value - a.value || (a.entry.name < b.entry.name ? -1 : 1))[0]?.entry.item;
    },
  };
}

/** The worth of the word that answers a term best: the same, or one that begins with it or the other way. */
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

function partsOf(name: string): string[] {
  return name
    .slice(0, 200)
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((part) => part !== '');
}

function wordsIn(texts: readonly WeightedText[]): Map<string, number> {
  const words = new Map<string, number>();
  for (const [text, weight] of texts) {
    for (const word of wordsOf(text)) words.set(word, Math.max(weight, words.get(word) ?? 0));
  }
  return words;
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
