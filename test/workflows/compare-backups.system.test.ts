import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/activity';
import { beforeAll, beforeEach, expect, it, vi } from 'vitest';
import type { BackupFolder, BrowseActivities } from '../../src/activities/browse-backup/browse-backup.ts';
import type { CompareActivities, Compared } from '../../src/activities/compare-backups/compare-backups.ts';
import { createPastChangesActivities } from '../../src/activities/past-changes/past-changes.ts';
import type { ReadingJobsActivities } from '../../src/activities/reading-jobs/reading-jobs.ts';
import type { LedgerFilter, LedgerRecord } from '../../src/operations/ledger.ts';
import type { RunResult } from '../../src/operations/run.ts';
import { renderText } from '../../src/reports/text.ts';
import { followQueueOf, hostQueue, ledgerQueue, serviceQueue } from '../../src/workflows/lib/messages.ts';
import { bundle, useTemporal } from '../support/temporal.ts';

const temporal = useTemporal({ withLedger: false });
let asked: LedgerFilter[] = [];
let isAway = false;
/** What the comparison waits for. */
let reads: Promise<void> | undefined;
const begun = vi.fn();
const stopReading = vi.fn<ReadingJobsActivities['stopReading']>(async () => {});
let note: string | undefined;

const monday = 'daily-backup-20261123-020000';
const found: Compared = {
  parts: [{ part: 'host', added: 1, removed: 0, changed: 1, touched: 2, volatile: 3 }],
  notCompared: ['volumes: 4 entries, only in the earlier one'],
  files: [
    {
      path: 'host/etc/hosts',
      change: 'changed',
      what: 'content',
      bytes: [10, 20],
      lines: ['- a', '+ password (masked 1)'],
    },
    { path: 'host/etc/modules', change: 'added', what: 'file', bytes: [5] },
  ],
  packages: { count: 1, changes: [{ name: 'bash', from: '1', to: '2' }] },
  guests: [{ vmid: 100, change: 'changed', settings: [{ setting: 'memory', from: '2048', to: '4096' }] }],
  notUnderstood: 0,
};
const folder: BackupFolder = {
  backup: monday,
  folder: 'host/etc',
  total: 300,
  entries: [
    { name: 'fstab', type: 'file', bytes: 2048, mode: '644', owner: '0:0', modified: '2026-11-01T00:00:00.000Z' },
    { name: 'resolv.conf', type: 'link', bytes: 0, mode: '777', owner: '0:0', target: '../run/resolv.conf' },
  ],
  notUnderstood: 0,
};

const record = (seq: number, target: string, operation: string, risk: string): LedgerRecord => ({
  ...{ key: `k${seq}`, kind: 'outcome', run: `${operation}/${seq}`, target, operation, by: 'mcp:claude', text: 'done' },
  ...{ seq, at: `2026-11-2${seq}T10:00:00.000Z`, previous: '', hash: '', data: { outcome: 'done', risk } },
});

beforeAll(async () => {
  await temporal.work({
    workflowBundle: await bundle(join(import.meta.dirname, '../../src/workflows/index.generated.ts')),
  });
  const host: CompareActivities & BrowseActivities & ReadingJobsActivities = {
    stopReading,
    chooseBackups: async () => ({
      ...{ from: monday, fromAt: '2026-11-23T02:00:00.000Z', to: 'now', toAt: '2026-11-27T12:00:00.000Z' },
      ...(note !== undefined && { note }),
    }),
    async compareBackups() {
      begun();
      await reads;
      return found;
    },
    browseBackup: async () => folder,
  };
  await temporal.work({ taskQueue: hostQueue('pve1'), activities: host });
  await temporal.work({ taskQueue: followQueueOf('pve1'), activities: host });
  const ledger = createPastChangesActivities({
    ledger: {
      search(filter) {
        if (isAway) throw ApplicationFailure.nonRetryable('The ledger is away.', 'unavailable');
        asked.push(filter);
        const first = [record(6, 'pve1', 'control-service', 'change'), record(5, 'pve11', 'back-up', 'change')];
        const second = [record(4, 'pve1/100', 'snapshot-guest', 'change'), record(3, 'pve1', 'check-health', 'read')];
        return filter.before === undefined
          ? { records: first, before: 5, missing: [] }
          : { records: second, missing: [] };
      },
    },
  });
  await temporal.work({ taskQueue: ledgerQueue, activities: { ...ledger, record: async () => [] } });
}, 600_000);

beforeEach(() => {
  asked = [];
  isAway = false;
  reads = undefined;
  begun.mockClear();
  stopReading.mockClear();
  note = 'No good backup is as old as that.';
});

const start = async (workflow: string, workflowId: string, input: object) =>
  (await temporal.client.workflow.execute(workflow, {
    workflowId,
    taskQueue: serviceQueue,
    args: [{ input: { host: 'pve1', ...input }, requestedBy: { kind: 'cli', name: 'test' } }],
  })) as RunResult<Readonly<Record<string, unknown>>>;

it('stops what the host reads when it is cancelled, and only then', async () => {
  let end: () => void = () => undefined;
  reads = new Promise((resolve) => {
    end = resolve;
  });
  const cancelled = start('compareBackups', 'cancelled', { since: '2026-11-23' });
  cancelled.catch(() => undefined);
  await vi.waitFor(() => expect(begun).toHaveBeenCalled(), { timeout: 30_000 });
  await temporal.client.workflow.getHandle('cancelled').cancel();
  await expect(cancelled).rejects.toThrow();
  expect(stopReading.mock.calls).toEqual([[{ host: 'pve1' }]]);
  end();
  await start('compareBackups', 'not-cancelled', { since: '2026-11-23' });
  expect(stopReading).toHaveBeenCalledTimes(1);
});

it('answers what changed since a moment, and which runs of this service lie between', async () => {
  const { output, report } = await start('compareBackups', 'compare', { since: '2026-11-23' });
  expect(output).toMatchObject({
    from: monday,
    to: 'now',
    files: found.files,
    runs: [
      { run: 'control-service/6', target: 'pve1', by: 'mcp:claude', outcome: 'done' },
      { run: 'snapshot-guest/4', target: 'pve1/100' },
    ],
  });
  expect(asked.map(({ since, until, kind, before }) => [since, until, kind, before])).toEqual([
    ['2026-11-23T02:00:00.000Z', '2026-11-27T12:00:00.000Z', 'outcome', undefined],
    ['2026-11-23T02:00:00.000Z', '2026-11-27T12:00:00.000Z', 'outcome', 5],
  ]);
  expect(report.summary).toBe(
    `On pve1 from ${monday} to now: 1 changed, 1 new and 0 removed files and folders, 1 changed package, 1 changed guest. 2 runs of this service on it ended meanwhile.`,
  );
  // That the earlier backup is another one than was asked for.
  expect(report.verdict).toBe('warning');
  const text = renderText(report);
  for (const part of [
    'host/etc/hosts',
    '+ password (masked 1)',
    'memory',
    '4096',
    'bash',
    'snapshot-guest',
    'No good backup is as old',
  ])
    expect(text).toContain(part);
});

it('is well where all was read and nothing is to be known', async () => {
  note = undefined;
  const { report } = await start('compareBackups', 'all-read', { since: '2026-11-23' });
  expect(report.verdict).toBe('ok');
});

it('answers without the runs where the ledger is away, and says so', async () => {
  isAway = true;
  const { output, report } = await start('compareBackups', 'away', {});
  expect(output).not.toHaveProperty('runs');
  expect(output).toMatchObject({ files: found.files });
  expect(report.verdict).toBe('unknown');
  expect(renderText(report)).toContain('The ledger is away');
});

it('lists a folder of an archive', async () => {
  const { output, report } = await start('browseBackup', 'browse', { folder: 'host/etc' });
  expect(output).toMatchObject({ backup: monday, total: 300 });
  expect(report.summary).toBe(
    `In host/etc of ${monday} of pve1 there are 300 names, of which 2 are listed from the 1. on.`,
  );
  expect(renderText(report)).toContain('resolv.conf → ../run/resolv.conf');
});
