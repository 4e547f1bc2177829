import { Eta } from 'eta';
import type { Verdict } from '../operations/finding.ts';
import type { Report } from '../operations/report.ts';
import { cleanReport } from './clean.ts';
import { mailTemplate } from './html-template.ts';
import { readableDuration, readableTime } from './units.ts';

interface Badge {
  readonly word: string;
  /** Text on `fill`; both have at least 4.5:1 contrast, in light and dark mode alike. */
  readonly ink: string;
  readonly fill: string;
}

const badges: Readonly<Record<Verdict, Badge>> = {
  ok: { word: 'ok', ink: '#ffffff', fill: '#1a7f37' },
  warning: { word: 'warning', ink: '#1f1300', fill: '#f0b429' },
  failed: { word: 'failed', ink: '#ffffff', fill: '#c9252d' },
  unknown: { word: 'unknown', ink: '#ffffff', fill: '#7a4fbf' },
  skipped: { word: 'skipped', ink: '#ffffff', fill: '#66707b' },
};

const eta = new Eta({ autoEscape: true, autoTrim: ['nl', 'slurp'] });
const template = eta.compile(mailTemplate);

/**
 * A report as one self-contained HTML page without scripts, links or pictures: the mail's HTML part. Everything from
 * the report is escaped; what hosts said is cleaned and bounded.
 */
export function renderHtml(report: Report): string {
  const shown = cleanReport(report);
  return eta.render(template, {
    report: shown,
    badges,
    time: readableTime(shown.startedAt),
    took: readableDuration(shown.startedAt, shown.finishedAt),
  });
}
