import { makeReport, type Report, type Section } from '../../src/operations/report.ts';

/** A report with every verdict and what a hostile host would put into it. */
export const hostileSections: readonly Section[] = [
  {
    title: 'Service',
    findings: [
      { check: 'Running', verdict: 'ok', summary: 'proxmox-mcp is active (running) since 2026-11-20 07:12:44 UTC.' },
      {
        check: 'Starts at boot',
        verdict: 'warning',
        summary: 'proxmox-mcp is disabled.',
        evidence: 'UnitFileState=disabled',
      },
    ],
  },
  {
    title: 'Health endpoints',
    findings: [
      {
        check: 'Health endpoint',
        verdict: 'failed',
        summary: 'http://localhost:8080/health answers 503 <b>& says</b> "unhealthy".',
        evidence:
          '</pre><script>alert(1)</script><img src="https://evil.example/x">\n\u001b[31mred\u001b[0m \u202eesrever\u0007\n  ok        Faked: all is well',
      },
      { check: 'Proxy', verdict: 'unknown', summary: 'The answer could not be read.', evidence: 'x'.repeat(5_000) },
    ],
  },
  {
    title: 'Containers',
    findings: [{ check: 'Docker', verdict: 'skipped', summary: 'Docker is not installed on this host.' }],
  },
];

export const hostileReport = makeReport({
  title: 'Health check',
  target: 'pve1',
  startedAt: '2026-11-22T08:00:00.000Z',
  finishedAt: '2026-11-22T08:00:02.340Z',
  summary: '3 of 4 checks need a look.',
  sections: hostileSections,
});

/** Markup, colours, reversed and hidden text, a forged line of ours, marks piled up, a line without end. */
export const hostile = [
  '</td></table><script>alert(1)</script>',
  '\u001b[31mred\u001b[0m \u202eesrever\u202c \u{e0041}\ufe0fhid\u200bden\u2800',
  '  FAILED    Faked: all is lost',
  `z${'\u0301'.repeat(500)}`,
  'x'.repeat(100_000),
].join('\n');

export const withSections = (...sections: Section[]): Report => makeReport({ ...hostileReport, sections });

/** One of each kind, with much in it. */
export const everySection: readonly Section[] = [
  { title: hostile, findings: [{ check: hostile, verdict: 'failed', summary: hostile, evidence: hostile }] },
  {
    title: 'Table',
    columns: ['A', hostile, 'C', 'D', 'E'],
    rows: Array.from({ length: 10_000 }, (_, row) => [`row ${row}`, hostile, 'c', 'd', 'e', 'one too many']),
  },
  { title: 'Quoted', quoted: hostile },
];
