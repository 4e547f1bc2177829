import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ActivityCancellationDetails } from '@temporalio/common';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LabHost } from '../../lab/hosts/lab-host.ts';
import { type BackupActivities, createBackupActivities } from '../../src/activities/back-up/back-up.ts';
import { createHealthActivities } from '../../src/activities/check-health/check-health.ts';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import type { Hosts } from '../../src/hosts/host.ts';
import { freeBackupId } from '../../src/operations/backup-id.ts';
import type { Verdict } from '../../src/operations/finding.ts';
import { findingsOf, makeReport, type Section } from '../../src/operations/report.ts';
import { renderText } from '../../src/reports/text.ts';
import { looksOf } from '../support/health.ts';
import { type ActivityLab, activityOf, attemptIn, startActivityLab } from '../support/lab-activities.ts';
import { nobodysClient } from '../support/local-host.ts';

const layout = defaultLayout;
let machine: ActivityLab;
let lab: LabHost;
let hosts: Hosts;
let activities: BackupActivities;
let run: string;
let id: string;
let count = 0;

beforeAll(async () => {
  machine = await startActivityLab();
  ({ lab, hosts } = machine);
  activities = createBackupActivities(machine);
  const healthy = `docker inspect --format '{{.State.Health.Status}}' ${layout.containers.join(' ')}`;
  await onHost(
    `i=0; until ! ${healthy} | grep -v '^healthy'; do i=$((i + 1)); [ $i -lt 120 ]; sleep 0.5; done >/dev/null`,
  );
}, 15 * 60_000);
afterAll(() => machine?.stop());
afterEach(async () => {
  // What a failed test left must not fail the next.
  await onHost(`rm -rf ${layout.backups}/.daily-* ${layout.backups}/daily-*`);
});
beforeEach(() => {
  run = randomUUID();
  count += 1;
  id = freeBackupId('daily', Date.now() + count * 1000, []);
});

const mock = () => activityOf(run);
/** One attempt of an activity of the current run. */
const attempt = <T>(work: () => Promise<T>, environment = mock()) => attemptIn(environment, work);

/** As Temporal does: again while the error says that it may help. */
async function persist<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt(work);
    } catch (error) {
      if (tries >= 40 || !(error instanceof Error && 'retryable' in error && error.retryable === true)) throw error;
      await sleep(250);
    }
  }
}

async function collect() {
  await persist(() => activities.collectBackup(input()));
  await persist(() => activities.collectHost(input()));
  return await persist(() => activities.archiveVolumes({ ...input(), volumes: layout.volumes }));
}

async function backUp() {
  const input = { host: 'pve1', id, fence: 1 };
  const { volumes } = await persist(() => activities.collectBackup(input));
  await persist(() => activities.collectHost(input));
  const archived = await persist(() => activities.archiveVolumes({ ...input, volumes }));
  await persist(() => activities.packBackup(input));
  const verified = await persist(() => activities.verifyBackup(input));
  return {
    archived,
    verified,
    ...(await persist(() => activities.publishBackup({ ...input, sha256: verified.sha256 }))),
  };
}

const input = () => ({ host: 'pve1', id, fence: 1 });
const backupFolder = async () => (await lab.must(['ls', '-A', layout.backups])).trim().split('\n').sort();
/** Until the archive is being written. */
const packing = () =>
  onHost(`i=0; until [ -s ${layout.backups}/.${id}.tar.gz.partial ]; do i=$((i + 1)); [ $i -lt 600 ]; sleep 0.1; done`);
const onHost = (script: string) => machine.onHost(script);
/** A file that packing takes a second or two for, whose middle can be hit. */
const large = 30_000_000;
const makeLarge = () => onHost(`head -c ${large} /dev/urandom >/opt/proxmox-mcp/logs/large`);

describe('a host over SSH, with sudo, systemd and Docker', { timeout: 180_000 }, () => {
  it('is healthy, and every line rests on something', async () => {
    const health = createHealthActivities({ ...machine, client: nobodysClient });
    const began = performance.now();
    const sections = await Promise.all(
      looksOf(health).map((inspect) => attempt<Section>(() => inspect({ host: 'pve1' }))),
    );
    console.log(`all sections in ${Math.round(performance.now() - began)} ms`);
    const now = new Date().toISOString();
    const report = makeReport({
      title: 'Check health',
      target: 'pve1',
      summary: '',
      startedAt: now,
      finishedAt: now,
      sections,
    });
    console.log(renderText(report));
    const verdicts: Record<string, Verdict> = {};
    for (const { check, verdict } of findingsOf(sections)) verdicts[check] = verdict;
    expect(verdicts).toMatchObject({
      Running: 'ok',
      'Starts at boot': 'ok',
      'proxmox-mcp-server': 'ok',
      'mcp-reverse-proxy': 'ok',
      'Health endpoint': 'ok',
      'Reverse proxy': 'ok',
      'Sudoers syntax': 'ok',
      'Sudoers protection': 'ok',
      'SSH key': 'ok',
      'SSH key protection': 'ok',
      'Failed logins': 'ok',
    });
    expect(verdicts.Memory).toMatch(/ok|warning|failed/);
    expect(verdicts['Root disk']).toMatch(/ok|warning|failed/);
  });

  it('shows what is wrong with it', async () => {
    const health = createHealthActivities({ ...machine, client: nobodysClient });
    // With -n sudo refuses without a word in any log.
    await lab.exec(['sudo', '-S', '/bin/cat', '/etc/shadow'], { user: 'claude-user', input: 'wrong\n' });
    await onHost('docker stop -t 1 mcp-reverse-proxy; systemctl disable proxmox-mcp 2>/dev/null');
    try {
      const containers = await attempt(() => health.inspectContainers({ host: 'pve1' }));
      expect(containers.findings.find((one) => one.check === 'mcp-reverse-proxy')?.verdict).toBe('failed');
      const service = await attempt(() => health.inspectService({ host: 'pve1' }));
      expect(service.findings.find((one) => one.check === 'Starts at boot')?.verdict).toBe('failed');
      const proxy = await attempt(() => health.probeEndpoints({ host: 'pve1' }));
      expect(proxy.findings.find((one) => one.check === 'Reverse proxy')?.verdict).toBe('failed');
      await expect
        .poll(
          async () => {
            const issues = await attempt(() => health.inspectRecentIssues({ host: 'pve1' }));
            return issues.findings.find((one) => one.check === 'Blocked commands')?.verdict;
          },
          { timeout: 20_000, interval: 500 },
        )
        .toBe('warning');
    } finally {
      await onHost('docker start mcp-reverse-proxy; systemctl enable proxmox-mcp 2>/dev/null');
    }
  });

  it('is backed up with its volumes, restorable as the guide says', async () => {
    await onHost('docker run --rm -v mcp_logs:/data busybox sh -c "echo kept >/data/kept && chown 33:33 /data/kept"');
    const look = await attempt(() => activities.lookForBackup({ host: 'pve1', kind: 'daily', anyTarget: false }));
    expect(look).toMatchObject({ volumes: [{ name: 'mcp_logs' }, { name: 'caddy_data' }] });
    const { archived, path } = await backUp();
    expect(archived.map(({ name }) => name)).toEqual(['mcp_logs', 'caddy_data']);
    // The guide's recovery, with the volumes into new ones.
    await onHost(`rm -rf /srv/restore && mkdir -p /srv/restore && tar xzf ${path} -C /srv/restore && (cd /srv/restore && sha256sum --check --strict --quiet SHA256SUMS) && mv /srv/restore/daily-* /srv/restore/proxmox-mcp
      cd /srv/restore/proxmox-mcp
      visudo -c -f claude-user >/dev/null && docker-compose -f docker-compose.yml config >/dev/null
      docker volume create restored >/dev/null
      docker run --rm -v restored:/data -v /srv/restore/volumes/mcp_logs:/backup busybox cp -a /backup/. /data`);
    const restored = await onHost(
      'docker run --rm -v restored:/data busybox sh -c "cat /data/kept; stat -c %u /data/kept"',
    );
    expect(restored).toBe('kept\n33\n');
    await onHost('docker volume rm restored >/dev/null; rm -rf /srv/restore');
  });

  it('is backed up once while its connections are cut again and again', async () => {
    await makeLarge();
    let going = true;
    const cutting = (async () => {
      for (let cuts = 0; ; cuts += 1) {
        if (!going) return cuts;
        await lab.cutConnections();
        await sleep(700);
      }
    })();
    try {
      await backUp();
    } finally {
      going = false;
    }
    expect(await cutting).toBeGreaterThan(2);
    await onHost(`cd ${layout.backups} && sha256sum --check --strict --quiet ${id}.tar.gz.sha256`);
    expect((await backupFolder()).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('goes on with a job whose worker stopped, and stops one whose run was cancelled', async () => {
    await makeLarge();
    await collect();
    const first = mock();
    const cut = attempt(() => activities.packBackup(input()), first);
    await packing();
    first.cancel('WORKER_SHUTDOWN', new ActivityCancellationDetails({ workerShutdown: true }));
    await expect(cut).rejects.toMatchObject({ code: 'unavailable', retryable: true });
    expect((await persist(() => activities.packBackup(input()))).bytes).toBeGreaterThan(large);
    expect(
      (await hosts.get('pve1').jobs()).jobs.filter(({ verb, id: job }) => verb === 'pack-backup' && job.includes(id)),
    ).toHaveLength(1);

    const second = mock();
    const verifying = attempt(() => activities.verifyBackup(input()), second);
    await sleep(300);
    second.cancel('CANCELLED', new ActivityCancellationDetails({ cancelRequested: true }));
    await expect(verifying).rejects.toMatchObject({ code: 'cancelled' });
    expect(await lab.must(['sh', '-c', 'pgrep -fc "[t]ar --compare" || :'])).toBe('0\n');
    await persist(() => activities.abandonBackup(input()));
    expect((await backupFolder()).filter((name) => name.includes(id))).toEqual([]);
  });

  it('says that its disk is full, and nothing half-written stays', async () => {
    await makeLarge();
    await collect();
    await lab.fillDisk();
    try {
      await expect(persist(() => activities.packBackup(input()))).rejects.toMatchObject({
        code: 'disk-full',
        message: `Comparing the backup with the last good one on pve1 failed because the disk of ${layout.backups} is full`,
      });
      await expect(
        attempt(() => activities.lookForBackup({ host: 'pve1', kind: 'daily', anyTarget: false })),
      ).rejects.toMatchObject({
        code: 'disk-full',
      });
      await persist(() => activities.abandonBackup(input()));
    } finally {
      await lab.freeDisk();
    }
    expect((await backupFolder()).filter((name) => name.includes(id))).toEqual([]);
  });

  it('does a step again that a reboot without warning took from it', async () => {
    await makeLarge();
    await collect();
    const packed = persist(() => activities.packBackup(input()));
    await packing();
    await lab.reboot('power-loss');
    expect((await packed).bytes).toBeGreaterThan(large);
    const { sha256 } = await persist(() => activities.verifyBackup(input()));
    await persist(() => activities.publishBackup({ ...input(), sha256 }));
    await onHost(`cd ${layout.backups} && sha256sum --check --strict --quiet ${id}.tar.gz.sha256`);
    expect((await backupFolder()).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});
