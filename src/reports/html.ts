import { readFileSync } from 'node:fs';
import { Eta } from 'eta';
import type { Report } from '../operations/report.ts';
import { cleanReport } from './clean.ts';
import { readableDuration, readableTime } from './units.ts';
import { verdictColours } from './verdicts.ts';

const eta = new Eta({ autoEscape: true, autoTrim: [false, 'nl'] });
const template = eta.compile(readFileSync(new URL('./mail.eta', import.meta.url), 'utf8'));

/**
 * A report as one self-contained HTML page without scripts, links or pictures: the mail's HTML part. Everything from
 * the report is escaped; what hosts said is cleaned and bounded.
 */
export function renderHtml(report: Report): string {
  const shown = cleanReport(report);
  return eta.render(template, {
    report: shown,
    colours: verdictColours,
    time: readableTime(shown.startedAt),
    took: readableDuration(Date.parse(shown.finishedAt) - Date.parse(shown.startedAt)),
  });
}
