import { type BackupKind, freeBackupId, kindOfBackup, takenAt } from '../operations/backup-id.ts';
import { defaultKeep, type KeptBackup, planRetention } from './plan-retention.ts';
import type { Keep } from './retention.ts';

/** What is simulated: backups of one kind, each made and good, and after each the retention as it is. */
export interface Simulated {
  readonly kind: BackupKind;
  readonly keep: Keep;
  readonly timeZone: string;
  /** When one is made, ms since 1970, in order. */
  readonly times: readonly number[];
  /** What is there before. */
  readonly before?: readonly KeptBackup[];
}

export interface SimulatedEnd {
  /** Newest first, each with what keeps it. */
  readonly left: readonly { readonly id: string; readonly time: number; readonly why: string }[];
  /** So many were made, and so many were there at once at most. */
  readonly made: number;
  readonly most: number;
  /** Why in the end nothing goes that is old enough. */
  readonly refused?: string;
}

/** What would be left after the last of those times. */
export function simulateRetention({ kind, keep, timeZone, times, before = [] }: Simulated): SimulatedEnd {
  let there = before.filter(({ id }) => kindOfBackup(id) === kind);
  let most = there.length;
  let plan: ReturnType<typeof planRetention> = { remove: [], keep: [] };
  for (const time of times) {
    const at = new Date(time).toISOString();
    const id = freeBackupId(
      kind,
      time,
      there.map((one) => one.id),
    );
    // As large as the others: nothing looks wrong with it.
    const bytes = there.at(-1)?.bytes ?? 1;
    there = [...there, { id, bytes, state: 'verified', writtenAt: at, publishedAt: at }];
    most = Math.max(most, there.length);
    const kept = { now: at, backups: there, gone: [] };
    plan = planRetention(kept, { keep: { ...defaultKeep, [kind]: keep }, timeZone, now: new Date(time) });
    there = there.filter((one) => !plan.remove.includes(one.id));
  }
  const reasons = new Map(plan.keep.map(({ id, why }) => [id, why]));
  const left = there
    .map(({ id }) => ({ id, time: takenAt(id), why: reasons.get(id) ?? 'it was there before' }))
    .sort((a, b) => b.time - a.time);
  return { left, made: times.length, most, ...(plan.refused !== undefined && { refused: plan.refused }) };
}
