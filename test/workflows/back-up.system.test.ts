import { join } from 'node:path';
import { heartbeat, sleep } from '@temporalio/activity';
import { beforeAll, beforeEach, expect, it, vi } from 'vitest';
import type { BackupActivities, BackupLook, CollectedFiles } from '../../src/activities/back-up/back-up.ts';
import { createLockActivities } from '../../src/activities/lock/lock.ts';
import type { Finding } from '../../src/operations/finding.ts';
import { findingsOf } from '../../src/operations/report.ts';
import type { RunResult } from '../../src/operations/run.ts';
import { followQueue, hostQueue, serviceQueue } from '../../src/workflows/lib/messages.ts';
import { bundle, useTemporal } from '../support/temporal.ts';

// The workflow as it is, with what a host would say; test/ops and test/faults ask real ones.
const temporal = useTemporal();
const id = 'daily-backup-20261122-020000';
let look: BackupLook;
let notUnderstood: number;
let collected: CollectedFiles;
let changed: boolean;
let old: string[] = [];
let removing = false;

const contents: BackupLook = {
  isInstalled: true,
  id,
  installation: '/opt/proxmox-mcp',
  entries: 3,
  bytes: 100,
  sudoers: { path: '/etc/sudoers.d/claude-user', there: true },
  volumes: [
    { name: 'mcp_logs', bytes: 1 },
    { name: 'caddy_data', bytes: 1 },
  ],
  skippedVolumes: [],
  folder: '/backups',
  freeBytes: 1_000,
  neededBytes: 300,
  leftovers: [],
  notUnderstood: 0,
};

const activities: BackupActivities = {
  lookForBackup: async () => look,
  collectBackup: async () => collected,
  archiveVolumes: async ({ volumes }) =>
    volumes.map((name) => ({ name, bytes: 1, changed: changed && name === 'mcp_logs' })),
  packBackup: async () => ({ files: 3, bytes: 50 }),
  verifyBackup: async () => ({ sha256: 'f'.repeat(64), bytes: 50, entries: 5, files: 3 }),
  publishBackup: async ({ sha256 }) => ({ path: `/backups/${id}.tar.gz`, bytes: 50, sha256 }),
  abandonBackup: async () => undefined,
  planBackupRetention: async () => ({
    remove: old,
    keep: [{ id, why: 'it is the last verified archive' }],
    notUnderstood,
  }),
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
  for (const taskQueue of [hostQueue('pve1'), followQueue])
    await temporal.work({ taskQueue, activities: { ...activities } });
}, 600_000);

beforeEach(() => {
  look = contents;
  notUnderstood = 0;
  old = [];
  collected = { entries: 3, sudoers: true, replaced: [], notUnderstood: 0 };
  changed = false;
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
  expect((await archiveSection('plain')).map(({ check }) => check)).toEqual(['Archive', 'Read back']);

  collected = { entries: 3, sudoers: true, replaced: ['backup-manifest.sha256', 'mcp_logs.tar.gz'], notUnderstood: 0 };
  changed = true;
  const [, , ...more] = await archiveSection('busy');
  expect(more).toEqual([
    {
      check: 'Left out',
      verdict: 'warning',
      summary: expect.stringContaining('own of that name: backup-manifest.sha256, mcp_logs.tar.gz.'),
      remedy: "Remove it there if it isn't needed.",
    },
    { check: 'Volume mcp_logs', verdict: 'ok', summary: expect.stringContaining('written to while it was read') },
  ]);
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

it('is done, with a word, on a host that has no installation', async () => {
  look = { isInstalled: false, installation: '/opt/proxmox-mcp', notUnderstood: 0 };
  const { output, report } = await backUp('absent');
  expect(output).toEqual({ removed: [], kept: 0 });
  expect(report).toMatchObject({
    verdict: 'skipped',
    sections: [
      {
        findings: [{ check: 'Installation', verdict: 'skipped', summary: expect.stringContaining('/opt/proxmox-mcp') }],
      },
    ],
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
