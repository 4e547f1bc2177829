import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import { type BackupActivities, createBackupActivities } from '../../../src/activities/back-up/back-up.ts';
import { defaultLayout as layout } from '../../../src/hosts/helper/default-layout.ts';
import { freeBackupId } from '../../../src/operations/backup-id.ts';
import { type ActivityLab, activityOf, attemptIn, startActivityLab } from '../../support/lab-activities.ts';

let lab: ActivityLab;
let activities: BackupActivities;
let count = 0;
const onHost = (script: string) => lab.onHost(script);
const attempt = <T>(run: string, work: () => Promise<T>) => attemptIn(activityOf(run), work);

beforeAll(async () => {
  lab = await startActivityLab();
  activities = createBackupActivities(lab);
}, startTimeoutMs);
afterAll(() => lab?.stop());

async function backUp() {
  count += 1;
  const input = { host: 'pve1', id: freeBackupId('daily', Date.now() + count * 1000, []), fence: 1 };
  const run = randomUUID();
  const look = await attempt(run, () => activities.lookForBackup({ host: 'pve1', kind: 'daily', anyTarget: false }));
  if (!look.isInstalled) throw new Error('no installation');
  const { volumes } = await attempt(run, () => activities.collectBackup(input));
  await attempt(run, () => activities.collectHost(input));
  const archived = await attempt(run, () => activities.archiveVolumes({ ...input, volumes }));
  const packed = await attempt(run, () => activities.packBackup(input));
  const { sha256 } = await attempt(run, () => activities.verifyBackup(input));
  const published = await attempt(run, () => activities.publishBackup({ ...input, sha256 }));
  const inVolume = (name: string) =>
    onHost(
      `cd /opt/proxmox-mcp-backups; tar -tzf ${input.id}.tar.gz | sed -n 's|^volumes/${name}/|./|p' | sort | tr '\\n' ' '`,
    );
  return { look, archived, packed, published, inVolume };
}

const lookFor = (anyTarget = false) =>
  attempt(randomUUID(), () => activities.lookForBackup({ host: 'pve1', kind: 'daily', anyTarget }));

describe('the volumes of a host', { timeout: 180_000 }, () => {
  it('are those that the containers have mounted, whatever compose calls them', async () => {
    await onHost(`docker rm -f $(docker ps -aq) >/dev/null; docker volume create other_mcp_logs >/dev/null
      mkdir -p /srv/beside
      docker run -d --name ${layout.containers[0]} -v other_mcp_logs:/logs -v more:/more -v /srv/beside:/beside \\
        -v /opt/proxmox-mcp:/inside busybox sh -c 'echo real >/logs/real; exec sleep 1000000' >/dev/null
      docker run --rm -v mcp_logs:/d -v caddy_data:/e busybox sh -c 'rm -rf /d/*; echo kept >/e/kept'`);
    const { look, archived, inVolume, published } = await backUp();
    expect(look.volumes).toMatchObject([{ name: 'mcp_logs', named: 'other_mcp_logs' }, { name: 'caddy_data' }]);
    expect(look.concerns).toMatchObject([
      { check: 'Not in the backup', verdict: 'warning', evidence: 'folder /srv/beside\nvolume more' },
    ]);
    expect(archived[0]).toMatchObject({ name: 'mcp_logs', named: 'other_mcp_logs' });
    expect(await inVolume('mcp_logs')).toContain('./real');
    expect(published.counts).toBe(true);
  });

  it('are doubted when they are empty now, or not there', async () => {
    await onHost(
      `docker run --rm -v caddy_data:/e busybox rm /e/kept; docker run --rm -v caddy_data:/e busybox sh -c 'rm -rf /e/*'`,
    );
    expect((await backUp()).packed.doubts).toMatchObject([
      { verdict: 'failed', summary: expect.stringContaining('empty: volume caddy_data') },
    ]);
    await onHost('docker volume rm caddy_data >/dev/null');
    expect((await backUp()).packed.doubts).toMatchObject([
      { verdict: 'failed', summary: 'missing: volume caddy_data' },
    ]);
  });

  it('with a device of their own are read where it is, or are said to be unreadable', async () => {
    await onHost(`mkdir -p /srv/realdata; echo real >/srv/realdata/real
      docker volume create -o type=none -o o=bind -o device=/srv/realdata caddy_data >/dev/null`);
    const bound = await backUp();
    expect(await bound.inVolume('caddy_data')).toBe('./ ./real ');
    await onHost(`docker volume rm caddy_data >/dev/null
      docker volume create -o type=nfs -o o=addr=127.0.0.1 -o device=:/none caddy_data >/dev/null`);
    const { look, packed, published } = await backUp();
    expect(look.skippedVolumes).toMatchObject([{ name: 'caddy_data', verdict: 'failed' }]);
    expect(packed.doubts.map(({ summary }) => summary)).toContain(
      "not readable: volume caddy_data, whose data isn't mounted on this host now",
    );
    expect(published.counts).toBe(false);
    await onHost('docker volume rm caddy_data >/dev/null; docker volume create caddy_data >/dev/null');
  });

  it('with a database that never rests are copied while their container is paused, which goes on after', async () => {
    await onHost(`docker run -d --name writer -v caddy_data:/d busybox sh -c '
        printf "SQLite format 3\\0" >/d/a.db; i=0
        while :; do i=$((i + 1)); printf "SQLite format 3\\0 %s" $i >/d/a.db; echo $i >/d/a.db-wal; done' >/dev/null; sleep 1`);
    const { packed, inVolume } = await backUp();
    expect(packed.doubts.filter(({ summary }) => summary.includes('consistent'))).toEqual([]);
    expect(await inVolume('caddy_data')).toContain('./a.db-wal');
    expect(await onHost(`docker inspect --format '{{.State.Paused}}' writer`)).toBe('false\n');
    expect(await onHost('docker exec writer echo goes on')).toBe('goes on\n');
  });

  it('that a backup has left paused are let go on by whoever comes next', async () => {
    const stale = freeBackupId('daily', Date.now(), []);
    await onHost(`docker pause writer >/dev/null; mkdir -p ${layout.state}/backups/${stale}
      docker inspect --format '{{.Id}}' writer >${layout.state}/backups/${stale}/paused`);
    const input = { host: 'pve1', id: stale, fence: 1 };
    const isPaused = () => onHost(`docker inspect --format '{{.State.Paused}}' writer`);
    await attempt(randomUUID(), () => activities.abandonBackup(input));
    expect(await isPaused()).toBe('false\n');

    // The same backup's next attempt, after one that was killed.
    await attempt(randomUUID(), () => activities.collectBackup(input));
    await onHost(`docker pause writer >/dev/null
      docker inspect --format '{{.Id}}' writer >${layout.state}/backups/${stale}/paused`);
    await attempt(randomUUID(), () => activities.archiveVolumes({ ...input, volumes: ['caddy_data'] }));
    expect(await isPaused()).toBe('false\n');
    await attempt(randomUUID(), () => activities.abandonBackup(input));
    await onHost('docker rm -f writer >/dev/null');
  });
});

describe('the target of a backup', () => {
  it('is refused when its disk is not mounted, unless that is wanted', async () => {
    await onHost('echo "/dev/sdz9 /opt/proxmox-mcp-backups/disk ext4 defaults 0 0" >>/etc/fstab');
    await onHost('docker rm -f $(docker ps -aq) >/dev/null');
    await expect(lookFor()).resolves.toMatchObject({ concerns: [] });
    await onHost('echo "/dev/sdz8 /opt/proxmox-mcp/data ext4 defaults 0 0" >>/etc/fstab');
    expect((await backUp()).packed.doubts).toContainEqual({
      verdict: 'failed',
      summary: expect.stringMatching(/^not mounted: \/opt\/proxmox-mcp\/data, /),
    });
    await onHost('mkdir -p /mnt/disk; echo "/dev/sdz9 /mnt/disk ext4 defaults 0 0" >>/etc/fstab');
    const other = await lab.otherHosts({
      backups: '/mnt/disk/backups',
      helper: '/usr/local/libexec/proxmox-mcp/other',
    });
    const look = (anyTarget: boolean) =>
      attempt(randomUUID(), () =>
        createBackupActivities({ ...lab, hosts: other }).lookForBackup({ host: 'pve1', kind: 'daily', anyTarget }),
      );
    try {
      await expect(look(false)).rejects.toMatchObject({
        code: 'configuration',
        message:
          'The backup folder /mnt/disk/backups of pve1 should lie on the disk of /mnt/disk, which is not mounted now: archives would land on another disk; nothing was written',
      });
      await expect(look(true)).resolves.toMatchObject({ concerns: [{ check: 'Target', verdict: 'warning' }] });
    } finally {
      await other.close();
    }
  });

  it('is said to be unsafe when others than root can remove what is in it', async () => {
    await onHost(`chown claude-user ${layout.backups}`);
    await expect(lookFor()).resolves.toMatchObject({
      concerns: [{ verdict: 'warning', remedy: expect.stringContaining(`chown root: '${layout.backups}'`) }],
    });
    await onHost(`chown root ${layout.backups}`);
  });
});
