/**
 * What a person looks for, in the language of SQLite's index of words: every word has to be there, in any order, as it is
 * written; `ngin*` is what begins so. Undefined: there is no word in it.
 */
export function matchOf(text: string): string | undefined {
  const words = text.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word));
  if (words.length === 0) return undefined;
  return words
    .map((word) => {
      const begins = word.length > 1 && word.endsWith('*');
      return `"${(begins ? word.slice(0, -1) : word).replaceAll('"', '""')}"${begins ? '*' : ''}`;
    })
    .join(' AND ');
}
