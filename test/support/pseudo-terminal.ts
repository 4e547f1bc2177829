import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { bareEnvironment } from './built.ts';

/** A program that believes to be at a terminal, and what somebody who sits there sees and types. */
export interface AtTerminal {
  /** All that was shown so far. */
  readonly shown: () => string;
  /** Waits until this is shown, after what was waited for before, and types a line. */
  answer(question: string | RegExp, line: string): Promise<void>;
  /** Types this now. */
  type(text: string): void;
  /** The exit code. */
  readonly ended: Promise<number | null>;
}

/** How long a question may be waited for. */
const patienceMs = 60_000;

/** Starts a command line of a shell on a terminal of its own. */
export function startInTerminal(commandLine: string, env: Readonly<Record<string, string>> = {}): AtTerminal {
  // util-linux's script gives it a terminal, and takes what is typed from its own standard input.
  const child = spawn('script', ['--quiet', '--return', '--flush', '--command', commandLine, '/dev/null'], {
    env: { ...bareEnvironment(), TERM: 'xterm', SHELL: '/bin/sh', ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let [shown, from, isOver] = ['', 0, false];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (shown += text));
  const ended = once(child, 'close').then(([code]) => {
    isOver = true;
    return code as number | null;
  });
  const type = (text: string) => void child.stdin.write(text);
  return {
    shown: () => shown,
    ended,
    type,
    async answer(question, line) {
      const deadline = Date.now() + patienceMs;
      for (;;) {
        const rest = shown.slice(from);
        const at = typeof question === 'string' ? rest.indexOf(question) : rest.search(question);
        if (at >= 0) {
          from += at + (typeof question === 'string' ? question : (question.exec(rest)?.[0] ?? '')).length;
          return type(`${line}\n`);
        }
        if (isOver || Date.now() > deadline) {
          child.kill();
          throw new Error(`It has not asked ${question}:\n${shown}`);
        }
        await sleep(20);
      }
    },
  };
}

/** A command line of a shell, of its words. */
export function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
}

/**
 * Runs a program on a terminal of its own and types answers when it asks: what it shows up to a question, and the answer.
 * Answers everything that stood on the screen.
 */
export async function typeInto(
  program: string,
  args: readonly string[],
  answers: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number | null; readonly screen: string }> {
  const { ended, shown, type } = startInTerminal(quoted([program, ...args]), env);
  const left = new Map(Object.entries(answers));
  for (;;) {
    const end = await Promise.race([ended.then((code) => ({ code })), sleep(20)]);
    if (end !== undefined) return { ...end, screen: shown() };
    for (const [question, answer] of left) {
      if (!shown().includes(question)) continue;
      left.delete(question);
      // The program has to be listening, or the terminal itself would show what is typed.
      setTimeout(() => type(answer), 300);
    }
  }
}
