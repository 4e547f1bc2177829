import { z } from 'zod';
import type { RunSummary, Runs } from '../runs/runs.ts';

/** What a done back-up left, by its own account. */
export interface Backup {
  readonly run: RunSummary;
  readonly archive?: {
    readonly path: string;
    readonly bytes: number;
    /** Read back, and holding no less than the last good one. */
    readonly counts: boolean;
  };
}

/** What of a back-up's output is shown; what else there is doesn't matter. */
const output = z.object({
  archive: z.object({ path: z.string(), bytes: z.number(), counts: z.boolean().default(true) }).optional(),
});

/** How many results are kept: a run that is done says the same for ever. */
const kept = 500;

/** Reads results of done back-ups, each once. */
export function createBackups(runs: Runs): (run: RunSummary) => Promise<Backup> {
  const known = new Map<string, Backup>();
  return async (run) => {
    const before = known.get(run.id);
    if (before !== undefined) return before;
    const { result } = await runs.get(run.id);
    const { archive } = output.safeParse(result?.output).data ?? {};
    const backup = { run, ...(archive === undefined ? {} : { archive }) };
    const [oldest] = known.keys();
    if (known.size >= kept && oldest !== undefined) known.delete(oldest);
    known.set(run.id, backup);
    return backup;
  };
}
