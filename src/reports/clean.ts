import type { Finding } from '../operations/finding.ts';
import type { Report, Section } from '../operations/report.ts';
import { boundMarks, showHidden } from './hidden.ts';

/** How much of a report is shown. Gmail cuts mails at 102 KB, and a model's context isn't free either. */
const limits = {
  title: 200,
  check: 120,
  summary: 600,
  evidence: 800,
  evidenceLines: 12,
  sections: 40,
  /** Evidence of all findings together, in characters; the first ones win. */
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

/** Text of a host or caller as people may see it: {@link showHidden}, no piled marks, at most `max` characters. */
export function cleanText(text: string, max = Number.POSITIVE_INFINITY): string {
  return bounded((unusual.test(text) ? plain(text) : text).trimEnd(), max);
}

/** {@link cleanText} on one line. */
export function cleanLine(text: string, max: number): string {
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

/** A report that is safe to show: what hosts said is cleaned and bounded. Verdicts and their number stay as they are. */
export function cleanReport(report: Report): Report {
  const left = {
    evidence: limits.allEvidence as number,
    findings: limits.findings as number,
    quoted: limits.quoted as number,
    rows: limits.rows as number,
    cells: limits.cells as number,
  };
  const sections = report.sections.slice(0, limits.sections).map((section): Section => {
    const title = cleanLine(section.title, limits.check);
    if ('quoted' in section) return { title, quoted: cleanQuoted(section.quoted, left) };
    if ('rows' in section) return { title, ...cleanTable(section, left) };
    return { title, findings: cleanFindings(section.findings, left) };
  });
  const hidden = report.sections.length - sections.length;
  return {
    ...report,
    title: cleanLine(report.title, limits.title),
    target: cleanLine(report.target, limits.check),
    summary: cleanLine(report.summary, limits.summary),
    sections: hidden === 0 ? sections : [...sections, { title: 'More', findings: [notShown(hidden, 'sections')] }],
  };
}

/** What may still be shown; each part that is shown takes from it. */
type Left = Record<'evidence' | 'findings' | 'quoted' | 'rows' | 'cells', number>;

function cleanFindings(findings: readonly Finding[], left: Left): Finding[] {
  const shown = findings.slice(0, left.findings).map((finding) => cleanFinding(finding, left));
  left.findings -= shown.length;
  const hidden = findings.length - shown.length;
  return hidden === 0 ? shown : [...shown, notShown(hidden, 'lines')];
}

function cleanFinding({ check, verdict, summary, remedy, evidence }: Finding, left: Left): Finding {
  const shown = evidence === undefined || left.evidence === 0 ? '' : cleanEvidence(evidence, left.evidence);
  left.evidence = Math.max(0, left.evidence - shown.length);
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

function notShown(count: number, what: string): Finding {
  return { check: 'More', verdict: 'unknown', summary: `${count} more ${what} are not shown here.` };
}
