import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/activity';
import { beforeAll, beforeEach, expect, it } from 'vitest';
import type { HealthActivities, HealthInput } from '../../src/activities/check-health/check-health.ts';
import type { Reached } from '../../src/activities/check-health/reach.ts';
import type { NotifyActivities } from '../../src/activities/notify/notify.ts';
import type { Finding, Verdict } from '../../src/operations/finding.ts';
import type { FindingsSection, Report } from '../../src/operations/report.ts';
import type { RunResult } from '../../src/operations/run.ts';
import { hostQueue, progressQuery } from '../../src/workflows/lib/messages.ts';
import { bundle, useTemporal } from '../support/temporal.ts';

// The workflow as it is, with what a host would say; test/activities/check-health asks real ones.
const temporal = useTemporal();
let reached: Reached;
/** Findings by the section's title; what isn't here is well. */
let found: Record<string, readonly Finding[]>;
let broken: Record<string, ApplicationFailure>;
let asked: string[];
let inputs: HealthInput[];
let mailed: Report | undefined;
/** Why the mail server takes nothing. */
let refused: string | undefined;

const well: Reached = {
  findings: [{ check: 'Answer', verdict: 'ok', summary: 'It answers over SSH.' }],
  ways: { commands: true, api: true },
  hasProxmox: true,
  hasHelper: true,
  isInstalled: true,
};
const finding = (check: string, verdict: Verdict, summary: string): Finding => ({ check, verdict, summary });

const section =
  (title: string) =>
  async (input: HealthInput): Promise<FindingsSection> => {
    asked.push(title);
    inputs.push(input);
    const failure = broken[title];
    if (failure) throw failure;
    return { title, findings: [...(found[title] ?? [finding(title, 'ok', 'It is well.')])] };
  };

const activities: HealthActivities = {
  reachHost: async () => reached,
  inspectLastKnown: section('Backups'),
  inspectBackups: section('Backups'),
  inspectProxmox: section('Proxmox VE'),
  inspectStorages: section('Storage'),
  inspectGuests: section('Guests'),
  inspectResources: section('System'),
  inspectService: section('Service'),
  inspectContainers: section('Containers'),
  probeEndpoints: section('Health endpoints'),
  inspectSecurity: section('Security'),
  inspectRecentIssues: section('Recent issues'),
  inspectAutomation: section('Automation'),
};
const notify: NotifyActivities = {
  mailReport: async ({ report }) => {
    mailed = report;
    if (refused !== undefined) return { mailed: false, finding: finding('Mail', 'failed', refused) };
    return { mailed: true, finding: finding('Mail', 'ok', 'Sent.') };
  },
  page: async () => expect.unreachable('a report pages nobody'),
};

beforeAll(async () => {
  await temporal.work({
    workflowBundle: await bundle(join(import.meta.dirname, '../../src/workflows/index.generated.ts')),
    activities: { ...notify },
  });
  await temporal.work({ taskQueue: hostQueue('pve1'), activities: { ...activities } });
}, 600_000);

beforeEach(() => {
  [reached, found, broken, asked, inputs, mailed, refused] = [well, {}, {}, [], [], undefined, undefined];
});

let runs = 0;
async function check(mail = false) {
  runs += 1;
  const handle = await temporal.client.workflow.start('checkHealth', {
    taskQueue: 'proxmox-mcp',
    workflowId: `check-health/pve1/${runs}`,
    args: [{ input: { host: 'pve1', mail }, requestedBy: { kind: 'cli', name: 'test' } }],
  });
  const { report, output } = (await handle.result()) as RunResult<{ readonly mailed: boolean }>;
  const { steps } = await handle.query(progressQuery);
  const skipped = steps.filter(({ state }) => state === 'skipped').map(({ title }) => title);
  return { report, output, skipped, titles: report.sections.map(({ title }) => title) };
}

it('a host that is well is healthy, its backups first', async () => {
  const { report, titles, skipped } = await check();
  expect(report).toMatchObject({ verdict: 'ok', summary: 'pve1 is healthy.' });
  expect(titles).toEqual([
    'Backups',
    'Host',
    'Proxmox VE',
    'Storage',
    'Guests',
    'System',
    'Service',
    'Containers',
    'Health endpoints',
    'Security',
    'Recent issues',
    'Automation',
  ]);
  expect(skipped).toEqual(['Report']);
});

it('what a host does not have is one skipped line each', async () => {
  reached = { ...well, ways: { commands: true, api: false }, hasProxmox: false, isInstalled: false };
  const { report, titles, skipped } = await check();
  expect(report).toMatchObject({ verdict: 'ok', summary: 'pve1 is healthy.' });
  expect(titles).toEqual([
    'Backups',
    'Host',
    'Proxmox VE',
    'System',
    'Installation',
    'Security',
    'Recent issues',
    'Automation',
  ]);
  expect(skipped).toEqual(['Proxmox VE', 'Storage', 'Guests', 'Service', 'Containers', 'Health endpoints', 'Report']);
  expect(asked.sort()).toEqual(['Automation', 'Backups', 'Recent issues', 'Security', 'System']);
  const lines = report.sections.flatMap((one) => ('findings' in one ? one.findings : []));
  expect(lines.filter(({ verdict }) => verdict === 'skipped')).toMatchObject([
    { summary: 'There is no Proxmox VE on this host.' },
    { summary: 'There is no installation of Proxmox MCP on this host.' },
  ]);
});

it('a host with only an API is looked at by that; what needs commands is one line', async () => {
  reached = { ...well, ways: { commands: false, api: true }, hasHelper: false, isInstalled: false };
  const { report, titles } = await check();
  expect(report.verdict).toBe('ok');
  expect(titles).toEqual(['Backups', 'Host', 'Proxmox VE', 'Storage', 'Guests', 'System', 'Commands', 'Automation']);
  expect(inputs.filter(({ ways }) => ways?.commands === false && ways.api)).toHaveLength(inputs.length);
});

it('a host that is away is one line, with its last known backup, in report, headline and mail', async () => {
  const summary = 'pve1 does not answer: nothing listens on 192.0.2.1:22.';
  reached = {
    findings: [{ check: 'Answer', verdict: 'failed', summary, remedy: 'Start it.', evidence: 'said' }],
    ways: { commands: false, api: false },
    hasProxmox: false,
    hasHelper: false,
    isInstalled: false,
  };
  found = { Backups: [finding('Last known good backup', 'ok', 'x was published 7 h ago.')] };
  const { report, titles, skipped } = await check(true);
  expect(report).toMatchObject({ verdict: 'failed', summary });
  expect(titles).toEqual(['Host', 'Backups', 'Automation', 'Ledger', 'Report']);
  expect(asked.sort()).toEqual(['Automation', 'Backups']);
  expect(skipped).toHaveLength(9);
  expect(mailed?.summary).toBe(summary);
  // Somewhere else than where the ledger is, so that nobody who has all of that can change it.
  expect(mailed?.sections.at(-1)).toMatchObject({
    title: 'Ledger',
    findings: [
      { verdict: 'ok', summary: expect.stringMatching(/^It(s newest record is \d+ [0-9a-f]{64}| is empty\.)$/) },
    ],
  });
  expect(JSON.stringify(mailed)).not.toMatch(/Security|Recent issues/);
});

it('problems are named by their causes: at most three, and how many more', async () => {
  found = {
    Backups: [finding('Last good backup', 'failed', 'The last good backup is 3 days old. It was x.')],
    Guests: [finding('VM 100', 'failed', 'VM 100 should run with its host, and is stopped.')],
    Storage: [finding('nas', 'failed', 'nas is not active.'), finding('local', 'warning', 'local is 90 % full.')],
    System: [
      finding('Memory', 'failed', '31 of 32 GiB used.'),
      finding('Failed units', 'failed', 'x.service has failed.'),
    ],
  };
  const { report } = await check();
  expect(report.summary).toBe(
    'pve1: last good backup is 3 days old; nas is not active; VM 100 should run with its host, and is stopped and 2 more.',
  );
  found = { System: [finding('Memory', 'warning', '27 of 32 GiB used.')] };
  expect((await check()).report.summary).toBe('pve1 works; look at: Memory: 27 of 32 GiB used.');
});

it('a host that goes away in the middle is one line, and what was seen of it stays', async () => {
  const away = ApplicationFailure.nonRetryable('pve1 refuses connections', 'host-unreachable');
  broken = Object.fromEntries(['Guests', 'System', 'Security', 'Recent issues'].map((title) => [title, away]));
  const { report, titles } = await check();
  expect(report.summary).toBe('pve1 stopped answering while it was looked at.');
  expect(titles).toEqual([
    'Host',
    'Backups',
    'Proxmox VE',
    'Storage',
    'Service',
    'Containers',
    'Health endpoints',
    'Automation',
  ]);
});

it('one thing that could not be looked at is unknown, and hides no other', async () => {
  broken = { Guests: ApplicationFailure.nonRetryable('It broke.', 'internal') };
  const { report } = await check();
  expect(report).toMatchObject({ verdict: 'unknown', summary: 'pve1 works; look at: Guests: It broke.' });
});

it('says that it could not be mailed, which is a failure', async () => {
  refused = 'The mail was not sent: the mail server is away.';
  const { report, output } = await check(true);
  expect(mailed?.summary).toBe('pve1 is healthy.');
  expect(report).toMatchObject({ verdict: 'failed', summary: 'pve1 is healthy. This report could not be mailed.' });
  expect(output.mailed).toBe(false);
});

it('without a helper, what needs it is one line', async () => {
  reached = {
    ...well,
    findings: [
      ...well.findings,
      { check: 'Helper', verdict: 'failed', summary: 'The helper of pve1 is of another version.' },
    ],
    ways: { commands: true, api: false },
    hasHelper: false,
  };
  const { report, titles } = await check();
  expect(titles).toEqual([
    'Host',
    'Backups',
    'Proxmox VE',
    'System',
    'Service',
    'Containers',
    'Health endpoints',
    'Security',
    'Automation',
  ]);
  expect(report.summary).toBe('pve1: helper of pve1 is of another version.');
  expect(inputs.find(({ hasHelper }) => hasHelper === false)).toBeDefined();
});
