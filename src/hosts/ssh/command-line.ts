import { checkArgv } from '../execution/argv.ts';
import type { Argv } from '../execution/executor.ts';

/**
 * The one place where arguments become a line for a remote login shell (SSH carries a line, not a vector). Every
 * argument is single-quoted, in which POSIX shells know no special character but the quote itself. `exec` saves the
 * shell a fork, and makes the process that sshd knows, and signals, the program itself.
 *
 * @param label - Put into the program's environment (letters, digits and `_` only) so that it can be found again; see
 * `endCommand`.
 */
export function toCommandLine(argv: Argv, label?: { readonly name: string; readonly value: string }): string {
  checkArgv(argv);
  const line = `exec ${argv.map(quote).join(' ')}`;
  if (label === undefined) return line;
  if (!/^[A-Z_]+$/.test(label.name) || !/^[A-Za-z0-9_]+$/.test(label.value)) throw new TypeError('not a safe label');
  return `${label.name}=${label.value} ${line}`;
}

function quote(argument: string): string {
  return `'${argument.replaceAll("'", `'\\''`)}'`;
}
