import type { Archive } from '../../hosts/commands/back-up/archives.ts';
import { isBackupId, takenAt } from './name.ts';

export interface RetentionPlan {
  /** Ids, oldest first. */
  readonly remove: readonly string[];
  /** Ids with the reason, oldest first. */
  readonly keep: readonly { readonly id: string; readonly why: string }[];
}

/** The guide's. */
export const keepDays = 7;

const dayMs = 86_400_000;

/**
 * Which archives are to go. Kept are: the newest verified one and everything newer than it; what is younger than
 * `keepDays` by its name or by its file, whichever is later (clocks jump, copies change file times); what is not ours.
 * Without a verified archive nothing goes.
 */
export function planRetention(archives: readonly Archive[], now: Date, days: number = keepDays): RetentionPlan {
  const ours = archives.filter(({ id }) => isBackupId(id)).sort((a, b) => (a.id < b.id ? -1 : 1));
  const lastGood = ours.filter(({ sha256, bytes }) => sha256 !== undefined && bytes > 0).at(-1);
  const remove: string[] = [];
  const keep: { id: string; why: string }[] = [];
  for (const archive of ours) {
    const why = reasonToKeep(archive, lastGood, now, days);
    if (why === undefined) remove.push(archive.id);
    else keep.push({ id: archive.id, why });
  }
  return { remove, keep };
}

function reasonToKeep(archive: Archive, lastGood: Archive | undefined, now: Date, days: number): string | undefined {
  if (lastGood === undefined) return 'there is no verified archive yet';
  if (archive.id === lastGood.id) return 'it is the last verified archive';
  if (archive.id > lastGood.id) return 'it is newer than the last verified archive';
  const youngest = Math.max(takenAt(archive.id), Date.parse(archive.writtenAt) || 0);
  if (now.getTime() - youngest < days * dayMs) return `it is younger than ${days} days`;
  return undefined;
}
