import type { Finding } from '../operations/finding.ts';
import type { Report, Section } from '../operations/report.ts';
import { cleanReport } from './clean.ts';
import { quote } from './quote.ts';
import { textTable } from './table.ts';
import { readableDuration, readableTime } from './units.ts';
import { verdictWords } from './verdicts.ts';

const indent = '  ';
const wordWidth = 10;

/** A report as plain text: for the CLI, MCP and the mail's text part. What hosts said is cleaned and bounded. */
export function renderText(report: Report): string {
  const shown = cleanReport(report);
  const took = readableDuration(Date.parse(shown.finishedAt) - Date.parse(shown.startedAt));
  const head = [
    `${shown.title}: ${verdictWords[shown.verdict]}`,
    shown.summary,
    `${shown.target}, ${readableTime(shown.startedAt)}, took ${took}`,
  ];
  const sections = shown.sections.flatMap((section) => ['', section.title, ...sectionLines(section)]);
  return `${[...head, ...sections].join('\n')}\n`;
}

function sectionLines(section: Section): readonly string[] {
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
