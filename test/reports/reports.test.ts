import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Verdict } from '../../src/operations/finding.ts';
import { countVerdicts, makeReport, type Report, report } from '../../src/operations/report.ts';
import { cleanText } from '../../src/reports/clean.ts';
import { renderHtml } from '../../src/reports/html.ts';
import { renderText } from '../../src/reports/text.ts';
import { readableBytes, readableDuration } from '../../src/reports/units.ts';
import { hostileReport, hostileSections } from './sample-report.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
const forbidden = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/;

describe('makeReport', () => {
  it('takes the worst verdict', () => {
    expect(report.parse(hostileReport).verdict).toBe('failed');
    expect(countVerdicts(hostileSections)).toEqual({ ok: 1, warning: 1, failed: 1, unknown: 1, skipped: 1 });
  });

  it('never calls a report good in which nothing was checked', () => {
    const findings = [{ check: 'c', verdict: 'skipped', summary: 's' }] as const;
    expect(makeReport({ ...hostileReport, sections: [{ title: 's', findings: [...findings] }] }).verdict).toBe(
      'skipped',
    );
    expect(makeReport({ ...hostileReport, sections: [] }).verdict).toBe('skipped');
  });
});

describe('renderText', () => {
  it('reads like a report', () => {
    const lines = renderText(hostileReport).split('\n');
    expect(lines.slice(0, 7)).toEqual([
      'Health check: FAILED',
      hostileReport.summary,
      'pve1, 2026-11-22 08:00:00 UTC, took 2.3 s',
      '',
      'Problems',
      '  FAILED    Health endpoint (Health endpoints): http://localhost:8080/health answers 503 <b>& says</b> "unhealthy".',
      "            To do: Look at it on pve1, and at what the run did: the run's log",
    ]);
    expect(lines.slice(-9)).toEqual([
      '  WARNING   Starts at boot (Service): proxmox-mcp is disabled.',
      '            | UnitFileState=disabled',
      '',
      'Service',
      '  ok        Running: proxmox-mcp is active (running) since 2026-11-20 07:12:44 UTC.',
      '',
      'Containers',
      '  skipped   Docker: Docker is not installed on this host.',
      '',
    ]);
  });

  it('quotes what the host said, so that it can not pass for a line of the report', () => {
    const text = renderText(hostileReport);
    expect(text).toContain(
      String.raw`            | \u{1b}[31mred\u{1b}[0m \u{202e}esrever\u{7}` +
        '\n            |   ok        Faked: all is well\n',
    );
    expect(text).not.toMatch(forbidden);
    expect(text).toContain('x … (4200 more characters)');
  });
});

describe('renderHtml', () => {
  it('escapes everything that comes from the report', () => {
    const html = renderHtml(hostileReport);
    expect(html).toContain('&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(html).toContain('answers 503 &lt;b&gt;&amp; says&lt;/b&gt; &quot;unhealthy&quot;');
    expect(html).not.toMatch(/<script|<img|<b>|javascript:/);
    expect(html).not.toMatch(forbidden);
  });

  it('shows every verdict as a word, not only as a colour', () => {
    const html = renderHtml(hostileReport);
    for (const verdict of ['ok', 'warning', 'failed', 'unknown', 'skipped'])
      expect(html).toContain(`>${verdict}</span>`);
  });
});

describe('any report', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('<a href="x">', "' onload='", '<%= it %>', '\u001b]0;x\u0007'),
  );
  const finding = fc.record(
    {
      check: text,
      verdict: fc.constantFrom<Verdict>('ok', 'warning', 'failed', 'unknown', 'skipped'),
      summary: text,
      evidence: text,
    },
    { requiredKeys: ['check', 'verdict', 'summary'] },
  );
  const any: fc.Arbitrary<Report> = fc
    .record({ title: text, host: text, sections: fc.array(fc.record({ title: text, findings: fc.array(finding) })) })
    .map((parts) => makeReport({ ...hostileReport, ...parts }));

  it("renders without a control character and with only the template's own tags", () => {
    const tags = (html: string) => new Set(html.match(/<\/?[a-z0-9!]+/g));
    const known = tags(renderHtml(hostileReport));
    fc.assert(
      fc.property(any, (one) => {
        const html = renderHtml(one);
        expect([...tags(html)].filter((tag) => !known.has(tag))).toEqual([]);
        expect(html).not.toMatch(forbidden);
        expect(renderText(one)).not.toMatch(forbidden);
      }),
      { numRuns: 300 },
    );
  });

  it('stays bounded, whatever the host says', () => {
    const evidence = '<'.repeat(100_000);
    const findings = Array.from({ length: 5_000 }, () => ({
      check: 'c',
      verdict: 'ok' as const,
      summary: 's',
      evidence,
    }));
    const html = renderHtml(makeReport({ ...hostileReport, sections: [{ title: 's', findings }] }));
    expect(html.length).toBeLessThan(200_000);
    expect(html).toContain('4800 more lines are not shown here.');
  });
});

describe('units', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1536, '1.5 KiB'],
    [5 * 1024 ** 3, '5.0 GiB'],
  ])('%d bytes are %s', (bytes, shown) => expect(readableBytes(bytes)).toBe(shown));

  it.each([
    [400, '0.4 s'],
    [12_300, '12 s'],
    [185_000, '3 min 5 s'],
    [7_800_000, '2 h 10 min'],
    [Number.NaN, 'an unknown time'],
  ])('%d ms are %s', (ms, shown) => expect(readableDuration(ms)).toBe(shown));

  it('cuts without leaving half a character', () => {
    expect(cleanText(`a${'😀'.repeat(3)}`, 2)).toBe('a … (5 more characters)');
  });
});
