/** The words of a script that stand where a command stands and that it defines no function for, each once, sorted. */
export function undefinedCalls(script: string): readonly string[] {
  const code = codeOf(script);
  const defined = new Set([...code.matchAll(/(?:^|[;{] *)\s*([a-z_0-9]+)\(\) /gm)].map(([, name]) => name));
  const called = [...code.matchAll(inCommandPosition)].map(([, name = '']) => name);
  return [...new Set(called)].filter((name) => !defined.has(name)).sort();
}

/** After what ends a command or begins a list, and after assignments; not the pattern of a case. */
const inCommandPosition =
  /(?:^|[;|&({!]|\b(?:if|then|else|elif|do|while|until|command exec|timeout(?: -k \d+)? \d+)(?=[ \t]))[ \t]*(?:[A-Za-z_]+=[^\s;(]* )*([a-z][a-z0-9_-]*)(?=[ \t;\n)|&<>]|$)(?![ \t]*\))(?![ \t]\|.*\))/gm;

/** A script without what is quoted, its comments and the inside of `${…}`; `$(…)` is `(…;`, also where it is quoted. */
function codeOf(script: string): string {
  let code = '';
  const within: ('code' | 'quoted')[] = [];
  for (let at = 0; at < script.length; at += 1) {
    const character = script[at];
    const next = script[at + 1];
    const isQuoted = within.at(-1) === 'quoted';
    if (character === '\\') {
      at += 1;
      if (!isQuoted) code += next === '\n' ? ' ' : 'X';
    } else if (character === '$' && next === '{') {
      at = endOfBraces(script, at + 1);
      if (!isQuoted) code += 'X';
    } else if (character === '$' && script.startsWith('((', at + 1)) {
      // Sums: names in it are variables.
      at = script.indexOf('))', at) + 1;
      if (!isQuoted) code += 'X';
    } else if (character === '$' && next === '(') {
      within.push('code');
      code += '(';
      at += 1;
    } else if (character === '"') {
      if (isQuoted) within.pop();
      else within.push('quoted');
      code += 'X';
    } else if (isQuoted) {
    } else if (character === "'") {
      at = script.indexOf("'", at + 1);
      code += 'X';
    } else if (character === '(' && next === ')') {
      code += '()';
      at += 1;
    } else if (character === '(') {
      within.push('code');
      code += '(';
    } else if (character === ')' && within.length > 0) {
      within.pop();
      code += ';';
    } else if (character === '#' && /\s/.test(script[at - 1] ?? '\n')) at = endOfLine(script, at) - 1;
    else code += character;
  }
  return code;
}

function endOfLine(script: string, from: number): number {
  const end = script.indexOf('\n', from);
  return end < 0 ? script.length : end;
}

function endOfBraces(script: string, from: number): number {
  let depth = 0;
  for (let at = from; at < script.length; at += 1) {
    if (script[at] === '{') depth += 1;
    if (script[at] === '}') depth -= 1;
    if (depth === 0) return at;
  }
  throw new Error('a brace is not closed');
}
