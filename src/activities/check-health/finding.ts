import { ServiceError } from '../../errors.ts';
import type { Finding, Verdict } from '../../operations/finding.ts';
import type { FindingsSection } from '../../operations/report.ts';
import { isAboutTheApi } from '../../proxmox/reader.ts';
import { cleanText } from '../../reports/clean.ts';

/** Evidence as it travels through Temporal's history: enough to see, little enough to keep. */
const evidenceLimit = 1_500;

interface More {
  /** What to do about it, in our words. */
  readonly remedy?: string;
  /** What the host said. */
  readonly evidence?: string | undefined;
  /** The number that was judged. */
  readonly value?: number;
}

export function finding(
  check: string,
  verdict: Verdict,
  summary: string,
  { remedy, evidence = '', value }: More = {},
): Finding {
  const shown = cleanText(evidence, evidenceLimit).trim();
  return {
    check,
    verdict,
    summary,
    ...(remedy && { remedy }),
    ...(value !== undefined && { value }),
    ...(shown !== '' && { evidence: shown }),
  };
}

/**
 * The findings of one look at the host; what goes wrong with the look itself is a finding too, so that one broken check
 * doesn't hide the others. A host that can't be reached is thrown: then nothing could be checked, and it may be tried
 * again.
 */
export async function findingsOf(check: string, look: () => Promise<Finding | readonly Finding[]>): Promise<Finding[]> {
  try {
    return [await look()].flat();
  } catch (error) {
    if (!isOfTheCommand(error)) throw error;
    return [finding(check, 'unknown', `It could not be determined: ${error.message}`, { remedy: error.remedy })];
  }
}

/** Whether one command, or one call of the Proxmox API, failed, and not the way to the host. */
export function isOfTheCommand(error: unknown): error is ServiceError {
  return error instanceof ServiceError && (ofTheCommand.has(error.code) || isAboutTheApi(error));
}

const ofTheCommand: ReadonlySet<string> = new Set([
  'timeout',
  'command-failed',
  'command-refused',
  'helper-differs',
  'unexpected-answer',
  'outcome-unknown',
]);

/** Several looks at once as one section. */
export async function section(title: string, ...looks: readonly Promise<Finding[]>[]): Promise<FindingsSection> {
  return { title, findings: (await Promise.all(looks)).flat() };
}
