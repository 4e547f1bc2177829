import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Sandbox, startSandbox, whyNoSandbox } from '../../hosts/helper/sandbox/sandbox.ts';
import { makeHost, type TestHost } from '../../support/local-host.ts';
import { standIns } from '../../support/stand-ins.ts';
import { backUp, id, top } from './steps.ts';

// The emergency page's own commands, one after another, on a copy of this machine that has nothing of the product, from an archive
// that the real commands made: what it restores is byte for byte what there was.

const page = readFileSync(new URL('../../../docs/emergency.md', import.meta.url), 'utf8');
/** The commands of the first chapter, in order. */
const blocks = [
  ...page.slice(0, page.indexOf('\n## The service itself')).matchAll(/^( *)```sh\n([\s\S]*?)^ *```$/gm),
].map(([, indent = '', text = '']) => text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''));

/** Programs of a Proxmox VE host, which this machine is none. They leave a mark of what they were asked. */
const programs = {
  systemctl: 'echo "systemctl $*" >>/root/asked; [ "$*" != "start pve-cluster" ] || mkdir -p /etc/pve',
  pvecm: 'echo "pvecm $*" >>/root/asked',
  // The real one says whether it could.
  'apt-get':
    'echo "apt-get $(echo "$*" | cut -c1-30)" >>/root/asked; case "$*" in *install*) exec /usr/bin/apt-get --simulate "$@" ;; esac',
  docker:
    'case "$2" in create) mkdir -p "/var/lib/docker/volumes/$3/_data" ;; inspect) echo "/var/lib/docker/volumes/$5/_data" ;; esac; echo "docker $*" >>/root/asked',
};

describe.skipIf(whyNoSandbox())('an archive is restored by hand from the emergency page', () => {
  let host: TestHost;
  let sandbox: Sandbox;
  let seal = '';

  beforeAll(async () => {
    host = makeHost({ volumes: ['data'], containers: ['app'] });
    const volume = join(host.folder, 'volume');
    const docker = standIns(host);
    docker.put(
      'docker',
      `case "$*" in
        *Mountpoint*) printf 'local\n%s\n\n\n' '${volume}' ;;
        *'range .Mounts'*) case "$*" in *'volume {{'*) echo 'volume proxmox_data' ;; *) echo proxmox_data ;; esac ;;
        'volume ls'*) echo proxmox_data ;;
        ps*) echo 0123456789ab ;;
      esac`,
    );
    host.sh(`mkdir -p "$root/etc/pve/nodes/pve1/qemu-server" "$root/var/lib/pve-cluster" "$root/root/.ssh" ${volume.replaceAll(' ', '\\ ')}/db
      echo 'memory: 2048' >"$root/etc/pve/nodes/pve1/qemu-server/100.conf"; echo key >"$root/root/.ssh/authorized_keys"
      mkdir -p "$root/etc/corosync" "$root/usr/share/keyrings"; echo ring >"$root/etc/corosync/corosync.conf"; echo key >"$root/usr/share/keyrings/theirs.gpg"
      cd "$root/etc"; printf '%s\\n' 'root:x:0:0:Another:/root:/bin/false' 'anna:x:4242:4242::/home/anna:/bin/sh' 'taken:x:1:1::/:/bin/sh' >passwd
      printf '%s\\n' 'anna:x:4242:' 'sudo:x:27:anna,root' >group; printf '%s\\n' 'root:theirs:1::::::' 'anna:$6$x$y:1::::::' >shadow
      printf '%s\\n' 'root:100000:65536' 'root:4242:1' >subuid; chmod 600 shadow
      python3 -c 'import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute("create table tree (name text)"); d.execute("insert into tree values (1)"); d.commit()' "$root/var/lib/pve-cluster/config.db"
      head -c 100000 /dev/urandom >${volume.replaceAll(' ', '\\ ')}/db/file; chown 999:999 ${volume.replaceAll(' ', '\\ ')}/db/file`);
    await backUp(host);
    docker.remove();
    seal = host.sh('cut -d" " -f1,2 "$state/seal/key.pub"').trim();
    sandbox = await startSandbox();
    for (const [name, text] of Object.entries(programs))
      await sandbox.write(`/usr/local/sbin/${name}`, `#!/bin/sh\n${text}\n`, 0o755);
    return async () => {
      await sandbox.close();
      await host.close();
    };
  }, 300_000);

  /** Brings a file into the sandbox, whose /tmp is its own. */
  const bring = async (from: string, to: string) => {
    await sandbox.write(`${to}.base64`, execFileSync('base64', [from], { encoding: 'utf8', maxBuffer: 1e8 }));
    await sandbox.root(`base64 -d '${to}.base64' >'${to}'; rm '${to}.base64'`);
  };
  const settings = (values: Readonly<Record<string, string>>) =>
    (blocks[0] ?? '').replaceAll(/^(\w+)=.*$/gm, (line, name: string) =>
      name in values ? `${name}='${values[name]}'` : line,
    );
  const follow = (values: Readonly<Record<string, string>>, most = blocks.length) =>
    sandbox.run({
      argv: ['/bin/sh', '-euc', [settings(values), ...blocks.slice(1, most)].join('\n')],
      env: { PATH: '/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root' },
      timeoutMs: 120_000,
    });
  /** Everything below a folder, with owner, mode and content. */
  const tree = (folder: string) =>
    `cd '${folder}' && find . ! -name '*.sock' -printf '%p %y %m %U:%G %l\\n' | LC_ALL=C sort; find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum`;

  it('from the encrypted copy, onto a machine that has nothing', async () => {
    host.sh(`cd "$backups"; age-keygen -o ../identity 2>/dev/null
      tar -c ${id}.manifest ${id}.manifest.sig ${id}.tar.gz | age -r "$(age-keygen -y ../identity)" >../copy.age`);
    await sandbox.root(
      `mkdir -p /mnt/copies /opt; rm -rf /root/restored /opt/proxmox-mcp /root/.ssh /var/lib/pve-cluster; ! ls -d /var/lib/proxmox-mcp 2>/dev/null
      mkdir -p /var/lib/pve-cluster; echo new >/var/lib/pve-cluster/config.db; echo log >/var/lib/pve-cluster/config.db-wal`,
    );
    await bring(join(host.folder, 'copy.age'), `/mnt/copies/${id}.age`);
    await bring(join(host.folder, 'identity'), '/root/age-identity');
    const { code, stderr } = await follow({ backup: id, from: '/mnt/copies', seal, identity: '/root/age-identity' });
    expect(stderr, 'the page').not.toMatch(/WARNING|FAILED/);
    expect(code, stderr).toBe(0);

    expect(await sandbox.root(tree('/opt/proxmox-mcp'))).toBe(
      host.sh(
        `cp -a "$installation" "$backups/../was"; cp -a "${host.layout.sudoersFile}" "$backups/../was/claude-user"; ${tree(join(host.folder, 'was'))}`,
      ),
    );
    expect(await sandbox.root(tree('/var/lib/docker/volumes/proxmox_data/_data'))).toBe(
      host.sh(tree(join(host.folder, 'volume'))),
    );
    for (const path of [
      'etc/network/interfaces',
      'etc/ssh/ssh_host_ed25519_key',
      'etc/apt/sources.list',
      'etc/fstab',
      'root/.ssh/authorized_keys',
      'etc/cron.d/nightly',
    ])
      expect(await sandbox.root(`stat -c '%a %U' '/${path}'; sha256sum <'/${path}'`), path).toBe(
        host.sh(`stat -c '%a %U' "$root/${path}"; sha256sum <"$root/${path}"`),
      );
    expect(
      await sandbox.root(
        `python3 -c 'import sqlite3; print(sqlite3.connect("/var/lib/pve-cluster/config.db").execute("select name from tree").fetchall())'`,
      ),
    ).toBe("[('1',)]\n");
    // The log of the new one would be taken for one of the old.
    expect(await sandbox.root('ls /var/lib/pve-cluster /root/config.db.before')).toBe(
      '/root/config.db.before:\nconfig.db\nconfig.db-wal\n\n/var/lib/pve-cluster:\nconfig.db\n',
    );
    // The database comes in while nobody has it open.
    const asked = await sandbox.read('/root/asked');
    expect(asked).toMatch(/^systemctl stop pve-cluster\nsystemctl start pve-cluster\nsystemctl restart corosync\n/);
    expect(asked).toContain('apt-get update\napt-get -y --no-remove install ');
    expect(asked).toContain('systemctl start pve-cluster\nsystemctl restart corosync\npvecm expected 1\n');
    expect(await sandbox.root('cat /etc/corosync/corosync.conf /usr/share/keyrings/theirs.gpg')).toBe('ring\nkey\n');
    // Who was missing is there again, and nobody who is here is another one.
    expect(await sandbox.root('id anna; id -Gn anna; grep ^anna: /etc/shadow; stat -c %a /etc/shadow')).toMatch(
      /^uid=4242\(anna\) gid=4242\(anna\).*\nanna sudo\nanna:\$6\$x\$y:1::::::\n6?[04]0\n$/,
    );
    expect(await sandbox.root('grep -c theirs /etc/shadow || :; grep -c ^taken: /etc/passwd || :')).toBe('0\n0\n');
    expect(await sandbox.root('grep -cx root:4242:1 /etc/subuid; grep -c ^root:0: /etc/passwd || :')).toContain('1\n');
  }, 120_000);

  it('and stops where the archive or its manifest is not what the host sealed', async () => {
    await sandbox.root('rm -rf /root/restored /mnt/copies; mkdir -p /mnt/copies');
    for (const end of ['tar.gz', 'manifest', 'manifest.sig'])
      await bring(join(host.layout.backups, `${id}.${end}`), `/mnt/copies/${id}.${end}`);
    const values = { backup: id, from: '/mnt/copies', seal };
    expect(await follow(values, 4)).toMatchObject({ code: 0 });
    expect((await follow({ ...values, seal: `${seal.slice(0, -4)}AAAA` }, 3)).code).not.toBe(0);
    await sandbox.root(`sed -i 's/^host .*/host other -/' /mnt/copies/${id}.manifest`);
    expect((await follow(values, 3)).code).not.toBe(0);
    await bring(join(host.layout.backups, `${id}.manifest`), `/mnt/copies/${id}.manifest`);
    await sandbox.root(`printf x >>/mnt/copies/${id}.tar.gz`);
    const { code, stdout } = await follow(values, 3);
    expect(code).not.toBe(0);
    expect(stdout).toContain('FAILED');
    expect(top).not.toBe('');
  }, 60_000);
});
