import { ServiceError } from '../errors.ts';

/** Runs work when it is its turn. */
export type Turns = <Result>(work: () => Promise<Result>) => Promise<Result>;

/** At most `atOnce` at a time, the others in order; throws `rate-limited` when `mostWaiting` wait already. */
export function createTurns(atOnce: number, mostWaiting: number): Turns {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running >= atOnce) {
      if (waiting.length >= mostWaiting) throw tooMany();
      // Who ends hands their turn over, so that nobody who comes meanwhile gets in between.
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else running += 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}

function tooMany(): ServiceError {
  return new ServiceError({
    code: 'rate-limited',
    message: 'Too many sign in at once',
    remedy: 'Try again in a minute.',
    retryable: true,
  });
}
