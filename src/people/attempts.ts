import { createHmac, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { ServiceError } from '../errors.ts';
import { createPrivateJson } from '../private-json.ts';

/** How many wrong sign-ins in a row cost nothing but themselves. */
const free = 5;
const firstLockMs = 60_000;
const longestLockMs = 3_600_000;

/** After a day without a wrong one they count from the start. Slower than the longest lock, so that waiting gains nothing. */
const forgottenMs = 24 * 3_600_000;

/** How many names are kept of which nobody is: guessed names must not fill the disk. */
const mostUnknown = 500;

const content = z.object({
  version: z.literal(1),
  /** Base64. What is typed as a name may be a password: only its keyed hash is kept. */
  salt: z.string(),
  attempts: z.record(z.string(), z.object({ wrong: z.int().min(1), at: z.int(), lockedUntil: z.int().optional() })),
});
type Content = z.infer<typeof content>;

/**
 * Wrong sign-ins, in a file of mode 0600 that all processes share: whoever guesses at the command line has used up what
 * they had on the page, and a restart gives nothing back.
 */
export interface Attempts {
  /**
   * Counts a sign-in as wrong before it is looked at, so that many at once are no more guesses than one after another.
   * Throws `rate-limited` as long as this name is locked; nothing is counted then.
   */
  begin(name: string, known: readonly string[]): Promise<void>;
  /** It was right: nothing of before counts any more. */
  succeeded(name: string): Promise<void>;
  /** Milliseconds since 1970; undefined: it isn't locked now. */
  lockedUntil(name: string): number | undefined;
}

export function createAttempts(path: string, now: () => number): Attempts {
  const file = createPrivateJson<Content>({
    path,
    schema: content,
    empty: { version: 1, salt: '', attempts: {} },
    of: 'wrong sign-ins',
    consequence: 'nobody can sign in',
    anew: 'sign in again',
  });

  return {
    begin: (name, known) =>
      file.change((before) => {
        const salt = before.salt === '' ? randomBytes(16).toString('base64') : before.salt;
        const key = keyOf(salt, name);
        const at = now();
        const last = current(before.attempts[key], at);
        const until = lockEnd(last, at);
        if (until !== undefined) throw locked(until - at);
        const wrong = (last?.wrong ?? 0) + 1;
        const lockMs = Math.min(longestLockMs, firstLockMs * 2 ** (wrong - free));
        const attempt = { wrong, at, ...(wrong >= free && { lockedUntil: at + lockMs }) };
        const knownKeys = new Set(known.map((one) => keyOf(salt, one)));
        const others = Object.entries(before.attempts).filter(
          ([one, { at: when }]) => one !== key && at - when < forgottenMs,
        );
        const unknown = others
          .filter(([one]) => !knownKeys.has(one))
          .sort(([, a], [, b]) => b.at - a.at)
          .slice(0, mostUnknown - 1);
        const attempts = Object.fromEntries([
          ...others.filter(([one]) => knownKeys.has(one)),
          ...unknown,
          [key, attempt] as const,
        ]);
        return { content: { version: 1, salt, attempts }, result: undefined };
      }),
    succeeded: (name) =>
      file.change((before) => {
        const { [keyOf(before.salt, name)]: gone, ...attempts } = before.attempts;
        return { content: gone === undefined ? before : { ...before, attempts }, result: undefined };
      }),
    lockedUntil(name) {
      const { salt, attempts } = file.read();
      return lockEnd(attempts[keyOf(salt, name)], now());
    },
  };
}

function current(attempt: Content['attempts'][string] | undefined, at: number): typeof attempt {
  return attempt === undefined || at - attempt.at >= forgottenMs ? undefined : attempt;
}

/** A lock longer than any was set by a clock that has been put back since: it doesn't count, the wrong ones do. */
function lockEnd(attempt: Content['attempts'][string] | undefined, at: number): number | undefined {
  const until = attempt?.lockedUntil;
  return until !== undefined && until > at && until <= at + longestLockMs ? until : undefined;
}

function keyOf(salt: string, name: string): string {
  return createHmac('sha256', Buffer.from(salt, 'base64')).update(name).digest('base64url').slice(0, 22);
}

/** The same for names that are there and names that aren't. */
function locked(ms: number): ServiceError {
  const minutes = Math.ceil(ms / 60_000);
  return new ServiceError({
    code: 'rate-limited',
    message: `There were too many wrong sign-ins with this name: it is locked for ${minutes === 1 ? 'a minute' : `${minutes} minutes`}`,
    remedy: 'Wait and sign in again; others can sign in meanwhile.',
    retryable: true,
    details: { retryAfterSeconds: Math.ceil(ms / 1_000) },
  });
}
