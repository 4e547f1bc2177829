import { ServiceError } from '../errors.ts';

/** What a password's hash costs, and thereby each guess of it. */
export interface HashCost {
  /** Memory, KiB. */
  readonly memoryCost: number;
  /** Passes over it. */
  readonly timeCost: number;
  readonly parallelism: number;
}

/** Argon2id with 46 MiB, 1 pass and 1 thread: the first of OWASP's equally strong choices (Password Storage Cheat Sheet). */
export const hashCost: HashCost = { memoryCost: 47_104, timeCost: 1, parallelism: 1 };

/** Longer ones are cut by nobody: they are refused. */
const longest = 500;

/** Loaded when somebody signs in: where the platform has no build of it, everything else still works. */
const load = () => import('@node-rs/argon2');

/** Argon2id is the library's default kind, with a random salt of 16 bytes. */
export async function hashPassword(password: string, cost: HashCost): Promise<string> {
  return (await load()).hash(normal(password), { ...cost });
}

export async function isPassword(hash: string, password: string): Promise<boolean> {
  if (password.length > longest) return false;
  return (await load()).verify(hash, normal(password));
}

/** A hash that no password has, and that costs what a real one does: who isn't there takes as long as who is. */
export function nobodysHash({ memoryCost, timeCost, parallelism }: HashCost): string {
  const zeros = (bytes: number) => Buffer.alloc(bytes).toString('base64').replace(/=+$/, '');
  return `$argon2id$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}$${zeros(16)}$${zeros(32)}`;
}

/** The same letters typed on another keyboard may come as other code points (NIST SP 800-63B). */
function normal(password: string): string {
  return password.normalize('NFKC');
}

export const shortestPassword = 12;

/** The words of the most common long passwords; one that is made of them, of digits and of marks alone is guessed first. */
const common =
  /password|passw0rd|p4ssw0rd|proxmox|administrator|admin|root|secret|changeme|letmein|welcome|iloveyou|trustno|qwertz?u?i?o?p?|asdfghjkl?|zxcvbnm?|azerty|login|master|dragon|monkey|football|baseball|sunshine|princess|superman|correct|horse|battery|staple|homelab|server|default|test|user|guest|hello|world|temporal|claude/g;

/** What stands in rows: on keyboards, in the alphabet, in numbers. */
const rows = [
  'abcdefghijklmnopqrstuvwxyz',
  '0123456789',
  'qwertyuiopasdfghjklzxcvbnm',
  'qwertzuiopasdfghjklyxcvbnm',
  '1qaz2wsx3edc4rfv5tgb6yhn7ujm',
  'qazwsxedcrfvtgbyhnujm',
  '1q2w3e4r5t6y7u8i9o0p',
  'q1w2e3r4t5y6u7i8o9p0',
  'a1b2c3d4e5f6g7h8',
].flatMap((row) => [row, [...row].reverse().join('')]);

/** Throws `invalid-input` for a password that guessers try early; length is what counts, so no marks or digits are asked for. */
export function checkPassword(password: string, name: string): void {
  const why = weakness(password, name);
  if (why === undefined) return;
  throw new ServiceError({
    code: 'invalid-input',
    message: `This password can't be used: ${why}`,
    remedy: `Take at least ${shortestPassword} characters that nobody guesses, best four or more words that don't belong together.`,
  });
}

function weakness(password: string, name: string): string | undefined {
  if ([...password].length < shortestPassword) return `it has fewer than ${shortestPassword} characters`;
  if (password.length > longest) return `it has more than ${longest} characters`;
  if (/\p{Cc}/u.test(password)) return 'it holds a control character';
  const plain = password.normalize('NFKC').toLowerCase();
  const letters = plain.replace(/[^\p{L}\p{N}]/gu, '');
  if (new Set(plain).size < 5) return 'it has fewer than five different characters';
  if (/^(.{1,8})\1+$/u.test(plain)) return 'it is one short text, repeated';
  const withoutName = letters.replaceAll(name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, ''), '');
  if (withoutName !== letters && withoutName.replace(/\p{N}/gu, '').length < 6) return 'it is made of your name';
  if (rows.some((row) => `${row}${row}`.includes(letters))) return 'its characters stand in a row';
  const isCommon = (text: string) => text.replace(common, '').replace(/[^\p{L}]/gu, '').length < 4;
  if (isCommon(letters) || isCommon(withoutDisguise(plain))) return 'it is one of the most common ones';
  return undefined;
}

/** `P@ssw0rd` as the word that it is. What stands at the end are digits and marks all the same. */
function withoutDisguise(plain: string): string {
  const letters: Readonly<Record<string, string>> = {
    '@': 'a',
    '4': 'a',
    $: 's',
    '5': 's',
    '0': 'o',
    '1': 'i',
    '3': 'e',
  };
  return plain.replace(/[^\p{L}]+$/u, '').replace(/[@4$5013]/g, (mark) => letters[mark] ?? mark);
}
