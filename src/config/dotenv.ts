import { keys } from './keys.ts';
import { type ConfigFinding, configProblem, shown } from './problems.ts';
import type { Setting } from './setting.ts';

const assignment = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*(.*?)\s*$/;

/**
 * Reads the text of a `.env` file, with the line of each key for messages. A line holds one whole value:
 *
 * - without quotation marks, as it stands, up to a `#` after a blank, which begins a comment;
 * - in `'…'`, as it stands;
 * - in `"…"`, where `\"`, `\\`, `\n`, `\r` and `\t` stand for what they do elsewhere.
 *
 * Nothing is expanded. What other readers would cut or change in silence (Node's own among them, and none of them tells
 * lines) is a problem: text after a closing quotation mark, a `#` that may belong to the value, a variable in braces, a key written twice.
 */
export function parseDotenv(text: string, file: string): { settings: Setting[]; problems: ConfigFinding[] } {
  const settings: Setting[] = [];
  const problems: ConfigFinding[] = [];
  const first = new Map<string, { readonly source: string; readonly text: string | undefined }>();

  for (const [index, line] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const source = `${file}:${index + 1}`;
    if (/^\s*(#|$)/.test(line)) continue;
    const [, key, rest] = assignment.exec(line) ?? [];
    if (key === undefined || rest === undefined) {
      // Not shown: it may be the second line of a pasted key.
      const remedy = 'Correct or remove the line.';
      problems.push(configProblem({ key: 'this line', source, expected: 'KEY=value or # comment', remedy }));
      continue;
    }
    const earlier = first.get(key);
    const value = readValue(key, rest);
    const here = { source, text: 'text' in value ? value.text : undefined };
    if (earlier === undefined) first.set(key, here);
    else {
      const expected = `one line for it (${earlier.source} has it too)`;
      problems.push(
        configProblem({ key, source, expected, remedy: `Remove one of them${which(key, earlier, here)}.` }),
      );
    }
    if ('expected' in value) problems.push(configProblem({ key, source, ...value }));
    else if (earlier === undefined) settings.push({ key, source, text: value.text });
  }
  return { settings, problems };
}

/** What either line says, where that helps to choose and is no secret: the guide appends lines to the file. */
function which(
  key: string,
  ...lines: readonly { readonly source: string; readonly text: string | undefined }[]
): string {
  const isShown = keys[key] !== undefined && !keys[key].secret && lines.every(({ text }) => text !== undefined);
  if (!isShown) return '';
  return `: ${lines.map(({ source, text = '' }) => `${source} says ${shown(text)}`).join(', ')}`;
}

type Value = { readonly text: string } | { readonly expected: string; readonly remedy: string };

function readValue(key: string, rest: string): Value {
  const quote = rest[0];
  if (quote === '"' || quote === "'" || quote === '`') return readQuoted(key, rest, quote);
  if (/^[\u2018-\u201F\u00AB\u2039]/.test(rest)) {
    const remedy = `Replace them: ${key}="…".`;
    return { expected: 'straight quotation marks (" or \')', remedy };
  }
  const comment = /(?:^|\s)#/.exec(rest);
  const text = (comment === null ? rest : rest.slice(0, comment.index)).trimEnd();
  const after = comment === null ? undefined : rest.slice(comment.index).trimStart().slice(1);
  if (text.includes('#') || (after !== undefined && mayBelongTo(key, text, after))) {
    const remedy = `Put quotation marks around the value (${key}='…'), or a space before and after the # when a comment was meant.`;
    return { expected: 'a value whose # is quoted', remedy };
  }
  return expands(text) ?? { text };
}

/** Whether what looks like a comment may be the rest of the value. */
function mayBelongTo(key: string, text: string, comment: string): boolean {
  if (text === '') return /^[^\s#]/.test(comment);
  return keys[key]?.secret === true && (/^[^\s#]/.test(comment) || /[\s"'`]/.test(text));
}

function readQuoted(key: string, rest: string, quote: string): Value {
  const body = quote === '"' ? /^"((?:[^"\\]|\\.)*)"(.*)$/ : quote === "'" ? /^'([^']*)'(.*)$/ : /^`([^`]*)`(.*)$/;
  const [, inner, after] = body.exec(rest) ?? [];
  if (inner === undefined || after === undefined) {
    return { expected: 'a value whose quotation mark is closed', remedy: `Close the quotation mark of ${key}.` };
  }
  if (!/^(\s+#.*|\s*)$/.test(after)) {
    const remedy =
      quote === '"'
        ? `Put \\ before each quotation mark inside the value, or '…' around it when it has none of those.`
        : `Put "…" around the whole value, with \\ before each " and \\ in it.`;
    return { expected: 'nothing but a comment after the closing quotation mark', remedy };
  }
  if (quote !== '"') return { text: inner };
  if (/(?:^|[^\\])(?:\\\\)*\\[^"\\nrt]/.test(inner)) {
    const remedy = `Write \\\\ for one backslash, or put '…' around the value.`;
    return { expected: 'only \\", \\\\, \\n, \\r and \\t in double quotation marks', remedy };
  }
  return expands(inner) ?? { text: inner.replace(/\\(.)/g, (_, letter: string) => escapes[letter] ?? letter) };
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

/** A value that would be another one in a shell. */
function expands(text: string): Value | undefined {
  if (!/\$\{[A-Za-z_]|\$\([^)]*\)/.test(text)) return undefined;
  const remedy = "Write the value itself, or '…' around it when it has these characters.";
  return { expected: 'a value with no $ before a brace or parenthesis, because nothing is expanded', remedy };
}
