import type { Finding } from '../operations/finding.ts';
import type { Report } from '../operations/report.ts';
import type { RunReference } from './run-reference.ts';

/**
 * What to do about a finding: its own remedy; and of what failed or could not be looked at without one, where to look.
 * No red line is left without.
 */
export function remedyOf(
  { verdict, remedy }: Finding,
  { target }: Pick<Report, 'target'>,
  run?: Pick<RunReference, 'id'>,
): string | undefined {
  if (remedy !== undefined && remedy !== '') return remedy;
  if (verdict !== 'failed' && verdict !== 'unknown') return undefined;
  const log = run === undefined ? "the run's log" : `npx proxmox-mcp runs log ${run.id}`;
  if (verdict === 'unknown') return `See why it could not be determined: ${log}`;
  const where = target === '' || target === 'service' ? '' : ` on ${target}`;
  return `Look at it${where}, and at what the run did: ${log}`;
}
