import { readFileSync } from 'node:fs';
import type { Argv } from './executor.ts';

/** A constant shell program in a file of ours, with what varies as its arguments. */
export type ShellScript = (...args: readonly string[]) => Argv;

export function shellScript(file: URL): ShellScript {
  const text = readFileSync(file, 'utf8');
  return (...args) => ['/bin/sh', '-c', text, 'sh', ...args];
}
