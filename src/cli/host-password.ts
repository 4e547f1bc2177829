import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { ServiceError } from '../errors.ts';
import { type SudoPassword, sudoPassword } from '../hosts/install/become-root.ts';
import type { Person } from '../hosts/ssh/credential.ts';
import { cleanLine } from '../reports/clean.ts';
import { Secret } from '../secret.ts';
import { ask, askSecret } from './terminal.ts';

/** Where the password of an administrator's sudo comes from: a file, that of their login, or the terminal, without echo. */
export function passwordFor(
  who: string,
  { file, ofLogin }: { readonly file?: string | undefined; readonly ofLogin?: Secret | undefined },
): SudoPassword | undefined {
  if (file !== undefined) return sudoPassword(async () => fromFile(file));
  if (ofLogin !== undefined) return sudoPassword(async () => ofLogin);
  if (!process.stdin.isTTY) return undefined;
  return sudoPassword(() => fromTerminal(`Password of sudo for ${who}: `));
}

/** Who sits at the terminal; undefined: nobody. What they type is kept by nobody here. */
export function personAtTerminal(): Person | undefined {
  if (!process.stdin.isTTY) return undefined;
  return {
    secret: (question) => fromTerminal(`${cleanLine(question, 200)} `),
    text: async (question) => (await ask(`${cleanLine(question, 200)} `)) || undefined,
  };
}

function fromFile(path: string): Secret {
  let text: string;
  let mode: number;
  try {
    const file = openSync(path, 'r');
    try {
      mode = fstatSync(file).mode & 0o777;
      text = readFileSync(file, 'utf8');
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw unusable(`${path} can't be read (${(error as NodeJS.ErrnoException).code})`, 'Name the file that holds it.');
  }
  if ((mode & 0o077) !== 0) {
    throw unusable(`others may read ${path} (mode ${mode.toString(8)})`, `Run: chmod 600 ${path}`);
  }
  return toPassword(text.replace(/\r?\n$/, ''));
}

async function fromTerminal(question: string): Promise<Secret> {
  return toPassword((await askSecret(question)).reveal());
}

/** A password that PAM accepts and that fits on one line. */
function toPassword(text: string): Secret {
  if (text !== '' && text.length <= 500 && !/[\n\r\0]/.test(text)) return new Secret(text);
  throw unusable('it is empty, of several lines, or longer than 500 characters', 'Give the password alone.');
}

function unusable(why: string, remedy: string): ServiceError {
  return new ServiceError({ code: 'invalid-input', message: `The password can't be used: ${why}`, remedy });
}
