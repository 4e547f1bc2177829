import { join } from 'node:path';
import { ApplicationFailure, heartbeat, sleep } from '@temporalio/activity';
import { beforeAll, beforeEach, expect, it, vi } from 'vitest';
import type {
  BackupActivities,
  BackupLook,
  CollectedFiles,
  CollectedHost,
  ComparedBackup,
} from '../../src/activities/back-up/back-up.ts';
import { createLockActivities } from '../../src/activities/lock/lock.ts';
import type { Finding } from '../../src/operations/finding.ts';
import { findingsOf } from '../../src/operations/report.ts';
import type { RunResult } from '../../src/operations/run.ts';
import { followQueueOf, hostQueue, serviceQueue } from '../../src/workflows/lib/messages.ts';
import { bundle, useTemporal } from '../support/temporal.ts';

// The workflow as it is, with what a host would say; test/ops and test/faults ask real ones.
const temporal = useTemporal();
const id = 'daily-backup-20261122-020000';
let look: BackupLook;
let notUnderstood: number;
let collected: CollectedFiles;
let own: CollectedHost;
let changed: readonly string[];
let compared: Pick<ComparedBackup, 'doubts' | 'accepted' | 'last' | 'gone'>;
let old: string[] = [];
let removing = false;
let failing = false;
let abandoned: string[] = [];

const contents: BackupLook = {
  isInstalled: true,
  id,
  installation: '/opt/proxmox-mcp',
  own: {
    parts: [{ kind: 'network', bytes: 10, files: 1, path: '/etc/hosts' }],
    absent: [{ kind: 'proxmox', path: '/etc/pve' }],
    closed: [],
  },
  entries: 3,
  bytes: 100,
  sudoers: { path: '/etc/sudoers.d/claude-user', there: true },
  volumes: [
    { name: 'mcp_logs', bytes: 1, named: 'mcp_logs' },
    { name: 'caddy_data', bytes: 1, named: 'caddy_data' },
  ],
  skippedVolumes: [],
  concerns: [],
  now: '2026-11-22T02:00:00.000Z',
  folder: '/backups',
  freeBytes: 1_000,
  neededBytes: 300,
  leftovers: [],
  notUnderstood: 0,
};

const retention = () => ({ remove: old, keep: [{ id, why: 'it is the last verified archive' }], notUnderstood });

const activities: BackupActivities = {
  lookForBackup: async () => look,
  collectBackup: async () => collected,
  collectHost: async () => own,
  archiveVolumes: async ({ volumes }) =>
    volumes.map((name) => ({ name, bytes: 1, changed: name === 'mcp_logs' ? changed : [], lost: [] })),
  packBackup: async () => ({ files: 3, bytes: 50, ...compared }),
  async verifyBackup() {
    if (failing) throw ApplicationFailure.nonRetryable('It broke.', 'verification-failed');
    return { sha256: 'f'.repeat(64), bytes: 50, entries: 5, files: 3 };
  },
  publishBackup: async ({ sha256 }) => ({
    path: `/backups/${id}.tar.gz`,
    bytes: 50,
    sha256,
    counts: compared.doubts.length === 0,
  }),
  checkArchives: async () => ({ whole: ['daily-backup-20261121-020000'], broken: [] }),
  tellLastGood: async () => 'The last good backup of pve1 is daily-backup-20261121-020000, 24 h 0 min old.',
  abandonBackup: async (input) => void abandoned.push(input.id),
  planBackupRetention: async () => retention(),
  planBackup: async () => ({ steps: [{ title: 'Pack', does: ['pack-backup NAME'] }], retention: retention() }),
  async removeBackup() {
    removing = true;
    // Until the run is cancelled.
    for (;;) {
      await sleep(50);
      heartbeat();
    }
  },
};

beforeAll(async () => {
  await temporal.work({
    workflowBundle: await bundle(join(import.meta.dirname, '../../src/workflows/index.generated.ts')),
    activities: createLockActivities({ client: temporal.client }),
  });
  for (const taskQueue of [hostQueue('pve1'), followQueueOf('pve1')])
    await temporal.work({ taskQueue, activities: { ...activities } });
}, 600_000);

beforeEach(() => {
  look = contents;
  notUnderstood = 0;
  old = [];
  collected = {
    entries: 3,
    sudoers: true,
    volumes: ['mcp_logs', 'caddy_data'],
    replaced: [],
    changed: [],
    lost: [],
    notUnderstood: 0,
  };
  own = { ...contents.own, changed: [], lost: [] };
  changed = [];
  failing = false;
  abandoned = [];
  compared = { doubts: [], accepted: [], last: 'daily-backup-20261121-020000' };
});

async function backUp(workflowId: string): Promise<RunResult<unknown>> {
  const result: RunResult<unknown> = await temporal.client.workflow.execute('backUp', {
    workflowId,
    taskQueue: serviceQueue,
    args: [{ input: { host: 'pve1', kind: 'daily' }, requestedBy: { kind: 'cli', name: 'test' } }],
  });
  expect(result.outcome).toBe('done');
  return result;
}

async function archiveSection(workflowId: string): Promise<readonly Finding[]> {
  const result = await backUp(workflowId);
  return findingsOf(result.report.sections.filter(({ title }) => title === 'Archive'));
}

it('reports what of the installation is not in the archive, and which volume was written to meanwhile', async () => {
  expect((await archiveSection('plain')).map(({ check }) => check)).toEqual([
    'Archive',
    'Read back',
    'Contents compared',
  ]);

  collected = { ...collected, replaced: ['claude-user'] };
  changed = ['volume mcp_logs/data'];
  const [, , ...more] = await archiveSection('busy');
  expect(more).toEqual([
    {
      check: 'Left out',
      verdict: 'warning',
      summary: expect.stringContaining('own of that name: claude-user.'),
      remedy: "Remove it there if it isn't needed.",
    },
    {
      check: 'Written to',
      verdict: 'ok',
      summary: expect.any(String),
      remedy: expect.stringContaining('=pause'),
      evidence: 'volume mcp_logs/data',
    },
    { check: 'Contents compared', verdict: 'ok', summary: 'Compared with daily-backup-20261121-020000' },
  ]);
});

const failureOf = (workflowId: string) =>
  backUp(workflowId).then(
    () => undefined,
    (error: { readonly cause?: { readonly message: string; readonly type: string } }) => error.cause,
  );

it('fails when what was there last time is gone, and keeps the archive', async () => {
  compared = { ...compared, doubts: [{ verdict: 'failed', summary: 'missing: .env' }] };
  const error = await failureOf('gone');
  expect(error).toMatchObject({ type: 'verification-failed' });
  expect(error?.message).toMatch(
    /^The archive daily-backup-20261122-020000 was made and read back, but it does not count as a good backup\. Compared with daily-backup-20261121-020000: missing: \.env\. .*host accept-backup pve1 daily-backup-20261122-020000 The last good backup of pve1 is daily-backup-20261121-020000, 24 h 0 min old\.$/,
  );
  expect(abandoned).toEqual([]);
});

it('is copied off the host, with what has no copy yet, though it is doubted itself', async () => {
  look = { ...look, isCopied: true };
  compared = { ...compared, doubts: [{ verdict: 'failed', summary: 'missing: .env' }] };
  expect(await failureOf('doubted-copied')).toMatchObject({ type: 'verification-failed' });
  const { events } = await temporal.client.workflow.getHandle('doubted-copied').fetchHistory();
  const children = (events ?? []).flatMap(({ childWorkflowExecutionStartedEventAttributes: started }) => started ?? []);
  expect(children.map(({ workflowType }) => workflowType?.name)).toEqual(['copyBackups']);
  for (const { workflowExecution } of children)
    await temporal.client.workflow.getHandle(workflowExecution?.workflowId ?? '').terminate('seen');
});

it('is done with a warning when something is much less than last time', async () => {
  compared = { ...compared, doubts: [{ verdict: 'warning', summary: 'less than half: .env (5 of 14 bytes)' }] };
  const found = await archiveSection('less');
  expect(found.at(-1)).toMatchObject({
    verdict: 'warning',
    evidence: 'less than half: .env (5 of 14 bytes)',
    remedy: expect.stringContaining('host accept-backup pve1 daily-backup-20261122-020000'),
  });
});

it('says with a failure how old the last good backup is', async () => {
  failing = true;
  expect((await failureOf('failing'))?.message).toBe(
    'It broke. The last good backup of pve1 is daily-backup-20261121-020000, 24 h 0 min old. It stopped at step "Verify". Undone: Collect.',
  );
  expect(abandoned).toEqual([id]);
});

it('is done when it is cancelled while old archives are removed, because its archive is there, and says so', async () => {
  old = ['daily-backup-20261101-020000'];
  const handle = await temporal.client.workflow.start<(request: unknown) => Promise<RunResult<{ archive?: object }>>>(
    'backUp',
    {
      workflowId: 'back-up/pve1/cancelled',
      taskQueue: serviceQueue,
      args: [{ input: { host: 'pve1', kind: 'daily' }, requestedBy: { kind: 'cli', name: 'test' } }],
    },
  );
  await vi.waitFor(() => expect(removing).toBe(true), 10_000);
  await handle.cancel();
  const { outcome, output, report } = await handle.result();
  expect(outcome).toBe('done');
  expect(output.archive).toBeDefined();
  const [retention] = findingsOf(report.sections.filter(({ title }) => title === 'Retention'));
  expect(retention).toMatchObject({ verdict: 'warning', summary: expect.stringContaining('asked to stop') });
});

it('makes an archive of a host that has no installation, and says with a word what the host never had', async () => {
  look = { ...contents, isInstalled: false, entries: 0, bytes: 0, volumes: [], sudoers: { path: '/x', there: false } };
  collected = { ...collected, entries: 0, sudoers: false, volumes: [] };
  const { output, report } = await backUp('absent');
  expect(output).toMatchObject({ archive: { counts: true, volumes: [] } });
  expect(report.verdict).toBe('ok');
  const section = (title: string) => findingsOf(report.sections.filter((one) => one.title === title));
  expect(section("The host's configuration")).toEqual([
    { check: 'Proxmox', verdict: 'skipped', summary: 'This host has none: /etc/pve' },
    { check: 'Network', verdict: 'ok', summary: '/etc/hosts: 1 file, 10 B' },
  ]);
  expect(section('Contents')).toEqual([
    {
      check: 'Installation',
      verdict: 'skipped',
      summary: expect.stringContaining('There is none at /opt/proxmox-mcp'),
    },
  ]);
});

it('says what of the host could not be read, what was chosen and is not there, and which guests are gone', async () => {
  own = {
    ...own,
    parts: [...own.parts, { kind: 'proxmox', bytes: 5, files: 1, path: '/var/lib/pve-cluster/config.db' }],
    absent: [{ kind: 'chosen', path: '/srv/mistyped' }],
    closed: [{ kind: 'proxmox', path: '/etc/pve' }],
    database: 'sqlite3',
  };
  compared = { ...compared, gone: ['guest 101'] };
  const { report } = await backUp('closed');
  const found = findingsOf(report.sections);
  expect(found).toContainEqual(
    expect.objectContaining({
      check: 'Proxmox',
      verdict: 'ok',
      summary: expect.stringContaining('the database by sqlite3'),
    }),
  );
  expect(found).toContainEqual(
    expect.objectContaining({ check: 'Proxmox', verdict: 'warning', summary: expect.stringContaining('/etc/pve') }),
  );
  expect(found.find(({ check }) => check === 'Guests')).toMatchObject({
    verdict: 'warning',
    summary: expect.stringContaining('is in daily-backup-20261121-020000 still: guest 101'),
  });
});

it('reports lines of the host’s lists that nobody understands, and makes the backup all the same', async () => {
  look = { ...contents, notUnderstood: 2 };
  collected = { ...collected, notUnderstood: 1 };
  notUnderstood = 3;
  const { output, report } = await backUp('strange');
  expect(output).toMatchObject({ archive: { bytes: 50 } });
  const strange = findingsOf(report.sections.filter(({ title }) => title === 'Listings'));
  expect(strange).toMatchObject([
    { check: 'List of backups', verdict: 'unknown', summary: expect.stringMatching(/^3 lines /) },
    { check: 'List of jobs', verdict: 'unknown', summary: expect.stringMatching(/^1 lines /) },
  ]);
});
