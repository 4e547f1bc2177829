import { join } from 'node:path';
import { heartbeat, sleep } from '@temporalio/activity';
import { beforeAll, expect, it, vi } from 'vitest';
import type { BackupActivities, CollectedFiles } from '../../src/activities/back-up/back-up.ts';
import { createLockActivities } from '../../src/activities/lock/lock.ts';
import type { Finding } from '../../src/operations/finding.ts';
import { findingsOf } from '../../src/operations/report.ts';
import type { RunResult } from '../../src/operations/run.ts';
import { followQueue, hostQueue, serviceQueue } from '../../src/workflows/lib/messages.ts';
import { bundle, useTemporal } from '../support/temporal.ts';

// The workflow as it is, with what a host would say; test/ops and test/faults ask real ones.
const temporal = useTemporal();
const id = 'daily-backup-20261122-020000';
let collected: CollectedFiles;
let changed: boolean;
let old: string[] = [];
let removing = false;

const activities: BackupActivities = {
  lookForBackup: async () => ({
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
  }),
  collectBackup: async () => collected,
  archiveVolumes: async ({ volumes }) =>
    volumes.map((name) => ({ name, bytes: 1, changed: changed && name === 'mcp_logs' })),
  packBackup: async () => ({ files: 3, bytes: 50 }),
  verifyBackup: async () => ({ sha256: 'f'.repeat(64), bytes: 50, entries: 5, files: 3 }),
  publishBackup: async ({ sha256 }) => ({ path: `/backups/${id}.tar.gz`, bytes: 50, sha256 }),
  abandonBackup: async () => undefined,
  planBackupRetention: async () => ({ remove: old, keep: [{ id, why: 'it is the last verified archive' }] }),
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

async function archiveSection(workflowId: string): Promise<readonly Finding[]> {
  const result: RunResult<unknown> = await temporal.client.workflow.execute('backUp', {
    workflowId,
    taskQueue: serviceQueue,
    args: [{ input: { host: 'pve1', kind: 'daily' }, requestedBy: { kind: 'cli', name: 'test' } }],
  });
  expect(result.outcome).toBe('done');
  return findingsOf(result.report.sections.filter(({ title }) => title === 'Archive'));
}

it('reports what of the installation is not in the archive, and which volume was written to meanwhile', async () => {
  collected = { entries: 3, sudoers: true, replaced: [] };
  changed = false;
  expect((await archiveSection('plain')).map(({ check }) => check)).toEqual(['Archive', 'Read back']);

  collected = { entries: 3, sudoers: true, replaced: ['backup-manifest.sha256', 'mcp_logs.tar.gz'] };
  changed = true;
  const [, , ...more] = await archiveSection('busy');
  expect(more).toEqual([
    {
      check: 'Left out',
      verdict: 'warning',
      summary: expect.stringContaining('own of that name: backup-manifest.sha256, mcp_logs.tar.gz.'),
    },
    { check: 'Volume mcp_logs', verdict: 'ok', summary: expect.stringContaining('written to while it was read') },
  ]);
});

it('is done when it is cancelled while old archives are removed, because its archive is there, and says so', async () => {
  collected = { entries: 3, sudoers: true, replaced: [] };
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
