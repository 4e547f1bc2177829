import { parseEnv } from 'node:util';
import { type ConfigFinding, configProblem } from './problems.ts';
import type { Setting } from './setting.ts';

const assignment = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*(.*)$/;

/**
 * Reads the text of a `.env` file. Values are Node's own reading of them (`util.parseEnv`); around it, each key gets
 * its line for messages, and what Node passes over in silence is a problem: lines that are no assignment, a quote that
 * never closes, a key written twice, a `#` that would cut a value short.
 */
export function parseDotenv(text: string, file: string): { settings: Setting[]; problems: ConfigFinding[] } {
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  const settings = new Map<string, Setting>();
  const problems: ConfigFinding[] = [];

  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] ?? '';
    const source = `${file}:${index + 1}`;
    if (/^\s*(#|$)/.test(line)) continue;
    const [, key, rest] = assignment.exec(line) ?? [];
    if (key === undefined || rest === undefined) {
      // Not shown: it may be the second line of a pasted key.
      problems.push(
        configProblem({
          key: 'this line',
          source,
          expected: 'KEY=value or # comment',
          remedy: 'Correct or remove the line.',
        }),
      );
      continue;
    }
    const last = lastLineOf(lines, index, rest);
    if (last === undefined) {
      const remedy = `Close the quotation mark of ${key}.`;
      problems.push(configProblem({ key, source, expected: 'a value whose quotation mark is closed', remedy }));
      continue;
    }
    const statement = lines.slice(index, last + 1).join('\n');
    index = last;

    if (/^[^\s"'`#][^#]*[^\s#]#/.test(rest) || /^[^\s"'`#]#/.test(rest)) {
      const remedy = `Put quotation marks around the value (${key}="…"), or a space before the # when a comment was meant.`;
      problems.push(configProblem({ key, source, expected: 'a value whose # is quoted', remedy }));
      continue;
    }
    const earlier = settings.get(key);
    if (earlier !== undefined) {
      const expected = `one line for it (${earlier.source} has it too)`;
      problems.push(configProblem({ key, source, expected, remedy: 'Remove one of them.' }));
      continue;
    }
    settings.set(key, { key, source, text: parseEnv(statement)[key] ?? '' });
  }
  return { settings: [...settings.values()], problems };
}

/** Where the statement that begins on line `first` ends: a quoted value may have several lines. */
function lastLineOf(lines: readonly string[], first: number, value: string): number | undefined {
  const quote = /^["'`]/.exec(value)?.[0];
  if (quote === undefined || value.indexOf(quote, 1) !== -1) return first;
  for (let index = first + 1; index < lines.length; index += 1) {
    if (lines[index]?.includes(quote)) return index;
  }
  return undefined;
}
