import type { Finding, Verdict } from '../operations/finding.ts';
import type { Report, Section } from '../operations/report.ts';
import { boundMarks, showHidden } from './hidden.ts';
import { isProblem, rankOf } from './view.ts';

/** How much of a report is shown. Gmail cuts mails at 102 KB, and a model's context isn't free either. */
const limits = {
  title: 200,
  check: 120,
  summary: 600,
  evidence: 800,
  evidenceLines: 12,
  sections: 40,
  /** Evidence of all findings together, in characters; that of the worst wins. */
  allEvidence: 16_000,
  /** Of all sections together. */
  findings: 200,
  /** Quoted text of all sections together, in characters; its end is what counts, because logs grow there. */
  quoted: 24_000,
  /** Of all tables together. */
  rows: 200,
  columns: 12,
  column: 40,
  cell: 200,
  /** Cells of all tables together, in characters; each counts for {@link cellCost} more, for what is around it in HTML. */
  cells: 24_000,
} as const;

const cellCost = 20;

/** Anything but printable ASCII and line ends: most texts have none of it and are left alone. */
const unusual = /[^\x20-\x7e\n]/;

/** One line of printable ASCII with single blanks: nearly every name and state, of which a long list has thousands. */
const tidy = /^[!-~]+(?: [!-~]+)*$/;

/** Text of a host or caller as people may see it: {@link showHidden}, no piled marks, at most `max` characters. */
export function cleanText(text: string, max = Number.POSITIVE_INFINITY): string {
  return bounded((unusual.test(text) ? plain(text) : text).trimEnd(), max);
}

/** {@link cleanText} on one line. */
export function cleanLine(text: string, max: number): string {
  if (text.length <= max && tidy.test(text)) return text;
  return bounded(cleanText(text).replace(/\s+/g, ' ').trim(), max);
}

function plain(text: string): string {
  return boundMarks(showHidden(text.replace(/\r\n?/g, '\n')));
}

function bounded(clean: string, max: number): string {
  if (clean.length <= max) return clean;
  // Not in the middle of a character or of an emoji that is joined of several.
  const kept = clean.slice(0, max).replace(/[\ud800-\udbff\u200d]$/, '');
  return `${kept.trimEnd()} … (${clean.length - max} more characters)`;
}

/**
 * A report that is safe to show: what hosts said is cleaned and bounded. Verdicts stay as they are, and what needs a look
 * is kept before what is good.
 */
export function cleanReport(report: Report): Report {
  const left = {
    quoted: limits.quoted as number,
    rows: limits.rows as number,
    cells: limits.cells as number,
  };
  const { kept, hidden } = mostUrgent(report.sections);
  const findings = cleanFindings(kept);
  const sections = kept.map((section, at): Section => {
    const title = cleanLine(section.title, limits.check);
    if ('quoted' in section) return { title, quoted: cleanQuoted(section.quoted, left) };
    if ('rows' in section) return { title, ...cleanTable(section, left) };
    return { title, findings: findings[at] ?? [], ...(section.unfolded && { unfolded: true }) };
  });
  const more = (): Section => ({
    title: 'More',
    findings: [notShown(hidden.length, 'sections', hidden.flatMap(verdictsIn))],
  });
  return {
    ...report,
    title: cleanLine(report.title, limits.title),
    target: cleanLine(report.target, limits.check),
    summary: cleanLine(report.summary, limits.summary),
    sections: hidden.length === 0 ? sections : [...sections, more()],
  };
}

/** What may still be shown; each part that is shown takes from it. */
type Left = Record<'quoted' | 'rows' | 'cells', number>;

/** As many sections as are shown, those with what is worst; each part in its order. */
function mostUrgent(sections: readonly Section[]): Record<'kept' | 'hidden', readonly Section[]> {
  const rank = (section: Section) => Math.min(rankOf('ok'), ...verdictsIn(section).map(rankOf));
  const places = sections.map((section, at) => ({ at, rank: rank(section) })).sort((a, b) => a.rank - b.rank);
  const shown = new Set(places.slice(0, limits.sections).map(({ at }) => at));
  return {
    kept: sections.filter((_, at) => shown.has(at)),
    hidden: sections.filter((_, at) => !shown.has(at)),
  };
}

function verdictsIn(section: Section): readonly Verdict[] {
  return 'findings' in section ? section.findings.map(({ verdict }) => verdict) : [];
}

/** The findings of each section. What is worst is the first to be kept, and to keep its evidence. */
function cleanFindings(sections: readonly Section[]): Finding[][] {
  const every = sections.map((section) => ('findings' in section ? section.findings : []));
  const places = every
    .flatMap((findings, of) => findings.map((finding, at) => ({ of, at, finding })))
    .sort((a, b) => rankOf(a.finding.verdict) - rankOf(b.finding.verdict))
    .slice(0, limits.findings);
  const clean = every.map((): (Finding | undefined)[] => []);
  let evidence: number = limits.allEvidence;
  for (const { of, at, finding } of places) {
    const shown = cleanFinding(finding, evidence);
    evidence = Math.max(0, evidence - (shown.evidence?.length ?? 0));
    const findings = clean[of];
    if (findings !== undefined) findings[at] = shown;
  }
  return clean.map((findings, of) => {
    const shown = findings.filter((finding) => finding !== undefined);
    const hidden = (every[of] ?? []).filter((_, at) => findings[at] === undefined);
    if (hidden.length === 0) return shown;
    return [
      ...shown,
      notShown(
        hidden.length,
        'lines',
        hidden.map(({ verdict }) => verdict),
      ),
    ];
  });
}

function cleanFinding({ check, verdict, summary, remedy, evidence }: Finding, room: number): Finding {
  const shown = evidence === undefined || room === 0 ? '' : cleanEvidence(evidence, room);
  return {
    check: cleanLine(check, limits.check),
    verdict,
    summary: cleanLine(summary, limits.summary),
    ...(remedy === undefined ? {} : { remedy: cleanLine(remedy, limits.summary) }),
    ...(shown === '' ? {} : { evidence: shown }),
  };
}

function cleanEvidence(text: string, budget: number): string {
  const lines = cleanText(text, Math.min(limits.evidence, budget)).split('\n');
  if (lines.length <= limits.evidenceLines) return lines.join('\n');
  return [...lines.slice(0, limits.evidenceLines), `… (${lines.length - limits.evidenceLines} more lines)`].join('\n');
}

function cleanQuoted(text: string, left: Left): string {
  const clean = cleanText(text);
  const kept = clean.slice(Math.max(0, clean.length - left.quoted)).replace(/^[\udc00-\udfff\p{M}\u200d]+/u, '');
  left.quoted -= kept.length;
  return kept.length === clean.length ? clean : `(${clean.length - kept.length} characters before)\n${kept}`.trimEnd();
}

/** A last row of one cell says how many are hidden. */
function cleanTable(
  { columns, rows }: Extract<Section, { readonly rows: unknown }>,
  left: Left,
): Pick<Extract<Section, { readonly rows: unknown }>, 'columns' | 'rows'> {
  const head = columns.slice(0, limits.columns).map((column) => cleanLine(column, limits.column));
  const shown: string[][] = [];
  for (const row of rows.slice(0, left.rows)) {
    const cells = row.slice(0, head.length).map((cell) => cleanLine(cell, limits.cell));
    const cost = cells.reduce((sum, cell) => sum + cell.length + cellCost, 0);
    if (cost > left.cells) break;
    left.cells -= cost;
    shown.push(cells);
  }
  left.rows -= shown.length;
  const hidden = rows.length - shown.length;
  return { columns: head, rows: hidden === 0 ? shown : [...shown, [`${hidden} more rows are not shown here.`]] };
}

/** Only what needs a look is missed. */
function notShown(count: number, what: string, verdicts: readonly Verdict[]): Finding {
  const verdict = verdicts.some((one) => isProblem({ verdict: one })) ? 'unknown' : 'skipped';
  return { check: 'More', verdict, summary: `${count} more ${what} are not shown here.` };
}
