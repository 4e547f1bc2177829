import type { Archive, Backups } from './archives.ts';

/** How far ahead of the host's clock a time may be before it is one of the future, in ms: clocks are set by some seconds. */
export const clockToleranceMs = 5 * 60_000;

/**
 * The newest archive that counts, by when the host published it. One of the future doesn't: it would stay the newest
 * for as long as the clock was wrong.
 */
export function lastGood({ archives, now }: Pick<Backups, 'archives' | 'now'>): Archive | undefined {
  const latest = Date.parse(now) + clockToleranceMs;
  return archives
    .filter(({ state }) => state === 'verified')
    .filter(({ publishedAt }) => publishedAt !== undefined && Date.parse(publishedAt) <= latest)
    .sort((a, b) => (a.publishedAt ?? '').localeCompare(b.publishedAt ?? ''))
    .at(-1);
}
