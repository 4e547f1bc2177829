import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import { createBackupActivities } from '../../../src/activities/back-up/back-up.ts';
import { createRestoreActivities } from '../../../src/activities/restore/restore.ts';
import { freeBackupId } from '../../../src/operations/backup-id.ts';
import { type ActivityLab, activityOf, attemptIn, startActivityLab } from '../../support/lab-activities.ts';

/* A real host, Docker and a compose project: backed up, destroyed, restored, and everything is as before and answers. */
let lab: ActivityLab;
beforeAll(async () => {
  lab = await startActivityLab();
}, startTimeoutMs);
afterAll(() => lab?.stop());

const attempt = <T>(work: () => Promise<T>) => attemptIn(activityOf(randomUUID()), work);
const onHost = (script: string) => lab.onHost(script);
const asItIs = () =>
  onHost(`for d in /opt/proxmox-mcp $(docker volume inspect --format '{{.Mountpoint}}' mcp_logs caddy_data); do cd "$d"
    find . ! -path './logs/*' -printf '%P %y %m %U:%G %l\\n' | LC_ALL=C sort; find . -type f ! -path './logs/*' -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum; done
    docker volume inspect --format '{{.Name}}' mcp_logs caddy_data; cat /etc/hosts /etc/fstab /etc/systemd/system/proxmox-mcp.service`);

async function backUp(fence: number): Promise<{ readonly id: string; readonly sha256: string }> {
  const backups = createBackupActivities(lab);
  const input = { host: 'pve1', id: freeBackupId('daily', Date.now(), []), fence };
  const { volumes } = await attempt(() => backups.collectBackup(input));
  await attempt(() => backups.collectHost(input));
  await attempt(() => backups.archiveVolumes({ ...input, volumes }));
  await attempt(() => backups.packBackup(input));
  const { sha256 } = await attempt(() => backups.verifyBackup(input));
  await attempt(() => backups.publishBackup({ ...input, sha256 }));
  return { id: input.id, sha256 };
}

it('a restore whose job was killed goes back by the host alone, now and when it starts', {
  timeout: 400_000,
}, async () => {
  // It takes ten seconds to stop, which is when the job is hit.
  await onHost(
    `systemctl start proxmox-mcp; docker run -d --name slow -v /opt/proxmox-mcp:/d busybox sh -c 'trap "" TERM; while :; do sleep 1; done'`,
  );
  const { id: backup, sha256 } = await backUp(1);
  await onHost('cp -a /opt/proxmox-mcp/.env /tmp/env; echo later >>/opt/proxmox-mcp/.env');
  const later = await onHost('cat /opt/proxmox-mcp/.env');
  const restores = createRestoreActivities(lab);
  const choice = { host: 'pve1', backup, what: 'path', selection: ['/opt/proxmox-mcp/.env'] } as const;
  for (const [restore, then] of [
    ['restore-20261127-110000', ':'],
    // Whoever watches dies, too, as with the whole host.
    ['restore-20261127-110001', 'systemctl kill -s KILL "proxmox-mcp-restore-*"; systemctl start proxmox-mcp-restore'],
  ] as const) {
    const one = { host: 'pve1', restore, fence: 2 };
    await attempt(() => restores.stageRestore({ ...one, ...choice, sha256 }));
    const applied = attempt(() => restores.applyRestore(one)).then(
      () => 'kept',
      () => 'not kept',
    );
    const record = `/var/lib/proxmox-mcp/restores/${restore}`;
    await onHost(
      `until grep -q '^applying' ${record}/state; do sleep 0.2; done; sleep 1; systemctl kill -s KILL 'proxmox-mcp-job-*'; ${then}`,
    );
    await onHost(
      `timeout 120 sh -c 'until grep -q "^undone" ${record}/state && [ ! -e ${record}/unstarted ] && [ "$(docker inspect --format "{{.State.Running}}" slow)" = true ]; do sleep 0.5; done'`,
    );
    expect(await applied).toBe('not kept');
    expect(await onHost('cat /opt/proxmox-mcp/.env')).toBe(later);
    expect(
      await onHost(
        'systemctl is-active proxmox-mcp; ls /etc/systemd/system/proxmox-mcp-restore.service 2>/dev/null || :',
      ),
    ).toBe('active\n');
  }
  await onHost('docker rm -f slow >/dev/null; mv /tmp/env /opt/proxmox-mcp/.env');
});

it('an installation that was destroyed comes back with its volumes, and runs', { timeout: 400_000 }, async () => {
  await onHost(
    `systemctl start proxmox-mcp; docker run --rm -v caddy_data:/d busybox sh -c 'echo kept >/d/kept; chown 7:8 /d/kept; chmod 640 /d/kept'`,
  );
  const before = await asItIs();
  const ran = await onHost(`docker ps --format '{{.Names}}' | sort`);
  const restores = createRestoreActivities(lab);
  const { id, sha256 } = await backUp(3);

  await onHost(`systemctl stop proxmox-mcp; docker rm -f $(docker ps -aq) >/dev/null 2>&1 || :; docker volume rm mcp_logs caddy_data >/dev/null
    rm -rf /opt/proxmox-mcp /etc/systemd/system/proxmox-mcp.service; systemctl daemon-reload; echo lost >/etc/fstab`);
  const choice = { host: 'pve1', backup: id, what: 'complete', selection: [] } as const;
  const look = await attempt(() => restores.lookForRestore(choice));
  expect(look.problems).toEqual([]);
  expect([...look.newVolumes].sort()).toEqual(['caddy_data', 'mcp_logs']);
  const one = { host: 'pve1', restore: 'restore-20261127-120000', fence: 4 };
  await attempt(() => restores.stageRestore({ ...one, ...choice, sha256 }));
  const record = await attempt(() => restores.applyRestore(one));
  expect(record).toMatchObject({ state: 'kept' });
  expect(await onHost('systemctl is-active proxmox-mcp')).toBe('active\n');
  expect(await onHost(`docker ps --format '{{.Names}}' | sort`)).toBe(ran);
  expect(await asItIs()).toBe(before);

  // And back to what was there before it: nothing.
  await attempt(() => restores.undoRestore(one));
  expect(await onHost('ls -d /opt/proxmox-mcp 2>/dev/null || :; docker volume ls --quiet; cat /etc/fstab')).toBe(
    'lost\n',
  );
});
