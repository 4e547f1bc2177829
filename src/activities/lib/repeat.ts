import { ServiceError } from '../../errors.ts';

/**
 * Runs what may be done again at any time: that nobody knows how it ended (the connection was lost in the middle, or it
 * was slow) is only a reason to do it again, not one to stop and ask a person.
 */
export async function repeatable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ServiceError) || (error.code !== 'outcome-unknown' && error.code !== 'timeout')) throw error;
    const { code, message, details } = error;
    throw new ServiceError({
      code,
      message,
      remedy: 'It is tried again by itself, which is safe.',
      retryable: true,
      details,
      cause: error,
    });
  }
}
