import type { Finding } from '../operations/finding.ts';
import type { Report, Section } from '../operations/report.ts';

/** How much of a report is shown. Gmail cuts mails at 102 KB, and a model's context isn't free either. */
const limits = {
  title: 200,
  check: 120,
  summary: 600,
  evidence: 800,
  evidenceLines: 12,
  /** Evidence of all findings together, in characters; the first ones win. */
  allEvidence: 16_000,
  findings: 200,
  /** Quoted text of all sections together, in characters; its end is what counts, because logs grow there. */
  quoted: 24_000,
  rows: 200,
  cell: 200,
} as const;

// ANSI escape sequences first (colours, cursor movement, window titles), so that their printable rest doesn't stay.
// biome-ignore lint/suspicious/noControlCharactersInRegex: removing control characters is what it is for
const ansi = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-_])/g;
// C0 but tab and line feed, C1, and the characters that reorder or hide text: zero width, bidirectional controls,
// line and paragraph separators, interlinear annotations, the byte order mark, tags, halves of characters.
const invisible =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: removing control characters is what it is for
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Cs}/gu;

/** Text of a host as people may see it: no control characters, no invisible ones, at most `max` characters. */
export function cleanText(text: string, max: number): string {
  const clean = text.replace(/\r\n?/g, '\n').replace(ansi, '').replace(invisible, '').trimEnd();
  if (clean.length <= max) return clean;
  return `${clean
    .slice(0, max)
    .replace(/[\ud800-\udbff]$/, '')
    .trimEnd()} … (${clean.length - max} more characters)`;
}

/** {@link cleanText} on one line. */
export function cleanLine(text: string, max: number): string {
  return cleanText(text.replace(/\s+/g, ' ').trim(), max);
}

function cleanEvidence(text: string, budget: number): string {
  const lines = cleanText(text, Math.min(limits.evidence, budget)).split('\n');
  if (lines.length <= limits.evidenceLines) return lines.join('\n');
  return [...lines.slice(0, limits.evidenceLines), `… (${lines.length - limits.evidenceLines} more lines)`].join('\n');
}

function cleanQuote(text: string, budget: number): string {
  const clean = cleanText(text, Number.POSITIVE_INFINITY);
  return clean.length <= budget ? clean : `(${clean.length - budget} characters before)\n${clean.slice(-budget)}`;
}

function cleanTable({ columns, rows }: Extract<Section, { readonly rows: unknown }>): {
  readonly columns: string[];
  readonly rows: string[][];
} {
  const cells = (row: readonly string[]) => row.map((cell) => cleanLine(cell, limits.cell));
  const shown = rows.slice(0, limits.rows).map(cells);
  const hidden = rows.length - shown.length;
  return {
    columns: cells(columns),
    rows: hidden === 0 ? shown : [...shown, [`${hidden} more rows are not shown here.`]],
  };
}

/** A report that is safe to show: what hosts said is cleaned and bounded. Verdicts and their number stay as they are. */
export function cleanReport(report: Report): Report {
  let evidenceLeft: number = limits.allEvidence;
  let findingsLeft: number = limits.findings;
  let quotedLeft: number = limits.quoted;
  const clean = (finding: Finding): Finding => {
    const { evidence, remedy, ...rest } = finding;
    const line: Finding = {
      ...rest,
      check: cleanLine(finding.check, limits.check),
      summary: cleanLine(finding.summary, limits.summary),
      ...(remedy === undefined ? {} : { remedy: cleanLine(remedy, limits.summary) }),
    };
    if (evidence === undefined || evidence.trim() === '' || evidenceLeft <= 0) return line;
    const shown = cleanEvidence(evidence, evidenceLeft);
    evidenceLeft -= shown.length;
    return shown === '' ? line : { ...line, evidence: shown };
  };
  const quote = (text: string): string => {
    const shown = cleanQuote(text, quotedLeft);
    quotedLeft -= shown.length;
    return shown;
  };
  return {
    ...report,
    title: cleanLine(report.title, limits.title),
    target: cleanLine(report.target, limits.check),
    summary: cleanLine(report.summary, limits.summary),
    sections: report.sections.map((section) => {
      const title = cleanLine(section.title, limits.check);
      if ('quoted' in section) return { title, quoted: quote(section.quoted) };
      if ('rows' in section) return { title, ...cleanTable(section) };
      const shown = section.findings.slice(0, findingsLeft).map(clean);
      findingsLeft -= shown.length;
      const hidden = section.findings.slice(shown.length);
      const more: Finding[] =
        hidden.length === 0
          ? []
          : [{ check: 'More', verdict: 'unknown', summary: `${hidden.length} more lines are not shown here.` }];
      return { title, findings: [...shown, ...more] };
    }),
  };
}
