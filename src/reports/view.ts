import type { Finding, Verdict } from '../operations/finding.ts';
import type { FindingsSection, Report, Section } from '../operations/report.ts';

/** What needs a person comes first, the worst of it before all; then what is good, then what was not looked at. */
const order: readonly Verdict[] = ['failed', 'unknown', 'warning', 'ok', 'skipped'];

/** Where a verdict stands among others: the lower, the earlier. */
export function rankOf(verdict: Verdict): number {
  return order.indexOf(verdict);
}

/** Whether a person should look at it. */
export function isProblem({ verdict }: Pick<Finding, 'verdict'>): boolean {
  return rankOf(verdict) < rankOf('ok');
}

/** A finding away from its section. */
export interface Placed {
  /** The title of its section. */
  readonly section: string;
  readonly finding: Finding;
}

/** What needs a look in a report, the worst first, else in its order. */
export function problemsOf({ sections }: Pick<Report, 'sections'>): readonly Placed[] {
  return placed(sections, isProblem).sort((a, b) => rankOf(a.finding.verdict) - rankOf(b.finding.verdict));
}

/** The parts of a report in the order in which people read them. */
export interface View {
  /** Tables that stand before all findings: whoever made the report put them first. */
  readonly lead: readonly Section[];
  readonly problems: readonly Placed[];
  /** The other tables, and what is quoted. */
  readonly contents: readonly Section[];
  /** Sections with what is good in them; one without findings is among them. */
  readonly good: readonly FindingsSection[];
  readonly skipped: readonly Placed[];
}

export function viewOf(report: Pick<Report, 'sections'>): View {
  const { sections } = report;
  const first = sections.findIndex((section) => !('rows' in section));
  const lead = first < 0 ? sections : sections.slice(0, first);
  const good = sections.flatMap((section): FindingsSection[] => {
    if (!('findings' in section)) return [];
    const findings = section.findings.filter(({ verdict }) => verdict === 'ok');
    return findings.length > 0 || section.findings.length === 0 ? [{ ...section, findings }] : [];
  });
  return {
    lead,
    problems: problemsOf(report),
    contents: sections.slice(lead.length).filter((section) => !('findings' in section)),
    good,
    skipped: placed(sections, ({ verdict }) => verdict === 'skipped'),
  };
}

function placed(sections: readonly Section[], isWanted: (finding: Finding) => boolean): Placed[] {
  return sections.flatMap((section) =>
    'findings' in section
      ? section.findings.filter(isWanted).map((finding) => ({ section: section.title, finding }))
      : [],
  );
}

/** How many names one line holds. */
const mostNames = 8;

/** The names of some checks, for one line. */
export function namesOf(findings: readonly Finding[]): string {
  const names = [...new Set(findings.map(({ check }) => check))];
  const more = names.length - mostNames;
  return more > 0 ? `${names.slice(0, mostNames).join(', ')} and ${more} more` : names.join(', ');
}
