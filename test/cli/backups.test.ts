import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { runCli } from '../../src/cli/program.ts';
import { configurationFolder } from '../config/folder.ts';
import { apiEntry } from '../support/hosts.ts';

let out = '';
let err = '';

beforeEach(() => {
  [out, err] = ['', ''];
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    out += String(chunk);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
    err += String(chunk);
    return true;
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  // Each command line adds one.
  process.stdout.removeAllListeners('error');
});

const simulate = (...args: string[]) => runCli(['--config-dir', configurationFolder(), 'backups', 'simulate', ...args]);

describe('backups simulate', () => {
  it('shows what would be left, newest first, and what keeps it', async () => {
    expect(
      await simulate('--keep', 'keep-daily=2,keep-weekly=3,keep-monthly=1', '--from', '2026-11-27', '--days', '100'),
    ).toBe(0);
    expect(out).toMatchInlineSnapshot(`
      "daily backups, made at "0 2 * * *" (UTC), kept by keep-daily=2,keep-weekly=3,keep-monthly=1; what would be left at 2027-03-07 00:00:00 UTC:

      BACKUP                        TAKEN                    AGE           STAYS BY
      daily-backup-20270306-020000  2027-03-06 02:00:00 UTC  22 h 0 min    keep-daily
      daily-backup-20270305-020000  2027-03-05 02:00:00 UTC  46 h 0 min    keep-daily
      daily-backup-20270304-020000  2027-03-04 02:00:00 UTC  2 days 22 h   it is one of the last 3 verified ones
      daily-backup-20270303-020000  2027-03-03 02:00:00 UTC  3 days 22 h   it is younger than 7 days
      daily-backup-20270302-020000  2027-03-02 02:00:00 UTC  4 days 22 h   it is younger than 7 days
      daily-backup-20270301-020000  2027-03-01 02:00:00 UTC  5 days 22 h   it is younger than 7 days
      daily-backup-20270228-020000  2027-02-28 02:00:00 UTC  6 days 22 h   keep-weekly
      daily-backup-20270221-020000  2027-02-21 02:00:00 UTC  13 days 22 h  keep-weekly
      daily-backup-20270214-020000  2027-02-14 02:00:00 UTC  20 days 22 h  keep-weekly
      daily-backup-20270131-020000  2027-01-31 02:00:00 UTC  34 days 22 h  keep-monthly
      "
    `);
    expect(err).toMatchInlineSnapshot(`
      "100 made, 10 left, 12 at once at most; the oldest is 34 days 22 h old.
      "
    `);
  });

  it('takes what the guide does where nothing is said', async () => {
    expect(await simulate('--kind', 'full', '--json')).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ keep: 'keep-last=8', schedule: '0 1 * * 0', made: 52, most: 9 });
  });

  it.each([
    [['--keep', 'weekly=4'], 'Did you mean keep-weekly=4?'],
    [['--keep', '7'], 'Did you mean keep-last=7?'],
    [['--keep', 'keep-last=0'], 'write keep-all=1 if you mean that'],
    [['--keep', 'keep-minutely=4'], 'keep-last=3,keep-weekly=4'],
    [['--kind', 'weekly'], 'daily, full, monthly'],
    [['--schedule', 'nightly'], 'minute hour day month weekday'],
    [['--from', '2026-02-30'], '--from'],
    [['--days', '0'], '1 to 3660'],
    [['--host', 'pve9'], 'pve9'],
  ])('refuses %j, saying what it takes', async (args, said) => {
    expect(await simulate(...args)).not.toBe(0);
    expect(err).toContain(said);
    expect(out).toBe('');
  });
});

describe('backups fetch', () => {
  const archive = 'pbs:backup/ct/102/2026-11-22T02:00:00Z';

  it('takes a file out of a guest’s backup into one of its own, and shows nothing of it', async () => {
    const simulator = await createProxmoxSimulator();
    try {
      const takenAt = Date.parse('2026-11-22T02:00:00Z') / 1000;
      const { state } = simulator;
      const about = { storage: 'pbs', node: 'pve1', plugin: 'pbs', content: 'backup', shared: true } as const;
      state.storages.push({ ...about, status: 'available', total: 2 ** 40, used: 0 });
      state.archives.push({ vmid: 102, type: 'lxc', node: 'pve1', storage: 'pbs', takenAt, size: 2 ** 20 });
      state.fileRestore.files.set(archive, new Map([['/root.pxar.didx/etc/key', 'a secret']]));
      const config = configurationFolder({
        'hosts.yaml': JSON.stringify({ hosts: { pve1: apiEntry(simulator) } }),
      });
      const folder = configurationFolder();
      const to = join(folder, 'key');
      const fetch = ['backups', 'fetch', archive, 'root.pxar.didx/etc/key', '--host', 'pve1', '--to', to];
      expect(await runCli(['--config-dir', config, ...fetch]), err).toBe(0);
      expect(readFileSync(to, 'utf8')).toBe('a secret');
      expect(out).toContain(`${to} is there: 8 B`);
      expect(out + err).not.toContain('a secret');
      expect(await runCli(['--config-dir', config, ...fetch])).not.toBe(0);
      expect(err).toContain('nothing is written over it');
      expect(readdirSync(folder)).toEqual(['key']);
    } finally {
      await simulator.close();
    }
  });

  it.each([
    [['nonsense', 'root.pxar.didx/etc'], 'is no backup'],
    [[archive, '/'], 'A backup as a whole is no folder'],
    [[archive, 'root.pxar.didx/etc', '--to', '/dev/null'], 'nothing is written over it'],
  ])('refuses %j', async (args, said) => {
    const to = join(configurationFolder(), 'out');
    const all = ['--host', 'pve1', ...(args.includes('--to') ? [] : ['--to', to])];
    expect(await runCli(['--config-dir', configurationFolder(), 'backups', 'fetch', ...args, ...all])).not.toBe(0);
    expect(err).toContain(said);
  });
});
