import type { Finding, Report, Verdict } from '../operations/report.ts';
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
    `Host ${shown.host}, ${readableTime(shown.startedAt)}, took ${took}`,
  ];
  const sections = shown.sections.map((section) => [
    '',
    section.title,
    ...(section.findings.length === 0 ? ['  (nothing)'] : section.findings.flatMap(findingLines)),
  ]);
  return `${[...head, ...sections.flat()].join('\n')}\n`;
}

function findingLines(finding: Finding): string[] {
  const line = `  ${words[finding.verdict].padEnd(wordWidth)}${finding.check}: ${finding.summary}`;
  // Quoted line by line, so that nothing a host says can pass for a line of the report.
  const evidence = finding.evidence?.split('\n').map((text) => `  ${' '.repeat(wordWidth)}| ${text}`.trimEnd()) ?? [];
  return [line, ...evidence];
}
