import { describe, expect, it } from 'vitest';
import {
  judgeFailedUnits,
  judgeLoad,
  judgeRestart,
  judgeUpdates,
  listsMadeAt,
} from '../../../src/activities/check-health/system.ts';
import {
  failedUnits,
  pendingUpdates,
  runningState,
  updateMarks,
} from '../../../src/hosts/commands/check-health/upkeep.ts';

const said = (stdout: string, changes: { exitCode?: number; stderr?: string } = {}) => ({
  exitCode: 0,
  stderr: '',
  ...changes,
  stdout,
});

describe('failed units', () => {
  it('are named; none, and no systemd, are no fault', () => {
    const shown = 'smartd.service loaded failed failed Self Monitoring\n● x.mount not-found failed failed /x\n'.replace(
      '● ',
      '',
    );
    const { units } = failedUnits.answer.parse(said(shown));
    expect(units).toEqual(['smartd.service', 'x.mount']);
    expect(judgeFailedUnits(units)).toMatchObject({
      verdict: 'failed',
      summary: expect.stringContaining('smartd.service, x.mount'),
    });
    expect(judgeFailedUnits(failedUnits.answer.parse(said('')).units).verdict).toBe('ok');
    const without = failedUnits.answer.parse(
      said('', { exitCode: 1, stderr: 'System has not been booted with systemd as init system (PID 1).' }),
    );
    expect(judgeFailedUnits(without.units).verdict).toBe('skipped');
    expect(failedUnits.answer.safeParse(said('garbage', { exitCode: 3 })).success).toBe(false);
  });

  it('are not listed without end', () => {
    const units = Array.from({ length: 500 }, (_, index) => `u${index}.service`);
    expect(judgeFailedUnits(units).summary).toContain('and 492 more');
  });
});

describe('load', () => {
  it.each([
    [[9, 9, 1.9], 1, 'ok'],
    [[0, 0, 2], 1, 'warning'],
    [[0, 0, 7.9], 4, 'ok'],
    [[0, 0, 8], 4, 'warning'],
  ] as const)('%j on %i is %s', (load, cpus, verdict) => expect(judgeLoad(load, cpus).verdict).toBe(verdict));
});

describe('the state of the kernel', () => {
  const shown = [
    '/proc/stat:cpu0 1 2 3',
    '/proc/stat:cpu1 1 2 3',
    '/proc/stat:btime 1795000000',
    '/proc/loadavg:0.52 0.58 0.59 1/467 12345',
    '/proc/sys/kernel/osrelease:6.17.4-1-pve',
  ].join('\n');
  it('is read', () => {
    expect(runningState.answer.parse(said(shown))).toEqual({
      load: [0.52, 0.58, 0.59],
      cpus: 2,
      bootedAt: 1_795_000_000,
      kernel: '6.17.4-1-pve',
    });
  });
  it.each(['', 'garbage', shown.replace(/btime \d+/, 'btime x'), shown.replace(/cpu/g, 'c')])('%j is none', (text) =>
    expect(runningState.answer.safeParse(said(text)).success).toBe(false),
  );
});

describe('updates', () => {
  const now = Date.parse('2026-11-22T08:00:00Z');
  const hour = 3_600_000;
  const inst = [
    'Inst libc6 [2.41-12] (2.41-12+deb13u1 Debian-Security:13/stable-security [amd64])',
    'Inst new-one (1.0 Debian:13.1/stable [all])',
    'Conf libc6 (2.41-12+deb13u1 Debian-Security:13/stable-security [amd64])',
  ].join('\n');
  const { updates } = pendingUpdates.answer.parse(said(inst));

  it('are counted, and those for security told apart', () => {
    expect(updates).toEqual([
      { name: 'libc6', isSecurity: true },
      { name: 'new-one', isSecurity: false },
    ]);
    expect(judgeUpdates(updates, now - hour, now)).toMatchObject({
      verdict: 'warning',
      summary: expect.stringMatching(/2 packages are to be upgraded, 1 for security \(libc6\)/),
    });
  });

  it('without any for security, none, and no lists at all are no fault; old lists are', () => {
    expect(judgeUpdates(updates.slice(1), now - hour, now).verdict).toBe('ok');
    expect(judgeUpdates([], now - hour, now).verdict).toBe('ok');
    expect(judgeUpdates([], undefined, now).verdict).toBe('skipped');
    expect(judgeUpdates([], now - 9 * 24 * hour, now)).toMatchObject({
      verdict: 'warning',
      summary: expect.stringContaining('9 days'),
    });
  });

  it('of a host without apt, or of an apt that fails, are never none', () => {
    expect(pendingUpdates.answer.parse(said('', { exitCode: 127 }))).toEqual({ hasApt: false, updates: [] });
    expect(pendingUpdates.answer.safeParse(said('', { exitCode: 100, stderr: 'E: broken' })).success).toBe(false);
  });

  it('the age of the lists is that of the last time apt wrote anything there', () => {
    const mark = (path: string, changedAt: number) => ({ path, changedAt, writtenAt: 1 });
    expect(listsMadeAt([mark('/var/lib/apt/lists', 9), mark('/boot', 9)])).toBeUndefined();
    const list = mark('/var/lib/apt/lists/deb.debian.org_debian_dists_trixie_InRelease', 5);
    expect(listsMadeAt([list, mark('/var/lib/apt/lists/partial', 7), mark('/boot/x', 99)])).toBe(7_000);
  });
});

describe('a restart', () => {
  const running = { kernel: '6.17.4-1-pve', bootedAt: 1_000 };
  const marks = (text: string) => updateMarks.answer.parse(said(text, { exitCode: 1, stderr: 'find: no such' }));
  it.each([
    ['', 'ok'],
    ['2000.5 2000.5 /run/reboot-required\n', 'warning'],
    ['2000 1 /boot/vmlinuz-6.17.10-1-pve\n', 'warning'],
    // Installed before the last start: somebody chose the older one.
    ['900 1 /boot/vmlinuz-6.17.10-1-pve\n', 'ok'],
    ['2000 1 /boot/vmlinuz-6.14.11-9-pve\n', 'ok'],
    ['2000 1 /boot/vmlinuz-6.17.4-1-pve\n', 'ok'],
    ['2000 1 /boot/vmlinuz-7.0$(reboot)\n', 'ok'],
  ])('%j is %s', (text, verdict) => expect(judgeRestart(marks(text), running).verdict).toBe(verdict));
});
