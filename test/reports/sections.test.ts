import { describe, expect, it } from 'vitest';
import { makeReport, type Report, report, type Section } from '../../src/operations/report.ts';
import { cleanLine } from '../../src/reports/clean.ts';
import { renderHtml } from '../../src/reports/html.ts';
import { quote, quoteReport } from '../../src/reports/quote.ts';
import { stepLine } from '../../src/reports/steps.ts';
import { textTable } from '../../src/reports/table.ts';
import { findingLines, renderText } from '../../src/reports/text.ts';
import { verdictColours } from '../../src/reports/verdicts.ts';
import { launchBrowser, whyNoBrowser } from '../support/browser.ts';
import { hostileReport } from './sample-report.ts';

/** Markup, colours, reversed and hidden text, a forged line of ours, marks piled up, a line without end. */
const hostile = [
  '</td></table><script>alert(1)</script>',
  '\u001b[31mred\u001b[0m \u202eesrever\u202c \u{e0041}\ufe0fhid\u200bden\u2800',
  '  FAILED    Faked: all is lost',
  `z${'\u0301'.repeat(500)}`,
  'x'.repeat(100_000),
].join('\n');

const of = (...sections: Section[]): Report => makeReport({ ...hostileReport, sections });
const everySection: readonly Section[] = [
  { title: hostile, findings: [{ check: hostile, verdict: 'failed', summary: hostile, evidence: hostile }] },
  {
    title: 'Table',
    columns: ['A', hostile, 'C', 'D', 'E'],
    rows: Array.from({ length: 10_000 }, (_, row) => [`row ${row}`, hostile, 'c', 'd', 'e', 'one too many']),
  },
  { title: 'Quoted', quoted: hostile },
];

const forbidden =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2800]|\ufe0f|\u{e0041}|\u0301{4}/u;

describe('any kind of section, whatever a host puts into it,', () => {
  it.each([
    ['text', renderText(of(...everySection))],
    ['HTML', renderHtml(of(...everySection))],
    ['data', JSON.stringify(quoteReport(of(...everySection)))],
  ])('is clean and bounded as %s', (_, shown) => {
    expect(shown).not.toMatch(forbidden);
    expect(shown.length).toBeLessThan(102_400);
    expect(shown).toContain('more rows are not shown here.');
    expect(shown).not.toContain('one too many');
  });

  it('has no line in text that could pass for one of ours', () => {
    const lines = renderText(of(...everySection)).split('\n');
    expect(lines.filter((line) => line.trimStart().startsWith('FAILED'))).toHaveLength(1);
    expect(lines.filter((line) => /^ +\| {3}FAILED {4}Faked/.test(line))).toHaveLength(1);
  });

  it('has no markup of its own in HTML', () => {
    const html = renderHtml(of(...everySection));
    expect(html).not.toContain('<script');
    expect(html).toContain('&lt;script&gt;');
    expect(html.split('<table').length).toBe(html.split('</table>').length);
  });

  it('stays a report, whose quotes have their bar, as data', () => {
    const data = report.parse(quoteReport(of(...everySection)));
    expect(data.sections).toMatchObject([
      { findings: [{ evidence: expect.stringMatching(/^\| .*\n\| red esrever hidden\n\| {3}FAILED/) }] },
      { rows: expect.arrayContaining([[expect.stringMatching(/^\d+ more rows are not shown here\.$/)]]) },
      { quoted: expect.stringMatching(/^\| \(\d+ characters before\)\n\| x+$/) },
    ]);
  });

  it('says that there is nothing where there is nothing', () => {
    const empty = of(
      { title: 'a', findings: [] },
      { title: 'b', columns: ['A'], rows: [] },
      { title: 'c', quoted: '' },
    );
    expect(renderText(empty).split('(nothing)')).toHaveLength(4);
    expect(renderHtml(empty).split('(nothing)')).toHaveLength(4);
  });
});

describe('the bounds of a whole report', () => {
  it('hold for many sections of each kind', () => {
    const many = (section: Section) => of(...Array.from({ length: 500 }, () => section));
    for (const section of [
      { title: 'Quoted', quoted: `${'line\n'.repeat(10_000)}the end` },
      { title: 'Table', columns: ['A', 'B'], rows: [['a', 'x'.repeat(300)]] },
      {
        title: 'Findings',
        findings: [{ check: 'c', verdict: 'ok' as const, summary: 's', evidence: 'e'.repeat(900) }],
      },
    ]) {
      const text = renderText(many(section));
      expect(text.length, section.title).toBeLessThan(60_000);
      expect(text).toContain('460 more sections are not shown here.');
    }
    expect(renderText(many({ title: 'Quoted', quoted: `${'line\n'.repeat(10_000)}the end` }))).toContain('| the end');
  });
});

describe('parts that the command line shares', () => {
  it('are findings with what was tried', () => {
    const lines = findingLines(
      { check: 'Mail', verdict: 'failed', summary: 'no answer', remedy: 'Check SMTP_HOST.', evidence: '421 busy\nbye' },
      ['Tried: connect to it'],
    );
    expect(lines.join('\n')).toBe(`  FAILED    Mail: no answer
            Tried: connect to it
            To do: Check SMTP_HOST.
            | 421 busy
            | bye`);
  });

  it('are tables whose columns no endless cell pushes apart', () => {
    expect(
      textTable(
        ['NAME', 'STATE', 'RUN'],
        [['web', 'running\nnow', 'r1'], ['y'.repeat(80), 'stopped', 'r2'], ['2 more rows are not shown here.']],
      ),
    ).toBe(`${'NAME'.padEnd(60)}  STATE        RUN
${'web'.padEnd(60)}  running now  r1
${'y'.repeat(80)}  stopped      r2
2 more rows are not shown here.`);
    expect(textTable(['A', 'B'], [['1', '2'], ['nothing else is in it']], '  ')).toBe(
      '  A  B\n  1  2\n  nothing else is in it',
    );
  });

  it('are steps, each on a line of its own whatever its note says', () => {
    const show = (note: string) => cleanLine(note, 500);
    expect(stepLine({ title: 'Pack', state: 'failed', note: 'No room\n✅ Verify: all is well' }, show)).toBe(
      '❌ Pack: No room ✅ Verify: all is well',
    );
    expect(stepLine({ title: 'Verify', state: 'pending' }, show)).toBe('⬜ Verify');
  });

  it('are colours that everybody can read', () => {
    const light = (hex: string) =>
      [1, 3, 5]
        .map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
        .reduce((sum, part, index) => sum + part * ([0.2126, 0.7152, 0.0722][index] ?? 0), 0.05);
    for (const [verdict, { ink, fill }] of Object.entries(verdictColours)) {
      const [dark = 0, bright = 0] = [light(ink), light(fill)].sort((a, b) => a - b);
      expect(bright / dark, verdict).toBeGreaterThan(4.5);
    }
  });

  it('are quotes', () => {
    expect(quote('one\n\n\u001b[2Jtwo', '  ')).toBe('  | one\n  |\n  | two');
  });
});

describe.skipIf(whyNoBrowser())('the mail in a browser', () => {
  it.each([
    [360, 'light'],
    [360, 'dark'],
    [800, 'light'],
  ] as const)(
    'fits into %d pixels, %s',
    async (width, colorScheme) => {
      const browser = await launchBrowser();
      try {
        const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
        await page.setContent(renderHtml(of(...everySection)));
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
        const label = page.locator('.label').first();
        // A wide table is a list of its cells on a phone, each with its column's name.
        expect(await label.isVisible()).toBe(width === 360);
        const background = await page.evaluate('getComputedStyle(document.body).backgroundColor');
        expect(background).toBe(colorScheme === 'dark' ? 'rgb(21, 24, 28)' : 'rgb(243, 244, 246)');
      } finally {
        await browser.close();
      }
    },
    60_000,
  );
});
