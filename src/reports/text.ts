import type { Finding, Verdict } from '../operations/finding.ts';
import type { Report, Section } from '../operations/report.ts';
import { cleanReport } from './clean.ts';
import { readableDuration, readableTime } from './units.ts';

// What needs a look stands out in capitals, because text has no colours.
const words: Readonly<Record<Verdict, string>> = {
  ok: 'ok',
  warning: 'WARNING',
  failed: 'FAILED',
  unknown: 'UNKNOWN',
  skipped: 'skipped',
};
const wordWidth = 10;

/** A report as plain text: for the CLI, MCP and the mail's text part. What hosts said is cleaned and bounded. */
export function renderText(report: Report): string {
  const shown = cleanReport(report);
  const took = readableDuration(shown.startedAt, shown.finishedAt);
  const head = [
    `${shown.title}: ${words[shown.verdict]}`,
    shown.summary,
    `${shown.target}, ${readableTime(shown.startedAt)}, took ${took}`,
  ];
  const sections = shown.sections.map((section) => ['', section.title, ...sectionLines(section)]);
  return `${[...head, ...sections.flat()].join('\n')}\n`;
}

function sectionLines(section: Section): readonly string[] {
  if ('quoted' in section) return section.quoted === '' ? ['  (nothing)'] : section.quoted.split('\n').map(quotedLine);
  if ('rows' in section) return tableLines([section.columns, ...section.rows]);
  return section.findings.length === 0 ? ['  (nothing)'] : section.findings.flatMap(findingLines);
}

function tableLines(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd());
}

/** Quoted line by line, so that nothing a host says can pass for a line of the report. */
function quotedLine(text: string): string {
  return `  | ${text}`.trimEnd();
}

function findingLines(finding: Finding): string[] {
  const line = `  ${words[finding.verdict].padEnd(wordWidth)}${finding.check}: ${finding.summary}`;
  const indent = ' '.repeat(wordWidth);
  const remedy = finding.remedy === undefined ? [] : [`  ${indent}To do: ${finding.remedy}`];
  const evidence = finding.evidence?.split('\n').map((text) => `${indent}${quotedLine(text)}`) ?? [];
  return [line, ...remedy, ...evidence];
}
