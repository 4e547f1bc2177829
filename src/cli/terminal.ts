import { createInterface } from 'node:readline';
import { createInterface as createAsking } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { asCalledHere } from '../command-name.ts';
import { ServiceError } from '../errors.ts';
import { cleanText } from '../reports/clean.ts';
import { escapeHiddenInJson } from '../reports/hidden.ts';
import { Secret } from '../secret.ts';

const longest = 200_000;

/** Results: standard output. Escape sequences that a host, server or argument smuggled in are shown as what they are. */
export function print(text: string): void {
  process.stdout.write(`${asCalledHere(cleanText(text, longest))}\n`);
}

/** Everything that isn't the result (progress, warnings, questions): standard error, so that results can be piped. */
export function note(text: string): void {
  process.stderr.write(`${asCalledHere(cleanText(text, longest))}\n`);
}

/** The same value to a program, and nothing hidden to a person. */
export function printJson(value: unknown): void {
  process.stdout.write(`${escapeHiddenInJson(JSON.stringify(value, null, 2))}\n`);
}

/** The time zone of who reads what is printed. */
export function ownTimeZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** Asks a person; `undefined` when nobody is there to answer, nothing (`''`) when they press Ctrl-C or Ctrl-D instead. */
export async function ask(question: string): Promise<string | undefined> {
  if (!process.stdin.isTTY) return undefined;
  const reader = createAsking({ input: process.stdin, output: process.stderr });
  try {
    return (await reader.question(question)).trim();
  } catch (error) {
    if (!(error instanceof Error && error.name === 'AbortError')) throw error;
    process.stderr.write('\n');
    return '';
  } finally {
    reader.close();
  }
}

/** Asks for what must not be seen: without echo. Throws `cancelled` on Ctrl-C and Ctrl-D. */
export async function askSecret(question: string): Promise<Secret> {
  // readline draws what is typed on its output: one that shows nothing.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: process.stdin, output: nowhere, terminal: true, historySize: 0 });
  // Only now does the terminal echo nothing: who sees the question may type.
  process.stderr.write(question);
  try {
    const answer = await new Promise<string | undefined>((resolve) => {
      reader.once('line', resolve);
      reader.once('SIGINT', () => resolve(undefined));
      reader.once('close', () => resolve(undefined));
    });
    if (answer !== undefined) return new Secret(answer);
  } finally {
    reader.close();
    process.stderr.write('\n');
  }
  throw new ServiceError({
    code: 'cancelled',
    message: 'No password was typed, so nothing was changed',
    remedy: 'Run it again when you are ready.',
  });
}

/** Whether a person sees what is asked here, and can answer: not where a pipe or a file stands for either of it. */
export function isAtTerminal(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/** `yes`, `y`, in upper or lower case. */
export function isYes(answer: string | undefined): boolean {
  return /^y(es)?$/i.test(answer ?? '');
}

/** Aborted by the first Ctrl-C or SIGTERM; the second ends the process as usual. */
export function listenForInterruption(): { readonly signal: AbortSignal; readonly dispose: () => void } {
  const controller = new AbortController();
  const abort = () => {
    dispose();
    controller.abort();
  };
  const dispose = () => {
    process.off('SIGINT', abort);
    process.off('SIGTERM', abort);
  };
  process.on('SIGINT', abort);
  process.on('SIGTERM', abort);
  return { signal: controller.signal, dispose };
}
