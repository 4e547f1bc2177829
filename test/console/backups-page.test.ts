import { expect, it } from 'vitest';
import { archiveView } from '../../src/console/archive-page.ts';
import { backupsView, createBackupsReader } from '../../src/console/backups-page.ts';
import { plotOf } from '../../src/console/plot.ts';
import type { BackupEntry } from '../../src/operations/list-backups.ts';
import type { Runs } from '../../src/runs/runs.ts';
import { memoryConfig } from '../mcp/lib/memory-service.ts';

const by = { kind: 'person', name: 'anna' } as const;
const entry = (day: number, more: Partial<BackupEntry> = {}): BackupEntry => ({
  kind: 'host',
  name: `daily-backup-202611${day}-020000`,
  takenAt: `2026-11-${day}T02:02:00.000Z`,
  ageSeconds: 60,
  bytes: 1024 * day,
  tookSeconds: 60 * day,
  state: 'verified',
  where: '/opt/proxmox-mcp-backups',
  ...more,
});
const old = { ...entry(10), kind: 'guest' as const, vmid: 101, name: 'nas:backup/old' };
const output = {
  ...{ lastGood: [entry(22), old], withoutBackup: [102], total: 4, isComplete: false },
  guests: [
    { vmid: 100, label: 'VM 100 (files)', next: '2026-11-23T00:30:00.000Z', by: 'nightly' },
    { vmid: 102, label: 'container 102 (dns)' },
  ],
  backups: [
    entry(22, { copies: [{ where: 'service', at: '2026-11-22T05:00:00.000Z', state: 'whole' }] }),
    entry(21, { state: 'doubted' }),
    entry(20, { copies: [{ where: 'nas', at: '2026-11-20T05:00:00.000Z', state: 'changed' }] }),
    { ...entry(19), kind: 'guest' as const, vmid: 100, name: 'nas:backup/x' },
  ],
  next: [{ schedule: 'back-up/daily/pve1', at: '2026-11-23T02:00:00.000Z', paused: false }],
};
let starts = 0;
function runsWith(result: object): Pick<Runs, 'start' | 'wait'> {
  return {
    start: async () => {
      starts += 1;
      return { id: 'list-backups/pve1/x' } as Awaited<ReturnType<Runs['start']>>;
    },
    wait: async () => result as Awaited<ReturnType<Runs['wait']>>,
  };
}
const [{ name = '' } = {}] = memoryConfig().hosts;
const view = (read: ReturnType<typeof createBackupsReader>) =>
  backupsView(read, memoryConfig(), new URLSearchParams({ host: name }), by, Date.parse('2026-11-22T12:00:00Z'));

it('shows the host’s backups and each guest’s, their copies, the next run and two plots, and asks once a minute', async () => {
  const read = createBackupsReader(runsWith({ state: 'done', result: { output } }));
  starts = 0;
  const shown = await view(read);
  expect(shown.groups.map(({ of, entries }) => [of, entries.length])).toEqual([
    [`Host ${name}`, 3],
    ['VM 100 (files)', 1],
    // Its last one is older than all that are listed.
    ['Guest 101', 1],
  ]);
  expect(shown.groups[1]).toMatchObject({ by: 'nightly', next: { iso: '2026-11-23T00:30:00.000Z' } });
  expect(shown).toMatchObject({ isComplete: false, without: [{ of: 'container 102 (dns)' }] });
  expect(shown.groups[0]?.entries[0]?.page).toBe(`/backups?host=${name}&backup=daily-backup-20261122-020000`);
  expect(
    shown.groups[0]?.entries.map(({ state, copies }) => [state.word, ...copies.map((copy) => copy.state.word)]),
  ).toEqual([['verified', 'service'], ['doubted'], ['verified', 'nas: changed']]);
  expect(shown.next).toMatchObject([
    { page: '/schedules/back-up/daily/pve1', when: { iso: '2026-11-23T02:00:00.000Z' } },
  ]);
  expect(shown.plots.map(({ title, bars }) => [title, bars.length])).toEqual([
    ['Size', 3],
    ['Duration', 3],
  ]);
  await view(read);
  expect(starts).toBe(1);
});

it('shows a folder of an archive, page by page, and never what a file holds', async () => {
  const folder = {
    ...{ backup: 'daily-backup-20261122-020000', folder: 'host/etc', total: 450 },
    entries: Array.from({ length: 200 }, (_, at) => ({
      ...{
        name: at === 0 ? 'pve <b>' : `f${at}`,
        type: at === 0 ? 'folder' : 'file',
        bytes: 1024,
        mode: '644',
        owner: '0:0',
      },
    })),
  };
  const query = new URLSearchParams({ host: name, backup: folder.backup, folder: '/host/etc/', after: '200' });
  const shown = await archiveView(runsWith({ state: 'done', result: { output: folder } }), memoryConfig(), query, by);
  const at = `/backups?host=${name}&backup=${folder.backup}`;
  expect(shown).toMatchObject({
    ...{
      from: 201,
      until: 400,
      total: 450,
      before: `${at}&folder=host%2Fetc`,
      next: `${at}&folder=host%2Fetc&after=400`,
    },
    above: [
      { page: at },
      { name: 'host', page: `${at}&folder=host` },
      { name: 'etc', page: `${at}&folder=host%2Fetc` },
    ],
  });
  expect(shown.entries[0]).toMatchObject({ size: '', page: `${at}&folder=host%2Fetc%2Fpve+%3Cb%3E` });
  expect(shown.entries[1]).toMatchObject({ size: '1.0 KiB' });
  const failure = { message: 'There is no such folder in the backup', remedy: 'Begin at the top, without a folder.' };
  expect(await archiveView(runsWith({ state: 'failed', failure }), memoryConfig(), query, by)).toMatchObject({
    entries: [],
    problem: expect.stringContaining('no such folder'),
  });
});

it('says why nothing can be shown', async () => {
  const read = createBackupsReader(runsWith({ state: 'running' }));
  expect(await view(read)).toMatchObject({ groups: [], problem: expect.stringContaining('has not answered in time') });
});

it('draws a bar for each value from zero up, hollow where it does not count, and says the same in words', () => {
  const plot = plotOf(
    'Size',
    [
      { at: '2026-11-22T02:00:00.000Z', value: 50, counts: false },
      { at: '2026-11-20T02:00:00.000Z', value: 100, counts: true },
    ],
    (value) => `${value} B`,
    'UTC',
  );
  expect(plot?.text).toBe(
    '2 backups from 2026-11-20 02:00:00 UTC to 2026-11-22 02:00:00 UTC: the first 100 B, the last 50 B, the smallest 50 B, the largest 100 B.',
  );
  const [first, last] = plot?.bars ?? [];
  expect(first).toMatchObject({ y: plot?.top, counts: true });
  expect(last).toMatchObject({ counts: false, tip: '2026-11-22 02:00:00 UTC: 50 B, does not count' });
  expect(last?.height).toBe((first?.height ?? 0) / 2);
  for (const bar of plot?.bars ?? []) expect(bar.x + bar.width).toBeLessThanOrEqual(plot?.width ?? 0);
  expect(plotOf('Size', [{ at: '2026-11-22T02:00:00.000Z', value: 0, counts: true }], String, 'UTC')).toBeUndefined();
});
