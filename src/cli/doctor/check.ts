import { ServiceError } from '../../errors.ts';
import type { Finding } from '../../operations/finding.ts';
import { findingLines } from '../../reports/text.ts';
import { fromFileSystem } from '../system-error.ts';

/** What a check came to: a finding without the check's name. */
export type Result = Omit<Finding, 'check'>;

/** One thing that the service depends on. */
export interface Check {
  /** `pve1: SSH login`. */
  readonly check: string;
  /** What is tried, in words. */
  readonly tried: string;
  readonly run: (signal: AbortSignal) => Promise<Result> | Result;
}

/** What the doctor found, and how. */
export interface DoctorFinding extends Finding {
  readonly tried: string;
  readonly durationMs: number;
}

export const ok = (summary: string): Result => ({ verdict: 'ok', summary });
export const warning = (summary: string, remedy: string): Result => ({ verdict: 'warning', summary, remedy });
/** `evidence`: the words of another program, which are quoted; none where it said nothing. */
export const failed = (summary: string, remedy: string, evidence?: string): Result => ({
  verdict: 'failed',
  summary,
  remedy,
  ...(evidence && { evidence }),
});
/** There is nothing to check, for the reason in the summary. */
export const skipped = (summary: string): Result => ({ verdict: 'skipped', summary });

/** Runs all side by side; none may take longer than the deadline, and none that throws stops another. */
export function runChecks(checks: readonly Check[], deadlineMs: number): Promise<DoctorFinding[]> {
  return Promise.all(checks.map((check) => runCheck(check, deadlineMs)));
}

async function runCheck({ check, tried, run }: Check, deadlineMs: number): Promise<DoctorFinding> {
  const started = performance.now();
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Result>((resolve) => {
    timer = setTimeout(() => {
      controller.abort();
      const remedy = 'See whether a firewall drops the packets, or give --timeout more seconds.';
      resolve(failed(`no answer within ${deadlineMs / 1_000} s`, remedy));
    }, deadlineMs);
  });
  const answer = (async () => run(controller.signal))().catch(resultOf);
  const result = await Promise.race([answer, late]);
  clearTimeout(timer);
  return { check, ...result, tried, durationMs: Math.round(performance.now() - started) };
}

function resultOf(error: unknown): Result {
  const known = error instanceof ServiceError ? error : fromFileSystem(error);
  if (known !== undefined) return failed(known.message, known.remedy);
  const text = error instanceof Error ? error.message : String(error);
  return failed('the check itself failed', 'Run it again with --debug, and report it if it stays.', text);
}

/** A finding as lines for a person; where something is wrong, with what was tried. */
export function describeFinding(finding: DoctorFinding): string {
  const isWell = finding.verdict === 'ok' || finding.verdict === 'skipped';
  return findingLines(finding, isWell ? [] : [`Tried: ${finding.tried}`]).join('\n');
}
