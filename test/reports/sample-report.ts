import type { Finding } from '../../src/operations/finding.ts';
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

const fine = (check: string, summary: string, evidence?: string): Finding => ({
  check,
  verdict: 'ok',
  summary,
  ...(evidence !== undefined && { evidence }),
});

/** A host's morning: two failures, a warning, and much that is well. */
export const morningSections: readonly Section[] = [
  {
    title: 'Last good backups',
    columns: ['What', 'When', 'Age', 'Size'],
    rows: [
      ['Configuration', '2026-11-19 02:00:11 CET', '3 days 7 h', '14.2 MiB'],
      ['VM 100 (files)', '2026-11-22 01:30:05 CET', '7 h 30 min', '31.0 GiB'],
      ['Container 101 (dns)', '2026-11-22 01:41:57 CET', '7 h 18 min', '1.1 GiB'],
    ],
  },
  {
    title: 'Services',
    findings: [
      fine('pvedaemon', 'pvedaemon is active (running) since 2026-11-20 08:12:44 CET.'),
      {
        check: 'pveproxy',
        verdict: 'failed',
        summary: 'pveproxy has failed (exit-code).',
        remedy: 'Run on the host: systemctl status pveproxy; journalctl -u pveproxy -n 50',
        evidence: 'ActiveState=failed\nSubState=failed\nResult=exit-code',
      },
      fine('pvestatd', 'pvestatd is active (running) since 2026-11-20 08:12:44 CET.'),
      fine('pve-cluster', 'pve-cluster is active (running) since 2026-11-20 08:12:41 CET.'),
      { check: 'corosync', verdict: 'skipped', summary: 'This host is in no cluster.' },
    ],
  },
  {
    title: 'Storages',
    findings: [
      fine('local', '38.2 GiB of 93.9 GiB used (41 %), 55.7 GiB free.'),
      {
        check: 'local-lvm',
        verdict: 'warning',
        summary: '301.4 GiB of 348.8 GiB used (86 %), 47.4 GiB free.',
      },
      fine('nas', '4.1 TiB of 10.9 TiB used (38 %), 6.8 TiB free.'),
    ],
  },
  {
    title: 'Resources',
    findings: [
      fine('Memory', '21.3 GiB of 62.7 GiB used (34 %, ZFS cache of 8.0 GiB not counted).'),
      fine('Swap', '0 B of 8.0 GiB used (0 %).'),
      fine('CPU', '7 % used over about a second.'),
      fine('Root disk', '12.4 GiB of 93.9 GiB used (13 %), 81.5 GiB free.'),
    ],
  },
  {
    title: 'Backups',
    findings: [
      {
        check: 'Last good backup',
        verdict: 'failed',
        summary: 'The last good backup is 3 days 7 h old: 2026-11-19 02:00:11 CET.',
        remedy:
          'Make one: npx proxmox-mcp back-up --host pve1; then see why the nightly one did not: npx proxmox-mcp runs list',
      },
      fine('Clock', "The host's clock agrees with this service's."),
    ],
  },
  {
    title: 'Installation',
    findings: [
      { check: 'Service', verdict: 'skipped', summary: 'There is no installation at /opt/proxmox-mcp on this host.' },
      { check: 'Containers', verdict: 'skipped', summary: 'Docker is not installed on this host.' },
    ],
  },
];

export const morningReport = makeReport({
  title: 'Check health',
  target: 'pve1',
  startedAt: '2026-11-22T08:00:00.000Z',
  finishedAt: '2026-11-22T08:00:02.340Z',
  summary: 'pve1 needs attention now: pveproxy, Last good backup.',
  sections: morningSections,
});

/** The same morning where nothing is wrong. */
export const goodReport = makeReport({
  ...morningReport,
  summary: 'pve1 is healthy.',
  sections: morningSections.map((part) =>
    'findings' in part
      ? { ...part, findings: part.findings.filter(({ verdict }) => verdict === 'ok' || verdict === 'skipped') }
      : part,
  ),
});

/** A fleet of 40 hosts: each has a section, and every third one something to look at. */
export const fleetReport = makeReport({
  ...morningReport,
  target: 'fleet',
  summary: '14 of 40 hosts need attention.',
  sections: Array.from({ length: 40 }, (_, at) => ({
    title: `pve${at + 1}`,
    findings: morningSections
      .flatMap((part) => ('findings' in part ? part.findings : []))
      .filter(({ verdict }) => at % 3 === 0 || verdict === 'ok' || verdict === 'skipped'),
  })),
});
