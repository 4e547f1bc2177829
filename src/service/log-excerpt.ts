/** How many lines of an excerpt follow the one that names the error. */
const moreLines = 2;
const maxLength = 600;

/** What says where a program was, not what went wrong: frames of stacks, dumps, the source line above an error. */
const noise = [
  /^\s+at /, // Node.js
  /^\s*\^+\s*$/,
  /^(file:\/\/)?\/.*:\d+$/,
  /^\s+(throw|return|await) /,
  /^Node\.js v\d/,
  /^\s*[{}\])]+[,;]?$/,
  /^goroutine \d/, // Go
  /^\s+\/.*:\d+( \+0x[0-9a-f]+)?$/,
  /^created by /,
  /^[\w./*()[\]{}…-]+\((0x|\{|\.\.\.|\)).*$/,
  /^(rax|rbx|rcx|rdx|rdi|rsi|rbp|rsp|r\d+|rip|rflags|cs|fs|gs|x\d+|pc|lr|sp)\s+0x/,
  /^exit status \d/,
  /^\s*\d+: 0x[0-9a-f]+/, // V8
  /^-+ (JS|Native) stack/,
  /^#\s*$/,
];

/** Where an error begins; a name with a capital letter keeps words like `error: 0` of a table out. */
const head =
  /^(panic: |fatal error: |FATAL|# Fatal error|Uncaught |(Error|error|[A-Z]\w*(Error|Exception|Failure))( \[\w+\])?: |\[(error|fatal)\])|\blevel=(ERROR|FATAL|error|fatal)\b/;
/** These end a program, and nothing that follows them explains more. */
const last = /^(panic: |fatal error: |FATAL ERROR|# Fatal error)/;

/**
 * The lines of a dead program's log that say why: the error's own words, not the end of its stack; without an error, the
 * last three lines. At most 600 characters, joined by bars.
 */
export function logExcerpt(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours of a terminal.
  const lines = text.replace(/\u001b\[[0-9;]*m/g, '').split('\n');
  const said = lines.map(ofJson).filter((line) => line.trim() !== '' && !noise.some((form) => form.test(line)));
  const fatal = said.findIndex((line) => last.test(line));
  const start = fatal >= 0 ? fatal : said.findLastIndex((line) => head.test(line));
  const chosen = start >= 0 ? said.slice(start, start + 1 + moreLines) : said.slice(-1 - moreLines);
  return chosen
    .map((line) => line.trim())
    .join(' | ')
    .slice(0, maxLength);
}

/** A line of our own logger as a person would write it; an error begins like one. */
function ofJson(line: string): string {
  if (!line.startsWith('{"')) return line;
  try {
    const { level, msg = '', err, error } = JSON.parse(line) as Readonly<Record<string, unknown>>;
    const cause = messageOf(err) ?? messageOf(error);
    const text = cause === undefined ? String(msg) : `${msg} (${cause})`;
    return level === 'error' || level === 'fatal' ? `[${level}] ${text}` : text;
  } catch {
    return line;
  }
}

function messageOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : undefined;
}
