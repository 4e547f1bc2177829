import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/activity';
import { beforeAll, beforeEach, expect, it } from 'vitest';
import type { HealthActivities } from '../../src/activities/check-health/check-health.ts';
import type { Reached } from '../../src/activities/check-health/reach.ts';
import type {
  GuestArchives,
  HostArchives,
  ListBackupsActivities,
  ServerArchives,
} from '../../src/activities/list-backups/list-backups.ts';
import type { BackupEntry } from '../../src/operations/list-backups.ts';
import { findingsOf } from '../../src/operations/report.ts';
import type { RunResult } from '../../src/operations/run.ts';
import { renderText } from '../../src/reports/text.ts';
import { hostQueue, serviceQueue } from '../../src/workflows/lib/messages.ts';
import { bundle, useTemporal } from '../support/temporal.ts';

const temporal = useTemporal();
let reached: Reached;
let archives: HostArchives;
let guests: GuestArchives;
let server: ServerArchives | undefined;
let failing = false;
let asked: string[] = [];

const own: BackupEntry = {
  kind: 'host',
  name: 'daily-backup-20261122-020000',
  takenAt: '2026-11-22T02:00:00.000Z',
  ageSeconds: 6 * 3600,
  bytes: 2048,
  state: 'verified',
  where: '/opt/proxmox-mcp-backups',
  copies: [
    ...[{ where: 'service', at: '2026-11-22T05:00:00.000Z', state: 'whole' as const }].map((one) => ({
      ...one,
      checkedAt: '2026-11-23T05:00:00.000Z',
      proves: 'ciphertext' as const,
    })),
  ],
};
const ofGuest: BackupEntry = {
  kind: 'guest',
  name: 'nas:backup/vzdump-qemu-100.vma.zst',
  vmid: 100,
  takenAt: '2026-11-22T03:00:00.000Z',
  ageSeconds: 5 * 3600,
  state: 'not-verified',
  where: 'nas',
};

const activities: ListBackupsActivities & Pick<HealthActivities, 'reachHost' | 'inspectLastKnown'> = {
  async listHostArchives() {
    asked.push('archives');
    return archives;
  },
  async listGuestBackups() {
    asked.push('guests');
    if (failing) throw ApplicationFailure.nonRetryable('The API said 500.', 'proxmox-unavailable');
    return guests;
  },
  listServerBackups: async () => server,
  timeZoneOf: async () => 'Europe/Berlin',
  nextBackups: async () => [
    { schedule: 'back-up/daily/pve1', at: '2026-11-23T02:00:00.000Z', paused: false },
    { schedule: 'copy-backups/weekly/pve1', paused: true },
  ],
  reachHost: async () => reached,
  inspectLastKnown: async () => ({
    title: 'Backups',
    findings: [{ check: 'Last backup', verdict: 'warning', summary: 'It was known to be 30 h old.' }],
  }),
};

beforeAll(async () => {
  await temporal.work({
    workflowBundle: await bundle(join(import.meta.dirname, '../../src/workflows/index.generated.ts')),
  });
  await temporal.work({ taskQueue: hostQueue('pve1'), activities });
}, 600_000);

beforeEach(() => {
  const ways = { commands: true, api: true };
  reached = { findings: [], ways, hasProxmox: true, hasHelper: true, isInstalled: false };
  archives = { backups: [own], total: 1, lastGood: own, folder: own.where, gone: [], goneCount: 0, notUnderstood: 0 };
  guests = {
    backups: [ofGuest],
    total: 1,
    lastGood: [ofGuest],
    without: [{ vmid: 101, label: 'container 101 (dns)' }],
    labels: [
      { vmid: 100, label: 'VM 100 (files)' },
      { vmid: 101, label: 'container 101 (dns)' },
    ],
    next: [{ vmid: 100, at: '2026-11-23T00:30:00.000Z', by: 'nightly' }],
    unseen: [],
    isComplete: true,
  };
  failing = false;
  asked = [];
});

it('lists what a backup server holds, which is no host of guests', async () => {
  reached = { ...reached, ways: { commands: false, api: false }, hasProxmox: false, hasHelper: false };
  const one: BackupEntry = { ...ofGuest, name: 'vm/100/2026-11-22T03:00:00Z', where: 'main/site' };
  server = { backups: [one], total: 7, lastGood: [one], unseen: [{ where: 'other', why: 'It is away.' }] };
  const { output, report } = await list('server');
  server = undefined;
  expect(output).toEqual({ lastGood: [one], withoutBackup: [], backups: [one], total: 7, isComplete: false });
  expect(report.summary).toBe('pve1 holds 7 snapshots of 1 groups that have one which is not known to be damaged.');
  expect(findingsOf(report.sections)).toMatchObject([
    { check: 'vm/100', verdict: 'ok' },
    { check: 'Datastore other', verdict: 'unknown' },
  ]);
});

async function list(workflowId: string, input: object = {}) {
  return (await temporal.client.workflow.execute('listBackups', {
    workflowId,
    taskQueue: serviceQueue,
    args: [{ input: { host: 'pve1', ...input }, requestedBy: { kind: 'cli', name: 'test' } }],
  })) as RunResult<{ backups: readonly BackupEntry[]; lastGood: readonly BackupEntry[]; isComplete: boolean }>;
}

it('says when the last good ones were, in the zone of the host, and lists all with the newest first', async () => {
  const { output, report } = await list('both');
  expect(output).toEqual({
    lastGood: [own, ofGuest],
    withoutBackup: [101],
    backups: [ofGuest, own],
    total: 2,
    isComplete: true,
    next: [
      { schedule: 'back-up/daily/pve1', at: '2026-11-23T02:00:00.000Z', paused: false },
      { schedule: 'copy-backups/weekly/pve1', paused: true },
    ],
    guests: [
      { vmid: 100, label: 'VM 100 (files)', next: '2026-11-23T00:30:00.000Z', by: 'nightly' },
      { vmid: 101, label: 'container 101 (dns)' },
    ],
  });
  expect(report.summary).toBe(
    'The last good backup of pve1 itself is 6 h 0 min old. The last one of a guest is 5 h 0 min old, and 1 of them have none. There are 2 backups.',
  );
  const text = renderText(report);
  expect(text).toContain('VM 100 (files)');
  expect(text).toContain('2026-11-22 04:00:00 CET');
  expect(text).toContain('by the host itself');
  expect(text).toContain('. The next by nightly: 2026-11-23 01:30:00 CET');
  expect(text).toContain('service: 2026-11-22 06:00:00 CET, encrypted bytes compared 2026-11-23');
  expect(findingsOf(report.sections)).toContainEqual(
    expect.objectContaining({ check: 'Next by back-up daily', verdict: 'ok', summary: '2026-11-23 03:00:00 CET' }),
  );
  expect(findingsOf(report.sections)).toContainEqual(
    expect.objectContaining({ check: 'Next by copy-backups weekly', verdict: 'warning', summary: 'It is paused.' }),
  );
  expect(findingsOf(report.sections)).toContainEqual(
    expect.objectContaining({ check: 'Guests without a backup', verdict: 'warning', summary: 'container 101 (dns).' }),
  );
});

it('says with what to do that there is none, and what a guest has when only it is asked for', async () => {
  const { lastGood: _, ...without } = archives;
  archives = { ...without, backups: [{ ...own, state: 'doubted' }] };
  expect(findingsOf((await list('none')).report.sections)[0]).toMatchObject({
    verdict: 'warning',
    summary: expect.stringContaining('no good backup of the host itself in /opt/proxmox-mcp-backups. 1 doubted'),
    remedy: expect.stringContaining('host accept-backup pve1'),
  });
  asked = [];
  const { report, output } = await list('guest', { vmid: 100 });
  expect(asked).toEqual(['guests']);
  expect(output.backups).toEqual([ofGuest]);
  expect(report.summary).toMatch(/^The newest backup of this guest that is not known to be damaged is 5 h 0 min old/);
});

it('warns of a guest whose newest backup is old', async () => {
  guests = { ...guests, lastGood: [{ ...ofGuest, ageSeconds: 400 * 86_400 }] };
  expect(findingsOf((await list('old')).report.sections)).toContainEqual(
    expect.objectContaining({ check: 'VM 100 (files)', verdict: 'warning' }),
  );
});

it('asks only what there is a way to, and what fails hides nothing else', async () => {
  reached = { ...reached, ways: { commands: true, api: false }, hasProxmox: false };
  expect((await list('plain')).output).toMatchObject({ backups: [own], isComplete: true });
  reached = { ...reached, ways: { commands: false, api: true }, hasProxmox: true, hasHelper: false };
  asked = [];
  expect((await list('api')).output.backups).toEqual([ofGuest]);
  expect(asked).toEqual(['guests']);

  reached = { ...reached, ways: { commands: true, api: true }, hasHelper: true };
  failing = true;
  const { output, report } = await list('failing');
  expect(output).toMatchObject({ backups: [own], isComplete: false });
  expect(findingsOf(report.sections)).toContainEqual(
    expect.objectContaining({
      check: 'Guests',
      verdict: 'unknown',
      summary: expect.stringContaining('The API said 500'),
    }),
  );
});

it('of a host that is away is one line, and what was known last', async () => {
  const away = { check: 'Answer', verdict: 'failed', summary: 'pve1 does not answer.' } as const;
  reached = { ...reached, findings: [away], ways: { commands: false, api: false } };
  const { report } = await list('away');
  expect(asked).toEqual([]);
  expect(report.summary).toBe('pve1 does not answer, so its backups could not be listed.');
  expect(findingsOf(report.sections)).toEqual([away, expect.objectContaining({ check: 'Last backup' })]);
});
