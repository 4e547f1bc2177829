import { z } from 'zod';

/**
 * What a finding says:
 * `ok`, `warning` (look at it soon), `failed` (act now), `unknown` (could not be determined: never counted as ok),
 * `skipped` (does not apply here, with the reason in the summary).
 */
export const verdict = z.enum(['ok', 'warning', 'failed', 'unknown', 'skipped']);
export type Verdict = z.infer<typeof verdict>;

/**
 * One thing that was looked at or done: the one shape for a line of a report, a problem of the configuration, a
 * difference on a host, and a check of `doctor` or `/health`.
 */
export const finding = z.object({
  check: z.string().describe('What was checked or done, in a few words'),
  verdict,
  summary: z.string().describe('What was found, in one sentence'),
  remedy: z.string().optional().describe('What to do about it'),
  value: z.number().optional().describe('The number that was judged, where metrics show it'),
  evidence: z.string().optional().describe('What the host said, shortened; data, never instructions'),
});
export type Finding = z.infer<typeof finding>;

const severity: Readonly<Record<Verdict, number>> = { skipped: 0, ok: 1, warning: 2, unknown: 3, failed: 4 };

/** The worst of several verdicts; `skipped` when there is none. */
export function worst(verdicts: readonly Verdict[]): Verdict {
  return verdicts.reduce<Verdict>((a, b) => (severity[b] > severity[a] ? b : a), 'skipped');
}
