import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { bareEnvironment } from './built.ts';

/** A program that believes to be at a terminal, and what somebody who sits there sees and types. */
export interface AtTerminal {
  /** All that was shown so far. */
  readonly shown: () => string;
  /** Waits until this was shown, after what was waited for before, and types the line. */
  answer(question: string | RegExp, line: string): Promise<void>;
  /** The exit code. */
  readonly ended: Promise<number | null>;
}

/** Starts a command line of a shell in a pseudo-terminal of its own, by util-linux' `script`. */
export function startInTerminal(commandLine: string, env: Readonly<Record<string, string>> = {}): AtTerminal {
  const child = spawn('script', ['-qec', commandLine, '/dev/null'], {
    env: { ...bareEnvironment(), TERM: 'xterm', SHELL: '/bin/sh', ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  // Its terminal goes with it, and with that the program.
  onTestFinished(() => void child.kill());
  let [shown, from] = ['', 0];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (shown += text));
  const ended = once(child, 'close').then(([code]) => code as number | null);
  let isOver = false;
  void ended.then(() => {
    isOver = true;
  });
  return {
    shown: () => shown,
    ended,
    async answer(question, line) {
      const deadline = Date.now() + 60_000;
      for (;;) {
        const rest = shown.slice(from);
        const found = typeof question === 'string' ? rest.indexOf(question) : rest.search(question);
        if (found >= 0) {
          const text = typeof question === 'string' ? question : (question.exec(rest)?.[0] ?? '');
          from += found + text.length;
          child.stdin.write(`${line}\n`);
          return;
        }
        if (Date.now() > deadline) throw new Error(`It has not asked ${question} for a minute:\n${shown}`);
        if (isOver) throw new Error(`It ended without asking ${question}:\n${shown}`);
        await sleep(20);
      }
    },
  };
}
