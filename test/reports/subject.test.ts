import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Verdict } from '../../src/operations/finding.ts';
import { makeReport } from '../../src/operations/report.ts';
import { asSubject, subjectOf } from '../../src/reports/subject.ts';
import { fleetReport, goodReport, hostile, morningReport } from './sample-report.ts';

type Line = readonly [check: string, verdict: Verdict, summary: string];

function about(...lines: readonly Line[]): string {
  const findings = lines.map(([check, verdict, summary]) => ({ check, verdict, summary }));
  const summary = 'Nothing of it is on this host.';
  return subjectOf(makeReport({ ...morningReport, summary, sections: [{ title: 'All', findings }] }));
}

describe('the subject of a mail', () => {
  it('has the causes in it, the worst first, or says that all is well', () => {
    expect(subjectOf(morningReport)).toBe(
      '[pve1] Check health: 2 problems, 1 warning: pveproxy has failed; last good backup is 3 days 7 h old; ...',
    );
    expect(subjectOf(goodReport)).toBe('[pve1] Check health: all well');
    expect(subjectOf(fleetReport)).toBe(
      '[fleet] Check health: 28 problems, 14 warnings: pveproxy has failed; last good backup is 3 days 7 h old; ...',
    );
  });

  it.each<[string, readonly Line[]]>([
    // One failure says all; what names its check doesn't name it twice.
    ['pve1 does not answer', [['pve1', 'failed', 'pve1 does not answer. It was asked for 15 s.']]],
    ['Running: web is dead', [['Running', 'failed', 'web is dead (exit code 1).']]],
    ['warning: Swap: 7 of 8 GiB used', [['Swap', 'warning', '7 of 8 GiB used (88 %).']]],
    [
      '2 problems: Disk: full; Log: It could not be read',
      [
        ['Log', 'unknown', 'It could not be read.'],
        ['Disk', 'failed', 'full.'],
        ['CPU', 'ok', 'idle'],
      ],
    ],
    [
      '1 problem, 1 warning: b is dead; a is old',
      [
        ['a', 'warning', 'a is old.'],
        ['b', 'failed', 'b is dead.'],
      ],
    ],
    // The same of many hosts once; the number says how many.
    [
      '3 problems: pveproxy has failed',
      Array.from({ length: 3 }, (): Line => ['pveproxy', 'failed', 'pveproxy has failed.']),
    ],
    ['Clock: host says', [['Clock', 'failed', 'The host says 2026-11-22 09:00:03 GMT-5.']]],
    // What was skipped is not well.
    ['Nothing of it is on this host', [['Service', 'skipped', 'There is none.']]],
  ])('is “%s”', (shown, lines) => {
    expect(about(...lines)).toBe(`[pve1] Check health: ${shown}`);
  });

  it('may be its caller’s own words', () => {
    expect(asSubject('[pve1] back-up is paused\nand needs you')).toBe('[pve1] back-up is paused and needs you');
    expect(asSubject(`[pve1] failed: ${'no space left on device '.repeat(10)}`)).toMatch(/^.{100,117}\.\.\.$/);
  });

  it('is one clean line of at most 120 characters, whatever a host says', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.lorem({ maxCount: 40 }), fc.constantFrom(hostile, ''));
    const verdict = fc.constantFrom<Verdict>('ok', 'warning', 'failed', 'unknown', 'skipped');
    const report = fc.record({
      title: text,
      target: text,
      summary: text,
      sections: fc.array(
        fc.record({ title: text, findings: fc.array(fc.record({ check: text, verdict, summary: text })) }),
      ),
    });
    fc.assert(
      fc.property(report, (parts) => {
        const subject = subjectOf(makeReport({ ...morningReport, ...parts }));
        expect(subject.length).toBeLessThanOrEqual(120);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
        expect(subject).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u200b\u202e]/);
        expect(subject).toContain('] ');
      }),
    );
  });
});
