import { spawn } from 'node:child_process';

/**
 * Runs a program on a terminal of its own and types answers when it asks: what it shows up to a question, and the answer.
 * Answers everything that stood on the screen.
 */
export function typeInto(
  program: string,
  args: readonly string[],
  answers: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number | null; readonly screen: string }> {
  const { PATH = '', HOME = '' } = process.env;
  const line = [program, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  // util-linux's script gives it a terminal, and takes what is typed from its own standard input.
  const child = spawn('script', ['--quiet', '--return', '--flush', '--command', line, '/dev/null'], {
    env: { PATH, HOME, TERM: 'xterm', ...env },
  });
  const left = new Map(Object.entries(answers));
  let screen = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text;
    for (const [question, answer] of left) {
      if (!screen.includes(question)) continue;
      left.delete(question);
      // The program has to be listening, or the terminal itself would show what is typed.
      setTimeout(() => child.stdin.write(answer), 300);
    }
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, screen }));
  });
}
