import type { Finding } from '../operations/finding.ts';
import type { Report, Section } from '../operations/report.ts';
import { cleanReport } from './clean.ts';
import { quote } from './quote.ts';
import { remedyOf } from './remedy.ts';
import { describeRunReference, type RunReference } from './run-reference.ts';
import { textTable } from './table.ts';
import { readableDuration, readableTime, relativeTime } from './units.ts';
import { verdictWords } from './verdicts.ts';
import { isProblem, namesOf, type Placed, viewOf } from './view.ts';

const indent = '  ';
const wordWidth = 10;

/** For whom a report is written. */
export interface ReportOptions {
  /** IANA name of the zone of its times, as `zoneOfTarget` tells it. Default UTC. */
  readonly timeZone?: string;
  /** The run that made it, for who wants to see more. */
  readonly run?: RunReference;
}

/** And for what. */
export interface TextOptions extends ReportOptions {
  /**
   * What is good and what was skipped is one line for each section, as in a mail, but for those that are to be told in full.
   * Default false: each line of it.
   */
  readonly folded?: boolean;
  /** In ms since 1970: says how long ago it was, which is of use only to who reads it at once. */
  readonly now?: number;
}

/**
 * A report as plain text: for the CLI, MCP and the mail's text part. What needs a look comes first. What hosts said is
 * cleaned and bounded.
 */
export function renderText(report: Report, options: TextOptions = {}): string {
  const shown = cleanReport(report);
  const { run } = options;
  const head = [`${shown.title}: ${verdictWords[shown.verdict]}`, shown.summary, placeAndTime(shown, options)];
  const view = viewOf(shown);
  const problems = view.problems.flatMap((problem) => problemLines(problem, shown, options));
  const lines = [
    ...head,
    ...view.lead.flatMap(sectionLines),
    ...(problems.length === 0 ? [] : ['', 'Problems', ...problems]),
    ...(options.folded ? foldedLines(view) : unfoldedLines(shown.sections.slice(view.lead.length))),
    ...(run === undefined ? [] : ['', ...runLines(run)]),
  ];
  return `${lines.join('\n')}\n`;
}

/** `pve1, 2026-11-22 09:00:03 CET (5 min 2 s ago), took 2.3 s`. What took no time, as a message, says nothing of it. */
export function placeAndTime(report: Report, { timeZone, now }: Pick<TextOptions, 'timeZone' | 'now'>): string {
  const ms = Date.parse(report.finishedAt) - Date.parse(report.startedAt);
  const ago = now === undefined ? '' : ` (${relativeTime(report.startedAt, now)})`;
  const took = ms === 0 ? [] : [`took ${readableDuration(ms)}`];
  return [report.target, `${readableTime(report.startedAt, timeZone)}${ago}`, ...took].join(', ');
}

/** The name of a finding that stands away from its section. */
export function labelOf({ section, finding }: Placed): string {
  return section === finding.check || section === '' ? finding.check : `${finding.check} (${section})`;
}

function problemLines(problem: Placed, report: Report, { run }: TextOptions): readonly string[] {
  const remedy = remedyOf(problem.finding, report, run);
  return findingLines({ ...problem.finding, check: labelOf(problem), ...(remedy !== undefined && { remedy }) });
}

/** Sections in their order, without what stands above them already. */
function unfoldedLines(sections: readonly Section[]): readonly string[] {
  return sections.flatMap((section) => {
    if (!('findings' in section)) return sectionLines(section);
    const findings = section.findings.filter((finding) => !isProblem(finding));
    return findings.length === 0 && section.findings.length > 0 ? [] : sectionLines({ ...section, findings });
  });
}

function foldedLines({ contents, good, skipped }: ReturnType<typeof viewOf>): readonly string[] {
  const folded = good.filter(({ unfolded }) => !unfolded);
  const lines = [
    ...folded.map(({ title, findings }) => foldedLine('ok', title, namesOf(findings) || '(nothing)')),
    ...(skipped.length === 0 ? [] : [foldedLine('skipped', '', namesOf(skipped.map(({ finding }) => finding)))]),
  ];
  const told = good.filter(({ unfolded }) => unfolded);
  return [
    ...told.flatMap(sectionLines),
    ...contents.flatMap(sectionLines),
    ...(lines.length === 0 ? [] : ['', 'The rest', ...lines]),
  ];
}

function foldedLine(verdict: 'ok' | 'skipped', title: string, names: string): string {
  const isItsName = title === '' || title === names;
  return `${indent}${verdictWords[verdict].padEnd(wordWidth)}${isItsName ? names : `${title}: ${names}`}`;
}

function runLines(run: RunReference): readonly string[] {
  const { command, page, link, hint } = describeRunReference(run);
  return [`All of it: ${command}`, page, link, hint].filter((line) => line !== undefined);
}

function sectionLines(section: Section): readonly string[] {
  return ['', section.title, ...contentLines(section)];
}

function contentLines(section: Section): readonly string[] {
  const nothing = [`${indent}(nothing)`];
  if ('quoted' in section) return section.quoted === '' ? nothing : [quote(section.quoted, indent)];
  if ('rows' in section) {
    return section.rows.length === 0 ? nothing : [textTable(section.columns, section.rows, indent)];
  }
  return section.findings.length === 0 ? nothing : section.findings.flatMap((finding) => findingLines(finding));
}

/** A finding as lines of text; `more` are lines of ours that stand before its remedy. What the host said is quoted. */
export function findingLines(finding: Finding, more: readonly string[] = []): readonly string[] {
  const below = `${indent}${' '.repeat(wordWidth)}`;
  return [
    `${indent}${verdictWords[finding.verdict].padEnd(wordWidth)}${finding.check}: ${finding.summary}`,
    ...more.map((line) => `${below}${line}`),
    ...(finding.remedy === undefined ? [] : [`${below}To do: ${finding.remedy}`]),
    ...(finding.evidence === undefined ? [] : [quote(finding.evidence, below)]),
  ];
}
