import { readFileSync, statSync } from 'node:fs';

const maxBytes = 64 * 1024;

/** What a secret's file holds, or what is wrong with it: what was expected, and what to do. */
export type Read = { readonly text: string } | { readonly expected: string; readonly remedy: string };

/** A secret's file as it is now; one trailing newline is taken off. One that others may read isn't read. */
export function readSecret(path: string): Read {
  try {
    const { mode, size, uid, gid } = statSync(path);
    // Root's own file may be its group's too: so a service can read what it can't change.
    if ((mode & (uid === 0 && gid !== 0 ? 0o037 : 0o077)) !== 0) {
      const found = (mode & 0o777).toString(8).padStart(4, '0');
      return { expected: `a file with mode 0600; ${path} has ${found}`, remedy: `Run: chmod 600 ${path}` };
    }
    if (size > maxBytes)
      return { expected: `a file of at most 64 KiB; ${path} is larger`, remedy: 'Name another file.' };
    const text = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
    return text.trim() === ''
      ? { expected: `a file that holds it; ${path} is empty`, remedy: 'Write it into the file.' }
      : { text };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    const why = code === 'ENOENT' ? "isn't there" : `can't be read (${code})`;
    return { expected: `a readable file; ${path} ${why}`, remedy: `Create it with mode 0600, or name another file.` };
  }
}
