import { describe, expect, it } from 'vitest';
import { type Finding, worst } from '../../src/operations/finding.ts';
import { makeReport, type Report, verdictsOf } from '../../src/operations/report.ts';
import { cleanReport } from '../../src/reports/clean.ts';
import { renderHtml } from '../../src/reports/html.ts';
import { renderText } from '../../src/reports/text.ts';
import { fleetReport, goodReport, hostileReport, morningReport, withSections } from './sample-report.ts';

const timeZone = 'Europe/Berlin';
const machine = 'server1';
const id = 'check-health/pve1/k3f9';
const near = { id, machine, url: 'http://127.0.0.1:8233/namespaces/default/workflows/x' };
const far = { id, machine, url: 'https://temporal.example.org/namespaces/default/workflows/x' };
const seen = (html: string) =>
  html
    .replace(/<style>.*<\/style>/s, '')
    .replace(/<[^>]+>/g, ' ')
    .replace(/&#39;/g, "'")
    .replace(/\s+/g, ' ');
/** What stands in a text in this order. */
const inOrder = (text: string, ...parts: readonly string[]) => {
  const places = parts.map((part) => text.indexOf(part));
  expect(places, JSON.stringify(parts)).toEqual([...places].sort((a, b) => a - b));
  expect(places).not.toContain(-1);
};

describe('a report begins with what needs a person', () => {
  const red = ['pveproxy has failed (exit-code).', 'The last good backup is', '301.4 GiB of 348.8 GiB used'];

  it.each([
    ['text', renderText(morningReport, { timeZone })],
    ['folded text', renderText(morningReport, { timeZone, folded: true })],
    ['HTML', seen(renderHtml(morningReport, { timeZone }))],
  ])('as %s', (_, shown) => {
    inOrder(shown, 'pve1, 2026-11-22 09:00:00 CET, took 2.3 s', 'Last good backups', ...red, 'pvedaemon', 'Memory');
    expect(shown).toContain('To do: Run on the host: systemctl status pveproxy; journalctl -u pveproxy -n 50');
    for (const part of red) expect(shown.split(part), part).toHaveLength(2);
  });

  it('names the section of each, and how long ago it was for who reads it now', () => {
    const now = Date.parse(morningReport.startedAt) + 120_000;
    const lines = renderText(morningReport, { timeZone, now }).split('\n');
    expect(lines).toContain('pve1, 2026-11-22 09:00:00 CET (2 min 0 s ago), took 2.3 s');
    expect(lines).toContain('  FAILED    pveproxy (Services): pveproxy has failed (exit-code).');
    expect(seen(renderHtml(morningReport))).toContain('pveproxy in Services');
  });

  it('has what is well on a line for each section in a mail, and all of it on a terminal', () => {
    const folded = renderText(morningReport, { folded: true });
    expect(folded.slice(folded.indexOf('The rest'))).toBe(`The rest
  ok        Services: pvedaemon, pvestatd, pve-cluster
  ok        Storages: local, nas
  ok        Resources: Memory, Swap, CPU, Root disk
  ok        Backups: Clock
  skipped   corosync, Service, Containers
`);
    expect(renderText(morningReport)).toContain('  ok        Swap: 0 B of 8.0 GiB used (0 %).');
    const [, fold = ''] = renderHtml(morningReport).split('<details');
    expect(seen(`<details${fold}`)).toContain('ok Services pvedaemon, pvestatd, pve-cluster');
    expect(seen(`<details${fold}`)).toContain('pvedaemon : pvedaemon is active (running)');
  });

  it('tells in full, in a mail too, what its maker wants told each morning', () => {
    const backups = morningReport.sections.flatMap((part) =>
      'findings' in part && part.title === 'Backups' ? [{ ...part, unfolded: true as const }] : [],
    );
    const mail = { ...morningReport, sections: [...morningReport.sections.slice(0, -1), ...backups] };
    inOrder(renderText(mail, { folded: true }), 'Problems', '\nBackups\n  ok        Clock: The', 'The rest');
    expect(renderHtml(mail)).toMatch(/<details class="fold rule" open>.*<strong><\/strong> <span[^>]*>Backups</s);
    expect(renderHtml(morningReport)).not.toContain('rule" open');
  });

  it('has no list of problems where there is none', () => {
    expect(renderText(goodReport)).not.toContain('Problems');
    expect(renderHtml(goodReport)).not.toContain('What needs a look');
  });
});

describe('what to do', () => {
  const bare = (verdict: Finding['verdict']) =>
    withSections({ title: 'S', findings: [{ check: 'c', verdict, summary: 's' }] });

  it.each(['failed', 'unknown'] as const)('stands under every line that is %s', (verdict) => {
    for (const shown of [renderText(bare(verdict), { run: far }), seen(renderHtml(bare(verdict), { run: far }))]) {
      expect(shown).toMatch(/To do: .*npx proxmox-mcp runs log check-health\/pve1\/k3f9/);
    }
    expect(renderText(bare(verdict))).toContain('To do: ');
  });

  it('is not made up for a warning', () => expect(renderText(bare('warning'))).not.toContain('To do'));
});

describe('the run', () => {
  it('has a link that other machines can open, and a command', () => {
    const html = renderHtml(morningReport, { run: far });
    expect(html).toContain('<a href="https://temporal.example.org/namespaces/default/workflows/x"');
    expect(seen(html)).toContain('All of it: npx proxmox-mcp runs get check-health/pve1/k3f9');
    expect(renderText(morningReport, { run: far })).toMatch(/runs get check-health\/pve1\/k3f9\nhttps:\S+\/x\n$/);
  });

  it.each([
    [near.url, 'ssh -L 8233:127.0.0.1:8233 server1, then http://127.0.0.1:8233/namespaces/default/workflows/x'],
    ['http://[::1]:8080/x', 'ssh -L 8080:[::1]:8080 server1, then http://[::1]:8080/x'],
    ['http://localhost/x', 'ssh -L 80:localhost:80 server1, then http://localhost/x'],
  ])('has no link that opens nothing where it is read: %s', (url, how) => {
    const html = renderHtml(morningReport, { run: { ...near, url } });
    expect(html).not.toContain('<a ');
    expect(seen(html)).toContain(how);
    expect(renderText(morningReport, { run: { ...near, url } })).toContain(how);
  });

  it.each(['javascript:alert(1)', 'nowhere'])('has no link to %s', (url) => {
    expect(renderHtml(morningReport, { run: { ...near, url } })).not.toContain('<a ');
  });
});

describe('a large report', () => {
  const many = (make: (at: number) => Finding, sections = 1) =>
    makeReport({
      ...morningReport,
      sections: Array.from({ length: sections }, (_, section) => ({
        title: `Section ${section}`,
        findings: Array.from({ length: 400 }, (_, at) => make(at)),
      })),
    });
  const words = '"<&>" '.repeat(100);
  const bad: Finding = { check: words, verdict: 'failed', summary: words, remedy: words, evidence: words };

  it.each<[string, Report]>([
    ['of a fleet', fleetReport],
    ['of hostile failures', many(() => bad, 45)],
    ['of hostile lines that are well', many(() => ({ ...bad, verdict: 'ok' }), 45)],
    [
      'of everything',
      withSections(
        { title: words, findings: Array.from({ length: 300 }, () => bad) },
        { title: words, columns: Array(12).fill(words), rows: Array(500).fill(Array(12).fill(words)) },
        { title: words, quoted: words.repeat(500) },
      ),
    ],
  ])('%s fits into what Gmail shows', (_, report) => {
    const html = renderHtml(report, { run: far });
    expect(Buffer.byteLength(html)).toBeLessThan(102_400);
    expect(html).toContain('</html>');
    expect(html.includes('This mail is shortened.')).toBe(report !== fleetReport);
  });

  it('says how many problems it leaves out', () => {
    const html = seen(
      renderHtml(
        many(() => bad),
        { run: far },
      ),
    );
    expect(html).toMatch(/\d+ more are not shown here/);
    expect(html).toContain('What needs a look: ');
  });

  it('keeps the one failure among thousands of lines and sections', () => {
    const last = (at: number): Finding =>
      at === 399
        ? { check: 'needle', verdict: 'failed', summary: 'is here' }
        : { check: 'c', verdict: 'ok', summary: 's' };
    expect(renderText(many(last))).toContain('  FAILED    needle (Section 0): is here');
    const sections = many((at) => ({ check: 'c', verdict: 'ok', summary: `${at}` }), 60).sections;
    const late = makeReport({
      ...morningReport,
      sections: [
        ...sections,
        { title: 'Last', findings: [{ check: 'needle', verdict: 'failed', summary: 'is here' }] },
      ],
    });
    for (const shown of [renderText(late), seen(renderHtml(late))]) expect(shown).toContain('needle');
    // What is left out is well, so that nothing is unknown because of it.
    expect(verdictsOf(cleanReport(late).sections)).not.toContain('unknown');
    expect(worst(verdictsOf(cleanReport(many(() => bad)).sections.slice(1)))).toBe('skipped');
    expect(verdictsOf(cleanReport(many(() => bad)).sections)).toContain('unknown');
  });

  it('keeps the order and the kind of its sections', () => {
    expect(cleanReport(hostileReport).sections.map(({ title }) => title)).toEqual([
      'Service',
      'Health endpoints',
      'Containers',
    ]);
  });
});
