import { describe, expect, it } from 'vitest';
import { judgeGuestBackups, judgeTasks } from '../../../src/activities/check-health/guest-backups.ts';
import type { NodeGuest } from '../../../src/activities/check-health/guests.ts';
import type { BackupStorage, GuestArchive } from '../../../src/proxmox/guest-backups.ts';
import type { ProxmoxTask } from '../../../src/proxmox/schemas.ts';

const now = Date.parse('2026-11-22T08:00:00Z');
const hour = 3_600_000;
const guest = (vmid: number, changes: Partial<NodeGuest> = {}): NodeGuest => ({
  type: 'qemu',
  vmid,
  label: `VM ${vmid} (files)`,
  isRunning: true,
  isTemplate: false,
  ...changes,
});
const archive = (vmid: number, hoursAgo: number, changes: Partial<GuestArchive> = {}): GuestArchive => ({
  volume: `local:backup/${vmid}-${hoursAgo}`,
  storage: 'local',
  vmid,
  takenAt: new Date(now - hoursAgo * hour).toISOString(),
  bytes: 1024,
  verified: 'none',
  isProtected: false,
  ...changes,
});
const local: BackupStorage = { storage: 'local', type: 'dir', state: 'read', missing: [] };
const judged = (
  guests: readonly NodeGuest[],
  archives: readonly GuestArchive[],
  more: { isComplete?: boolean; storages?: readonly BackupStorage[]; told?: Map<number, number> } = {},
) =>
  judgeGuestBackups(
    guests,
    { archives, storages: more.storages ?? [local], isComplete: more.isComplete ?? true },
    { timeZone: 'Europe/Berlin', now, told: more.told ?? new Map() },
  );

describe('the last backup of a guest', () => {
  it.each([
    ['each night, last night', [6, 30, 54], 'ok'],
    ['each night, one missed', [27, 51], 'warning'],
    ['each night, two missed', [50, 74], 'failed'],
    ['each week', [6 * 24, 13 * 24], 'ok'],
    ['each week, one missed', [8 * 24, 15 * 24], 'failed'],
    ['one, of five days ago', [120], 'ok'],
    ['one, of nine days ago', [216], 'failed'],
  ] as const)('%s', (_, ages, verdict) => {
    const [found] = judged(
      [guest(100)],
      ages.map((age) => archive(100, age)),
    );
    expect(found).toMatchObject({ check: 'Backup of VM 100 (files)', verdict });
  });

  it('is told with its age, its time in the host’s zone, where it is and how large', () => {
    const [found] = judged([guest(100)], [archive(100, 6, { verified: 'ok' })]);
    expect(found?.summary).toBe(
      'Its last backup is 6 h 0 min old (2026-11-22 03:00:00 CET in local, 1.0 KiB, verified).',
    );
  });

  it('that a backup server found damaged has failed, however young', () => {
    expect(judged([guest(100)], [archive(100, 1, { verified: 'failed' })])).toMatchObject([
      { verdict: 'failed', summary: expect.stringContaining('damaged') },
    ]);
  });

  it('is none that is unfinished or dated in the future', () => {
    const found = judged([guest(100)], [archive(100, -48), archive(100, 1, { isUnfinished: true }), archive(100, 216)]);
    expect(found).toMatchObject([{ verdict: 'failed' }]);
  });

  it('guests without any are named; templates need none', () => {
    const found = judged([guest(100), guest(101), guest(102, { isTemplate: true })], [archive(100, 1)]);
    expect(found).toMatchObject([
      { verdict: 'ok' },
      { check: 'Guests without a backup', verdict: 'warning', summary: 'There is no backup of VM 101 (files).' },
    ]);
    expect(judged([], [])).toMatchObject([{ verdict: 'skipped' }]);
  });

  it('what can not be seen is not known, and the right that is missing is named', () => {
    const missing = [{ privilege: 'VM.Backup', path: '/vms' }];
    const found = judged([guest(100)], [], { isComplete: false, storages: [{ ...local, missing }] });
    expect(found).toMatchObject([{ verdict: 'unknown', summary: expect.stringContaining('VM.Backup on /vms') }]);
  });

  it('is also what the tasks tell, where archives are hidden', () => {
    const told = new Map([[100, now - 5 * hour]]);
    expect(judged([guest(100)], [], { isComplete: false, told })).toMatchObject([
      { verdict: 'ok', summary: expect.stringContaining('5 h 0 min old') },
    ]);
  });

  it('of many guests those that are well are one line', () => {
    const guests = Array.from({ length: 40 }, (_, index) => guest(100 + index));
    const archives = guests.map(({ vmid }) => archive(vmid, vmid === 105 ? 300 : 5));
    const found = judged(guests, archives);
    expect(found).toHaveLength(2);
    expect(found[1]).toMatchObject({ verdict: 'ok', summary: '39 guests have a backup that is not old.' });
  });
});

describe('backup tasks', () => {
  const task = (id: string, hoursAgo: number, status: string): ProxmoxTask => ({
    upid: 'UPID:pve1:000000CE:0007686B:6B0331D2:vzdump::root@pam:',
    node: 'pve1',
    type: 'vzdump',
    id,
    user: 'root@pam',
    starttime: (now - hoursAgo * hour) / 1000,
    endtime: (now - hoursAgo * hour) / 1000 + 60,
    status,
  });
  const found = (tasks: ProxmoxTask[], archives: GuestArchive[] = []) =>
    judgeTasks(tasks, { archives }, { timeZone: 'UTC', now }).map(({ verdict, summary }) => [verdict, summary]);

  it('that failed last are told, with why', () => {
    expect(found([task('', 6, 'job errors'), task('', 30, 'OK')])).toEqual([
      ['failed', 'The last backup job of several guests failed (2026-11-22 02:00:00 UTC): job errors.'],
    ]);
    expect(found([task('', 6, 'OK'), task('', 30, 'job errors')])).toEqual([]);
    expect(found([task('', 6, 'WARNINGS: 2')])).toEqual([]);
    expect(found([task('', 9 * 24, 'job errors')]), 'long ago').toEqual([]);
  });

  it('that something newer has made up for are not', () => {
    expect(found([task('100', 6, 'job errors')], [archive(100, 3)])).toEqual([]);
    expect(found([task('100', 6, 'job errors')], [archive(100, 30)])).toHaveLength(1);
  });
});
