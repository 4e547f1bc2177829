import { readFileSync } from 'node:fs';
import { Eta } from 'eta';
import type { Report, Section } from '../operations/report.ts';
import { cleanLine, cleanReport } from './clean.ts';
import { remedyOf } from './remedy.ts';
import { describeRunReference } from './run-reference.ts';
import { labelOf, placeAndTime, type ReportOptions } from './text.ts';
import { verdictColours } from './verdicts.ts';
import { namesOf, type Placed, viewOf } from './view.ts';

const eta = new Eta({ autoEscape: true, autoTrim: [false, 'nl'] });
const template = eta.compile(readFileSync(new URL('./mail.eta', import.meta.url), 'utf8'));

/** Of a mail's HTML, in bytes: Gmail shows no more than 102 KB of it. */
const largest = 100_000;

/** How much of a report is shown; in characters where nothing else is said. */
interface Detail {
  /** The lines below the names of what is good and what was skipped. */
  readonly hasLines: boolean;
  readonly problems: number;
  /** Of a problem's summary and remedy, each. */
  readonly words: number;
  /** Of what the host said to one problem. */
  readonly evidence: number;
  readonly rows: number;
  readonly quoted: number;
}

const everything = Number.POSITIVE_INFINITY;

/**
 * Each leaves out what is missed least of what the former one shows. The last one fits whatever hosts say, though their
 * quotes and brackets become six characters in HTML.
 */
const details: readonly Detail[] = [
  {
    hasLines: true,
    problems: everything,
    words: everything,
    evidence: everything,
    rows: everything,
    quoted: everything,
  },
  {
    hasLines: false,
    problems: everything,
    words: everything,
    evidence: everything,
    rows: everything,
    quoted: everything,
  },
  { hasLines: false, problems: 100, words: 400, evidence: 200, rows: 60, quoted: 8_000 },
  { hasLines: false, problems: 60, words: 300, evidence: 0, rows: 20, quoted: 2_000 },
  { hasLines: false, problems: 20, words: 150, evidence: 0, rows: 0, quoted: 0 },
];

/**
 * A report as one self-contained HTML page without scripts or pictures: the mail's HTML part. What needs a look comes
 * first; what is good is folded, where the reader's program can fold. The only link is that to the run's page.
 * Everything from the report is escaped; what hosts said is cleaned and bounded.
 */
export function renderHtml(report: Report, options: ReportOptions = {}): string {
  const shown = cleanReport(report);
  let html = '';
  for (const detail of details) {
    html = renderWith(detail, shown, options);
    if (Buffer.byteLength(html) <= largest) break;
  }
  return html;
}

function renderWith(detail: Detail, report: Report, options: ReportOptions): string {
  const { lead, problems, contents, good, skipped } = viewOf(report);
  return eta.render(template, {
    report,
    colours: verdictColours,
    meta: placeAndTime(report, options),
    lead: lead.map((section) => shortenedSection(section, detail)),
    problems: problems.slice(0, detail.problems).map((problem) => shortenedProblem(problem, detail, report, options)),
    moreProblems: Math.max(0, problems.length - detail.problems),
    contents: contents.map((section) => shortenedSection(section, detail)),
    good: good.map(({ title, findings, unfolded }) => {
      const isOpen = unfolded === true && detail.hasLines;
      return {
        title,
        isOpen,
        names: isOpen ? title : namesOf(findings) || '(nothing)',
        findings: detail.hasLines ? findings : [],
      };
    }),
    skipped: {
      names: namesOf(skipped.map(({ finding }) => finding)),
      findings: detail.hasLines
        ? skipped.map(({ section, finding }) => ({ ...finding, check: labelOf({ section, finding }) }))
        : [],
      count: skipped.length,
    },
    isShortened: detail !== details[0],
    run: options.run && describeRunReference(options.run),
  });
}

function shortenedProblem(problem: Placed, { words, evidence }: Detail, report: Report, { run }: ReportOptions) {
  const { finding } = problem;
  const remedy = remedyOf(finding, report, run);
  return {
    verdict: finding.verdict,
    check: finding.check,
    section: problem.section === finding.check ? '' : problem.section,
    summary: cleanLine(finding.summary, words),
    remedy: remedy && cleanLine(remedy, words),
    evidence: finding.evidence?.slice(0, evidence),
  };
}

function shortenedSection(section: Section, { rows, quoted }: Detail): Section {
  if ('quoted' in section) {
    if (section.quoted.length <= quoted) return section;
    const kept = quoted === 0 ? '' : section.quoted.slice(-quoted);
    return { ...section, quoted: `(${section.quoted.length - kept.length} characters before)\n${kept}`.trimEnd() };
  }
  if ('findings' in section || section.rows.length <= rows) return section;
  const hidden = section.rows.length - rows;
  return { ...section, rows: [...section.rows.slice(0, rows), [`${hidden} more rows are not shown here.`]] };
}
