import { ServiceError } from '../../errors.ts';
import { fromFileSystem } from '../system-error.ts';

/** What a check came to; `skipped` where there is nothing to check, with the reason in `seen`. */
export type CheckState = 'ok' | 'warning' | 'failed' | 'skipped';

export interface CheckResult {
  readonly state: CheckState;
  /** What was found, in one sentence; no secrets. */
  readonly seen: string;
  /** What to do about it; absent when it is well. */
  readonly remedy?: string;
}

/** One thing that the service depends on. */
export interface Check {
  /** `pve1: SSH login`. */
  readonly name: string;
  /** What is tried, in words. */
  readonly tried: string;
  readonly run: (signal: AbortSignal) => Promise<CheckResult> | CheckResult;
}

export interface CheckOutcome extends CheckResult {
  readonly name: string;
  readonly tried: string;
  readonly durationMs: number;
}

export const ok = (seen: string): CheckResult => ({ state: 'ok', seen });
export const warning = (seen: string, remedy: string): CheckResult => ({ state: 'warning', seen, remedy });
export const failed = (seen: string, remedy: string): CheckResult => ({ state: 'failed', seen, remedy });
export const skipped = (seen: string): CheckResult => ({ state: 'skipped', seen });

/** Runs all side by side; none may take longer than the deadline, and none that throws stops another. */
export function runChecks(checks: readonly Check[], deadlineMs: number): Promise<CheckOutcome[]> {
  return Promise.all(checks.map((check) => runCheck(check, deadlineMs)));
}

async function runCheck({ name, tried, run }: Check, deadlineMs: number): Promise<CheckOutcome> {
  const started = performance.now();
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<CheckResult>((resolve) => {
    timer = setTimeout(() => {
      controller.abort();
      const remedy = 'See whether a firewall drops the packets, or give --timeout more seconds.';
      resolve(failed(`no answer within ${deadlineMs / 1_000} s`, remedy));
    }, deadlineMs);
  });
  const answer = (async () => run(controller.signal))().catch(resultOf);
  const result = await Promise.race([answer, late]);
  clearTimeout(timer);
  return { name, tried, ...result, durationMs: Math.round(performance.now() - started) };
}

function resultOf(error: unknown): CheckResult {
  const known = error instanceof ServiceError ? error : fromFileSystem(error);
  if (known !== undefined) return failed(known.message, known.remedy);
  const text = error instanceof Error ? error.message : String(error);
  return failed(text, 'Run it again with --debug, and report it if it stays.');
}

/** A check's outcome as lines for a person. */
export function describeOutcome({ name, tried, state, seen, remedy }: CheckOutcome): string {
  const mark = { ok: 'ok      ', warning: 'WARNING ', failed: 'FAILED  ', skipped: 'skipped ' }[state];
  const lines = [`${mark} ${name}: ${seen}`];
  if (state === 'failed' || state === 'warning') lines.push(`           tried: ${tried}`);
  if (remedy !== undefined) lines.push(`           to do: ${remedy}`);
  return lines.join('\n');
}
