import type { Report, Section, Verdict } from './report.ts';

const severity: Readonly<Record<Verdict, number>> = { skipped: 0, ok: 1, warning: 2, unknown: 3, failed: 4 };

/** The worst of several verdicts; `skipped` when there is none. */
export function worst(verdicts: readonly Verdict[]): Verdict {
  return verdicts.reduce<Verdict>((a, b) => (severity[b] > severity[a] ? b : a), 'skipped');
}

export function verdictsOf(sections: readonly Section[]): readonly Verdict[] {
  return sections.flatMap(({ findings }) => findings.map(({ verdict }) => verdict));
}

/** How many findings say what. */
export function countVerdicts(sections: readonly Section[]): Record<Verdict, number> {
  const counts = { ok: 0, warning: 0, failed: 0, unknown: 0, skipped: 0 };
  for (const verdict of verdictsOf(sections)) counts[verdict] += 1;
  return counts;
}

/** A report from its sections, with the overall verdict. Pure: workflows call it with their own clock's times. */
export function makeReport(
  parts: Omit<Report, 'verdict' | 'sections'> & { readonly sections: readonly Section[] },
): Report {
  return { ...parts, sections: [...parts.sections], verdict: worst(verdictsOf(parts.sections)) };
}
