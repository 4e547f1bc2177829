import { describe, expect, it } from 'vitest';
import { report, type Section } from '../../src/operations/report.ts';
import { cleanLine } from '../../src/reports/clean.ts';
import { renderHtml } from '../../src/reports/html.ts';
import { quote, quoteReport } from '../../src/reports/quote.ts';
import { stepLine } from '../../src/reports/steps.ts';
import { textTable } from '../../src/reports/table.ts';
import { findingLines, renderText } from '../../src/reports/text.ts';
import { verdictColours } from '../../src/reports/verdicts.ts';
import { everySection, withSections } from './sample-report.ts';

const forbidden =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2800]|\ufe0f|\u{e0041}|\u0301{4}/u;

describe('any kind of section, whatever a host puts into it,', () => {
  it.each([
    ['text', renderText(withSections(...everySection))],
    ['HTML', renderHtml(withSections(...everySection))],
    ['data', JSON.stringify(quoteReport(withSections(...everySection)))],
  ])('is clean and bounded as %s', (_, shown) => {
    expect(shown).not.toMatch(forbidden);
    expect(shown.length).toBeLessThan(102_400);
    expect(shown).toContain('more rows are not shown here.');
    expect(shown).not.toContain('one too many');
  });

  it('has no line in text that could pass for one of ours', () => {
    const lines = renderText(withSections(...everySection)).split('\n');
    expect(lines.filter((line) => line.trimStart().startsWith('FAILED'))).toHaveLength(1);
    expect(lines.filter((line) => /^ +\| {3}FAILED {4}Faked/.test(line))).toHaveLength(1);
  });

  it('has no markup of its own in HTML', () => {
    const html = renderHtml(withSections(...everySection));
    expect(html).not.toContain('<script');
    expect(html).toContain('&lt;script&gt;');
    expect(html.split('<table').length).toBe(html.split('</table>').length);
  });

  it('stays a report, whose quotes have their bar, as data', () => {
    const data = report.parse(quoteReport(withSections(...everySection)));
    expect(data.sections).toMatchObject([
      {
        findings: [
          { evidence: expect.stringMatching(/^\| .*\n\| .*\\u\{202e\}esrever.*hid\\u\{200b\}den.*\n\| {3}FAILED/) },
        ],
      },
      { rows: expect.arrayContaining([[expect.stringMatching(/^\d+ more rows are not shown here\.$/)]]) },
      { quoted: expect.stringMatching(/^\| \(\d+ characters before\)\n\| x+$/) },
    ]);
  });

  it('says that there is nothing where there is nothing', () => {
    const empty = withSections(
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
    const many = (section: Section) => withSections(...Array.from({ length: 500 }, () => section));
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
    expect(quote('one\n\n\u001b[2Jtwo', '  ')).toBe('  | one\n  |\n  | \\u{1b}[2Jtwo');
  });
});
