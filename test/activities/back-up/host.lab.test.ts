import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import { type BackupActivities, createBackupActivities } from '../../../src/activities/back-up/back-up.ts';
import type { HostConfig } from '../../../src/config.ts';
import { listBackups } from '../../../src/hosts/commands/back-up/archives.ts';
import { createHosts } from '../../../src/hosts/create-hosts.ts';
import { defaultLayout } from '../../../src/hosts/helper/default-layout.ts';
import type { Hosts } from '../../../src/hosts/host.ts';
import { install } from '../../../src/hosts/install/install.ts';
import { createSshExecutor } from '../../../src/hosts/ssh/executor.ts';
import { freeBackupId } from '../../../src/operations/backup-id.ts';
import { configOf, log, makeBare } from '../../hosts/install/sample.ts';
import { activityOf, attemptIn } from '../../support/lab-activities.ts';

// A Debian host as `host install` leaves it, with the real policy of sudo, and nothing of an installation.
let lab: LabHost;
let config: HostConfig;
let hosts: Hosts;
let activities: BackupActivities;
const root = (script: string) => lab.must(['sh', '-euc', script]);
const folder = defaultLayout.backups;

beforeAll(async () => {
  lab = await startLabHost();
  await makeBare(lab);
  const bare = configOf(lab);
  config = { ...bare, layout: { ...bare.layout, backupPaths: ['/srv/chosen'] } };
  expect(await install(config, { login: lab.admin, log, agree: async () => true, revertAfterSeconds: 300 })).toBe(
    'installed',
  );
  const { ssh } = config;
  if (ssh === undefined) throw new Error('no SSH');
  hosts = createHosts({ hosts: [config], executorFor: ({ name }) => createSshExecutor({ name, ssh, log }) });
  activities = createBackupActivities({ hosts, config: { dataDir: lab.folder } });
  // Debian's own, for a host that has none: Proxmox VE's depends on it.
  for (const file of ['/usr/bin/sqlite3', ...librariesOf('/usr/bin/sqlite3')])
    await lab.writeFile(file, readFileSync(file), { mode: 0o755 });
}, startTimeoutMs);
afterAll(async () => {
  await hosts?.close();
  await lab?.stop();
});

function librariesOf(program: string): readonly string[] {
  const lines = execFileSync('ldd', [program], { encoding: 'utf8' }).split('\n');
  // What libc brings is there.
  return lines.flatMap((line) => /(\/\S+\/lib(?:sqlite3|readline|tinfo|z)\.so\S*)/.exec(line)?.[1] ?? []);
}

let count = 0;
function newInput() {
  count += 1;
  return { host: config.name, id: freeBackupId('daily', Date.now() + count * 1000, []), fence: 1 };
}
const attempt = <T>(run: string, work: () => Promise<T>) => attemptIn(activityOf(run), work);

async function backUp(input = newInput()) {
  const run = randomUUID();
  const look = await attempt(run, () =>
    activities.lookForBackup({ host: config.name, kind: 'daily', anyTarget: false }),
  );
  const collected = await attempt(run, () => activities.collectBackup(input));
  const own = await attempt(run, () => activities.collectHost(input));
  const packed = await attempt(run, () => activities.packBackup(input));
  const { sha256 } = await attempt(run, () => activities.verifyBackup(input));
  const published = await attempt(run, () => activities.publishBackup({ ...input, sha256 }));
  return { ...input, look, collected, own, packed, published };
}
const newest = async () => (await hosts.get(config.name).run(listBackups, {})).archives.at(-1);

describe('a host without an installation', { timeout: 180_000 }, () => {
  it('is backed up by the service’s own user: verified, listed, and restored by tar', async () => {
    await root('mkdir -p /srv/chosen; echo mine >/srv/chosen/notes; echo "* * * * * root true" >/etc/cron.d/own');
    const { id, look, collected, own, packed, published } = await backUp();
    expect(look).toMatchObject({ isInstalled: false, skippedVolumes: [] });
    expect(collected).toMatchObject({ entries: 0, volumes: [] });
    expect(packed.doubts).toEqual([]);
    expect(own.closed).toEqual([]);
    expect(published.counts).toBe(true);
    expect(await newest()).toMatchObject({ id, state: 'verified' });
    // As somebody does who has nothing but the archive.
    const differing =
      await root(`rm -rf /root/restored; mkdir /root/restored; tar xzf ${folder}/${id}.tar.gz -C /root/restored
      cd /root/restored; sha256sum --check --quiet --strict SHA256SUMS; cd host
      for one in etc/ssh etc/fstab etc/apt etc/cron.d etc/default etc/sudoers.d srv/chosen; do diff -r --no-dereference /$one $one; done
      dpkg --get-selections | cmp - dpkg-selections; apt-mark showmanual | cmp - apt-manual
      stat -c '%a %U %n' ${folder}/${id}.tar.gz etc/ssh/ssh_host_ed25519_key etc`);
    expect(differing).toBe(`600 root ${folder}/${id}.tar.gz\n600 root etc/ssh/ssh_host_ed25519_key\n755 root etc\n`);
    await root(`cp /etc/fstab /root/fstab; echo broken >/etc/fstab
      tar xzf ${folder}/${id}.tar.gz -C / --strip-components=1 host/etc/fstab; cmp /etc/fstab /root/fstab`);
  });

  it('of Proxmox VE: its database is one moment of it, while it is written to', async () => {
    await root(`mkdir -p /etc/pve/nodes/pve1/qemu-server /var/lib/pve-cluster; echo 'dir: local' >/etc/pve/storage.cfg
      echo 'name: web' >/etc/pve/nodes/pve1/qemu-server/100.conf
      sqlite3 /var/lib/pve-cluster/config.db 'PRAGMA journal_mode=WAL; CREATE TABLE tree (inode INTEGER PRIMARY KEY NOT NULL, data BLOB)' >/dev/null
      printf '%s\\n' 'while :; do echo "BEGIN; INSERT INTO tree (data) VALUES (1); INSERT INTO tree (data) VALUES (2); COMMIT;"; done | sqlite3 -cmd ".timeout 10000" /var/lib/pve-cluster/config.db' >/root/write.sh
      systemd-run --quiet --unit writer sh /root/write.sh`);
    try {
      const { id, own, packed } = await backUp();
      expect(own.database).toBe('sqlite3');
      expect(packed.doubts).toEqual([]);
      const said =
        await root(`rm -rf /root/restored; mkdir /root/restored; tar xzf ${folder}/${id}.tar.gz -C /root/restored
        cd /root/restored/host/var/lib/pve-cluster; ls; sqlite3 config.db 'PRAGMA integrity_check; SELECT count(*) > 0, sum(data = 1) = sum(data = 2) FROM tree'`);
      expect(said).toBe('config.db\nok\n1|1\n');
    } finally {
      await root('systemctl stop writer');
    }
  });

  it('doubts what was there before and is gone, and names it', async () => {
    await root('rm -r /srv/chosen /etc/pve/storage.cfg');
    const { packed, published } = await backUp();
    expect(packed.doubts).toEqual(
      expect.arrayContaining([
        { verdict: 'failed', summary: 'missing: /srv/chosen' },
        { verdict: 'warning', summary: 'missing: /etc/pve/storage.cfg' },
      ]),
    );
    expect(published.counts).toBe(false);
    expect(await newest()).toMatchObject({ state: 'doubted' });
    await root('mkdir -p /srv/chosen; echo mine >/srv/chosen/notes; echo x >/etc/pve/storage.cfg');
  });

  it('copies again when the copy is killed midway, packs nothing that has not ended, and leaves nothing', async () => {
    // As many as the lab's disk has inodes for.
    await root('mkdir -p /srv/chosen/many; cd /srv/chosen/many; seq 10000 | xargs touch');
    const input = newInput();
    const run = randomUUID();
    await attempt(run, () => activities.collectBackup(input));
    await expect(attempt(randomUUID(), () => activities.packBackup(input))).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining('"host" has not ended'),
    });
    // It watches before the copy begins: a shell that is started meanwhile may come too late on a busy machine.
    const copied = `${folder}/.${input.id}.partial/host/srv/chosen/many`;
    await root(`systemd-run --quiet --unit killer sh -c '
      until [ -d ${copied} ]; do sleep 0.01; done
      systemctl kill --signal=KILL "proxmox-mcp-job-${input.id}-host*"; ls ${copied} | wc -l >/run/killed'`);
    await attempt(run, () => activities.collectHost(input));
    expect(Number(await root('cat /run/killed'))).toBeLessThan(10_000);
    expect(Number(await root(`ls ${copied} | wc -l`))).toBe(10_000);
    await attempt(run, () => activities.abandonBackup(input));
    expect(await root(`find ${folder} -name '*${input.id}*'`)).toBe('');
    await root('rm -r /srv/chosen/many');
    expect((await backUp()).published.counts).toBe(true);
  });

  it('lets nobody who has the service’s key choose what is copied', async () => {
    const { ssh } = config;
    if (ssh === undefined) throw new Error('no SSH');
    const executor = createSshExecutor({ name: config.name, ssh, log });
    const { id } = newInput();
    try {
      const job = ['job-start', 'x', 'r', 'collect-host', String(Date.now())];
      for (const args of [
        [...job, id, '/root'],
        [...job, '/root'],
        [...job, `${id} /root`],
        ['look-for-backup', '/root'],
        ['collect-host', '1', id],
      ]) {
        const { exitCode } = await executor.exec(
          ['/usr/bin/sudo', '-n', '--', config.layout.helper, ...args] as [string, ...string[]],
          { timeoutMs: 20_000 },
        );
        expect(exitCode, args.join(' ')).not.toBe(0);
      }
      const { exitCode } = await executor.exec(
        ['/usr/bin/sudo', '-n', 'backupPaths=/root', '--', config.layout.helper, 'look-for-backup'],
        { timeoutMs: 20_000 },
      );
      expect(exitCode).not.toBe(0);
    } finally {
      await executor.close();
    }
    expect(await root(`find ${folder} -name '*${id}*'`)).toBe('');
  });
});
