import { explain, ServiceError } from '../../errors.ts';
import type { Finding, Verdict } from '../../operations/finding.ts';
import type { FindingsSection } from '../../operations/report.ts';
import { cleanText } from '../../reports/clean.ts';

/** Evidence as it travels through Temporal's history: enough to see, little enough to keep. */
const evidenceLimit = 1_500;

export function finding(check: string, verdict: Verdict, summary: string, evidence?: string): Finding {
  const shown = evidence === undefined ? '' : cleanText(evidence, evidenceLimit).trim();
  return shown === '' ? { check, verdict, summary } : { check, verdict, summary, evidence: shown };
}

/**
 * Findings of one look at the host; what goes wrong with the look itself is a finding too, so that one broken check
 * doesn't hide the others. A host that can't be reached is thrown: then nothing could be checked, and it may be tried
 * again.
 */
export async function look(check: string, doIt: () => Promise<Finding | Finding[]>): Promise<Finding[]> {
  try {
    return [await doIt()].flat();
  } catch (error) {
    if (!(error instanceof ServiceError) || !ofTheCommand.has(error.code)) throw error;
    return [finding(check, 'unknown', `It could not be determined: ${explain(error)}`)];
  }
}
const ofTheCommand: ReadonlySet<string> = new Set([
  'timeout',
  'command-failed',
  'command-refused',
  'unexpected-answer',
  'outcome-unknown',
]);

/** Several looks at once as one section. */
export async function section(title: string, ...looks: readonly Promise<Finding[]>[]): Promise<FindingsSection> {
  return { title, findings: (await Promise.all(looks)).flat() };
}

/** What a command said that isn't what it says when it works. */
export function unexpected(what: string, said: string): ServiceError {
  return new ServiceError({
    code: 'unexpected-answer',
    message: `${what} answered what isn't understood: ${cleanText(said, 200).replace(/\s+/g, ' ').trim() || 'nothing'}`,
    remedy: 'Run it on the host and look; report it if the host is in order.',
  });
}
