import { ServiceError } from '../errors.ts';

/** What a question gives, for so long; what fails is asked again. */
export function keptByKey<T>(ms: number, find: (key: string) => Promise<T>) {
  const known = new Map<string, { readonly at: number; readonly value: Promise<T> }>();
  const get = (key: string): Promise<T> => {
    const before = known.get(key);
    if (before !== undefined && Date.now() - before.at <= ms) return before.value;
    const value = find(key);
    known.set(key, { at: Date.now(), value });
    value.catch(() => known.delete(key));
    return value;
  };
  return Object.assign(get, { forget: () => known.clear() });
}

/** The promise's value, or `timeout` after so long; what comes later is nobody's. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const error = new ServiceError({
      code: 'timeout',
      message: `It could not be read within ${ms / 1_000} s`,
      remedy: 'Look again in a moment.',
      retryable: true,
    });
    timer = setTimeout(() => reject(error), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
