import { randomUUID } from 'node:crypto';
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { pino } from 'pino';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, type LabHostOptions, startLabHost } from '../../../lab/hosts/lab-host.ts';
import { createBackupActivities } from '../../../src/activities/back-up/back-up.ts';
import { createCopyBackupsActivities } from '../../../src/activities/copy-backups/copy-backups.ts';
import { createRestoreActivities } from '../../../src/activities/restore/restore.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { createHosts } from '../../../src/hosts/create-hosts.ts';
import type { Hosts } from '../../../src/hosts/host.ts';
import { createSshExecutor } from '../../../src/hosts/ssh/executor.ts';
import { type BackupKind, freeBackupId } from '../../../src/operations/backup-id.ts';
import { configFolder, configOf, makeBare } from '../../hosts/install/sample.ts';
import { runNode, useBuild } from '../../support/built.ts';
import { activityOf, attemptIn } from '../../support/lab-activities.ts';

/*
 * The whole way: backed up, copied off the host, everything on it destroyed but SSH; installed anew, the copy decrypted and brought
 * back with an administrator's signature, restored, and all is as before.
 */
const attempt = <T>(work: () => Promise<T>) => attemptIn(activityOf(randomUUID()), work);

/** All of what came with the installation of the service, and what backups it holds. */
const loseService = `pkill -KILL -u claude-user || :; sleep 1; userdel claude-user; rm -rf /home/claude-user /var/lib/proxmox-mcp /usr/local/libexec/proxmox-mcp /usr/local/lib/proxmox-mcp
  groupdel claude-user 2>/dev/null || :; find /etc/sudoers.d -name '*claude*' -delete; find /opt/proxmox-mcp-backups -mindepth 1 -delete`;

describe.skipIf(whyNoLab())('a host of which only SSH is left', () => {
  const build = useBuild();
  let host: LabHost | undefined;
  let hosts: Hosts | undefined;
  let folder: string;

  afterAll(stop);
  beforeEach(stop);
  async function stop() {
    await hosts?.close();
    await host?.stop();
    hosts = undefined;
    host = undefined;
  }

  const lab = () => {
    if (host === undefined) throw new Error('no host');
    return host;
  };
  const onHost = (script: string) => lab().must(['sh', '-euc', script]);

  async function start(options: LabHostOptions): Promise<void> {
    host = await startLabHost(options);
    await makeBare(host);
    folder = configFolder(host, configOf(host));
    const identity = await generateX25519Identity();
    writeFileSync(join(folder, 'identity'), `${identity}\n`, { mode: 0o600 });
    appendFileSync(join(folder, '.env'), `BACKUP_RECIPIENTS=${await identityToRecipient(identity)}\n`);
  }

  async function cli(...args: string[]): Promise<string> {
    const login = ['--as', 'admin', '--key', lab().admin.keyPath, '--yes'];
    const command = [build.path('src/cli.js'), '--config-dir', folder, 'host', ...args, ...login];
    const ran = await runNode(command[0] ?? '', command.slice(1), { env: { HOME: folder } });
    expect(ran.code, ran.stdout + ran.stderr).toBe(0);
    return ran.stdout + ran.stderr;
  }

  /** Installs the service on the host; answers by which key its archives are sealed. */
  async function install(): Promise<string> {
    const said = await cli('install', 'lab', '--api', 'no');
    const { config } = loadConfig({ cwd: folder, env: {} });
    await hosts?.close();
    hosts = createHosts({
      hosts: config.hosts,
      executorFor: ({ name, ssh }) => {
        if (ssh === undefined) throw new Error('no SSH');
        return createSshExecutor({ name, ssh, log: pino({ level: 'silent' }) });
      },
    });
    return /sealed by (SHA256:\S+);/.exec(said)?.[1] ?? said;
  }

  const activities = () => {
    if (hosts === undefined) throw new Error('not installed');
    const { config } = loadConfig({ cwd: folder, env: {} });
    const given = { hosts, config };
    return {
      ...createBackupActivities(given),
      ...createCopyBackupsActivities(given),
      ...createRestoreActivities(given),
    };
  };

  /** Backed up and copied off the host; answers the backup. */
  async function backUp(kind: BackupKind): Promise<string> {
    const on = activities();
    const input = { host: 'lab', id: freeBackupId(kind, Date.now(), []), fence: 1 };
    const { volumes } = await attempt(() => on.collectBackup(input));
    await attempt(() => on.collectHost(input));
    await attempt(() => on.archiveVolumes({ ...input, volumes: kind === 'monthly' ? [] : volumes }));
    const { doubts } = await attempt(() => on.packBackup(input));
    expect(doubts).toEqual([]);
    const { sha256 } = await attempt(() => on.verifyBackup(input));
    await attempt(() => on.publishBackup({ ...input, sha256 }));
    const { missing } = await attempt(() => on.lookAtCopies({ host: 'lab' }));
    expect(missing.map(({ backup }) => backup)).toEqual([input.id]);
    for (const archive of missing) await attempt(() => on.copyBackup({ host: 'lab', archive }));
    return input.id;
  }

  /** After the host was lost: installed anew, and the copy brought back. */
  async function bringBack(backup: string, seal: string): Promise<void> {
    expect(await install()).not.toBe(seal);
    await cli('administrators', 'lab', 'add', `${lab().admin.keyPath}.pub`, '--name', 'anna');
    const way = ['--identity', join(folder, 'identity'), '--sign', lab().admin.keyPath, '--seal', seal];
    expect(await cli('bring-backup', 'lab', backup, ...way)).toContain('it counts there by your signature');
  }

  async function restoreAll(backup: string) {
    const on = activities();
    const choice = { host: 'lab', backup, what: 'complete', selection: [] } as const;
    const look = await attempt(() => on.lookForRestore(choice));
    expect(look.problems).toEqual([]);
    const one = { host: 'lab', restore: 'restore-20261127-120000', fence: 2 };
    await attempt(() => on.stageRestore({ ...one, ...choice, sha256: look.archive.sha256 }));
    expect(await attempt(() => on.applyRestore(one))).toMatchObject({ state: 'kept' });
    return { look, undo: () => attempt(() => on.undoRestore(one)) };
  }

  it('comes back with its installation, volumes and user, byte for byte, and answers', {
    timeout: 600_000,
  }, async () => {
    await start({ docker: true, installation: true });
    const seal = await install();
    await onHost(`systemctl start proxmox-mcp
      docker run --rm -v caddy_data:/d busybox sh -c 'echo kept >/d/kept; chown 7:8 /d/kept; chmod 640 /d/kept; mkfifo /d/pipe; ln -s kept /d/link'
      echo '30 4 * * * root true' >/etc/cron.d/mine`);
    const asItIs = () =>
      onHost(`for d in /opt/proxmox-mcp $(docker volume inspect --format '{{.Mountpoint}}' mcp_logs caddy_data); do cd "$d"
        stat -c '%a %u:%g' .; find . -mindepth 1 ! -path './logs/*' -printf '%P %y %m %U:%G %T@ %l\\n' | LC_ALL=C sort; find . -type f ! -path './logs/*' -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum; done
        docker volume inspect --format '{{.Name}}' mcp_logs caddy_data; docker ps --format '{{.Names}} {{.Image}}' | sort
        cat /etc/hosts /etc/fstab /etc/cron.d/mine /etc/systemd/system/proxmox-mcp.service; id claude-user; systemctl is-active proxmox-mcp
        curl -fsS 127.0.0.1:8080/health; curl -fsS 127.0.0.1:80 | head -c 100`);
    const before = await asItIs();
    const backup = await backUp('daily');

    await onHost(`systemctl disable --now proxmox-mcp 2>/dev/null; docker rm -f $(docker ps -aq) >/dev/null 2>&1 || :
      docker volume rm mcp_logs caddy_data >/dev/null; docker network prune -f >/dev/null
      rm -rf /opt/proxmox-mcp /etc/systemd/system/proxmox-mcp.service /etc/cron.d/mine; systemctl daemon-reload; echo lost >/etc/fstab
      ${loseService}`);
    await bringBack(backup, seal);
    const { undo } = await restoreAll(backup);
    expect(await asItIs()).toBe(before);
    await attempt(() => activities().lookAtCopies({ host: 'lab' }));

    // And back to what was there before it: nothing.
    await undo();
    expect(await onHost('ls -d /opt/proxmox-mcp 2>/dev/null || :; docker volume ls --quiet; cat /etc/fstab')).toBe(
      'lost\n',
    );
  });

  it('and has no installation comes back with its own configuration, on another machine without what is of its disks and cards', {
    timeout: 600_000,
  }, async () => {
    await start({});
    const seal = await install();
    await onHost(`mkdir -p /etc/pve/nodes/lab/qemu-server /etc/network /root/.ssh /etc/modprobe.d /var/lib/vz/snippets
      echo 'dir: local' >/etc/pve/storage.cfg; echo 'cores: 2' >/etc/pve/nodes/lab/qemu-server/100.conf
      echo 'auto vmbr0' >/etc/network/interfaces; echo '/dev/sda1 / ext4 defaults 0 1' >/etc/fstab
      echo 'vm.swappiness=10' >/etc/sysctl.d/90-mine.conf; echo 'options kvm nested=1' >/etc/modprobe.d/kvm.conf
      echo '30 4 * * * root true' >/etc/cron.d/mine; chmod 600 /etc/cron.d/mine; echo '#cloud-config' >/var/lib/vz/snippets/one.yaml`);
    const own =
      '/etc/sysctl.d/90-mine.conf /etc/modprobe.d/kvm.conf /etc/cron.d/mine /root/.ssh/authorized_keys /var/lib/vz/snippets/one.yaml';
    const asItIs = () => onHost(`for f in ${own}; do stat -c '%n %a %u:%g %Y' "$f"; sha256sum "$f"; done`);
    const before = await asItIs();
    const backup = await backUp('monthly');

    await onHost(`${loseService}; rm -rf /etc/pve/* ${own.replace('/root/.ssh/authorized_keys', '')}
      echo 'auto eno1' >/etc/network/interfaces; echo new >/etc/fstab; tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id`);
    await bringBack(backup, seal);
    const groups = await onHost('cat /etc/group');
    const { look } = await restoreAll(backup);
    expect(look).toMatchObject({ isOtherMachine: true });
    expect(look.left.map(({ why, first }) => [why, first]).sort()).toEqual([
      ['accounts', 'host/etc/group'],
      ['machine', 'host/etc/fstab'],
      ['pve', 'host/etc/pve/nodes/lab/qemu-server/100.conf'],
    ]);
    expect(await asItIs()).toBe(before);
    expect(await onHost('cat /etc/network/interfaces /etc/fstab /etc/group')).toBe(`auto eno1\nnew\n${groups}`);
  });
});
