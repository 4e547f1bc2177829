import type { Verdict } from '../operations/finding.ts';

/** The words of verdicts in text. What needs a look is in capitals, because text has no colours. */
export const verdictWords: Readonly<Record<Verdict, string>> = {
  ok: 'ok',
  warning: 'WARNING',
  failed: 'FAILED',
  unknown: 'UNKNOWN',
  skipped: 'skipped',
};

/** The colours of verdicts in HTML: text on a fill, with a contrast of 4.5:1 at least, in light and dark mode alike. */
export const verdictColours: Readonly<Record<Verdict, { readonly ink: string; readonly fill: string }>> = {
  ok: { ink: '#ffffff', fill: '#1a7f37' },
  warning: { ink: '#1f1300', fill: '#f0b429' },
  failed: { ink: '#ffffff', fill: '#c9252d' },
  unknown: { ink: '#ffffff', fill: '#7a4fbf' },
  skipped: { ink: '#ffffff', fill: '#66707b' },
};
