import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import { createBackupActivities } from '../../../src/activities/back-up/back-up.ts';
import { createRestoreActivities } from '../../../src/activities/restore/restore.ts';
import { freeBackupId } from '../../../src/operations/backup-id.ts';
import { type ActivityLab, activityOf, attemptIn, startActivityLab } from '../../support/lab-activities.ts';

/* A real host with Docker: what becomes of a restore whose job is killed. The whole way is in `bare-host.lab.test.ts`. */
let lab: ActivityLab;
beforeAll(async () => {
  lab = await startActivityLab();
}, startTimeoutMs);
afterAll(() => lab?.stop());

const attempt = <T>(work: () => Promise<T>) => attemptIn(activityOf(randomUUID()), work);
const onHost = (script: string) => lab.onHost(script);

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
      `timeout 120 sh -c 'until grep -q "^undone" ${record}/state && [ ! -e ${record}/unstarted ] && [ "$(docker inspect --format "{{.State.Running}}" slow)" = true ] && systemctl --quiet is-active proxmox-mcp; do sleep 0.5; done'`,
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
