import { kindOfBackup } from '../../../operations/backup-id.ts';
import type { Archive, Backups } from './archives.ts';

/** How far ahead of the host's clock a time may be before it is one of the future, in ms: clocks are set by some seconds. */
export const clockToleranceMs = 5 * 60_000;

/**
 * The newest archive that counts, by when the host published it. One of the future doesn't: it would stay the newest
 * for as long as the clock was wrong. Nor does a monthly one, which is configuration alone.
 */
export function lastGood({ archives, now }: Pick<Backups, 'archives' | 'now'>): Archive | undefined {
  const latest = Date.parse(now) + clockToleranceMs;
  return archives
    .filter(({ id, state }) => state === 'verified' && kindOfBackup(id) !== 'monthly')
    .filter(({ publishedAt }) => publishedAt !== undefined && Date.parse(publishedAt) <= latest)
    .sort((a, b) => (a.publishedAt ?? '').localeCompare(b.publishedAt ?? ''))
    .at(-1);
}
