import { execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createBackupActivities } from '../../../src/activities/back-up/back-up.ts';
import { listBackups } from '../../../src/hosts/commands/back-up/archives.ts';
import { freeBackupId } from '../../../src/operations/backup-id.ts';
import { sample } from '../../support/exhaustive.ts';
import { makeHost, type TestHost } from '../../support/local-host.ts';
import { standIns } from '../../support/stand-ins.ts';
import { backUp, failure, id, input, lookFor } from './steps.ts';

let host: TestHost;
beforeEach(() => {
  host = makeHost({ backupPaths: ['/srv/chosen', '/srv/nothing'] });
  host.sh('rm -r "$installation"; mkdir -p "$root/srv/chosen"; echo mine >"$root/srv/chosen/notes"');
});
afterEach(async () => {
  await host.close();
});

let made = 0;
/** Another backup of the same host. */
async function next() {
  made += 1;
  host.newRun();
  return await backUp(host, { ...input, id: freeBackupId('daily', Date.now() + made * 1000, []) });
}
const newest = async () => (await host.hosts.get('pve1').run(listBackups, {})).archives.at(-1);
const inArchive = (one: string) => host.sh(`tar tzf "$backups/${one}.tar.gz"`).split('\n');
/** The archive as somebody restores it; the folder of what it holds. */
function restored(one = id): string {
  host.sh(`rm -rf "$backups/../out"; mkdir "$backups/../out"; tar xzf "$backups/${one}.tar.gz" -C "$backups/../out"`);
  return join(host.layout.backups, '../out');
}

/** What a node of Proxmox VE has: /etc/pve, and the database behind it, whose last writes are only in its log. */
function makeProxmox(): void {
  host.sh(`mkdir -p "$root/etc/pve/nodes/pve1/qemu-server" "$root/etc/pve/priv/lock" "$root/var/lib/pve-cluster"
    cd "$root/etc/pve"; echo 'dir: local' >storage.cfg; echo 'name: web' >nodes/pve1/qemu-server/100.conf
    echo 'name: db' >nodes/pve1/qemu-server/101.conf; echo secret >priv/token.cfg; chmod 600 priv/token.cfg
    echo x >.version; ln -s nodes/pve1 local`);
  const fill =
    'import os, sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute("pragma journal_mode=wal"); d.execute("create table tree (inode integer primary key not null, data blob)"); d.executemany("insert into tree (data) values (?)", [("x" * 500,)] * 1000); d.commit(); os._exit(0)';
  execFileSync('python3', ['-c', fill, database()]);
}
const database = () => join(host.layout.hostRoot, 'var/lib/pve-cluster/config.db');
const ask = (file: string, sql: string) => execFileSync('sqlite3', [file, sql], { encoding: 'utf8' }).trim();

describe('a host without an installation', () => {
  it('is backed up: its own configuration in an archive that is verified, listed and restored by tar', async () => {
    const look = await lookFor(host);
    expect(look).toMatchObject({ isInstalled: false, entries: 0, volumes: [], skippedVolumes: [], concerns: [] });
    const { collected, own, packed, verified, published } = await backUp(host);
    expect(collected).toMatchObject({ entries: 0, sudoers: false, volumes: [] });
    expect(packed).toMatchObject({ doubts: [], gone: [] });
    expect(published.counts).toBe(true);
    expect(await newest()).toMatchObject({ id, state: 'verified', bytes: verified.bytes });
    expect(host.sh(`stat -c %a "$backups/${id}.tar.gz"`)).toBe('600\n');

    const out = restored();
    host.sh(`cd '${out}'; sha256sum --check --strict --quiet SHA256SUMS; cd host
      for part in etc srv; do diff -r --no-dereference "$root/$part" $part; done
      [ "$(stat -c '%a %u' etc/ssh/ssh_host_ed25519_key)" = '600 0' ]; [ "$(stat -c %a etc)" = "$(stat -c %a "$root/etc")" ]`);
    expect(own.parts.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['/etc/fstab', '/srv/chosen', '/etc/ssh']),
    );
    // What it never had is only said.
    expect(own.absent).toEqual(
      expect.arrayContaining([
        { kind: 'proxmox', path: '/etc/pve' },
        { kind: 'chosen', path: '/srv/nothing' },
      ]),
    );
    expect(own.closed).toEqual([]);
  });

  it('says that an installation which the last good backup held is gone, once and not file by file', async () => {
    await host.close();
    host = makeHost();
    await backUp(host);
    host.sh('mv "$installation" "$installation.away"');
    const { packed, published } = await next();
    expect(packed.doubts).toEqual([
      { verdict: 'failed', summary: `missing: the installation ${host.layout.installation}` },
    ]);
    expect(published.counts).toBe(false);
    expect(await newest()).toMatchObject({ state: 'doubted' });
    host.sh('mkdir "$installation"');
    expect((await lookFor(host)).concerns).toMatchObject([
      { check: 'Installation', verdict: 'warning', summary: expect.stringContaining('is empty') },
    ]);
  });
});

describe('what the last good backup held of the host', () => {
  it.each(
    sample(
      [
        ['a file', 'rm "$root/etc/fstab"', 'failed', 'missing: /etc/fstab'],
        [
          'a file in a folder',
          'echo >"$root/etc/cron.d/other"; rm "$root/etc/cron.d/nightly"',
          'warning',
          'missing: /etc/cron.d/nightly',
        ],
        ['a folder', 'rm -r "$root/etc/ssh"', 'failed', 'missing: /etc/ssh'],
        ['what is in a folder', 'rm "$root/etc/ssh/"*', 'failed', 'empty: /etc/ssh (1 files in the last good backup)'],
        [
          'the content of a file',
          ': >"$root/etc/hosts"',
          'warning',
          'empty: /etc/hosts (20 bytes in the last good backup)',
        ],
        ['a chosen folder', 'rm -r "$root/srv/chosen"', 'failed', 'missing: /srv/chosen'],
      ],
      2,
    ),
  )('%s: its loss is a doubt, and the archive does not count', async (_, damage, verdict, summary) => {
    await backUp(host);
    host.sh(damage);
    const { packed, published } = await next();
    expect(packed.doubts).toContainEqual({ verdict, summary });
    expect(published.counts).toBe(false);
    expect(await newest()).toMatchObject({ state: 'doubted' });
  });

  it('may become smaller and older, as updates make it', async () => {
    host.sh('head -c 5000 /dev/zero >"$root/etc/default/big"; head -c 9000 /dev/zero >"$root/etc/default/more"');
    await backUp(host);
    host.sh('echo small >"$root/etc/default/big"; touch -d 2020-01-01 "$root/etc/default/big"');
    expect((await next()).packed.doubts).toEqual([]);
  });

  it('of a guest is no doubt when it is gone, but said; one that moved to another node is not', async () => {
    makeProxmox();
    await backUp(host);
    host.sh(`cd "$root/etc/pve/nodes"; mkdir -p pve2/qemu-server; mv pve1/qemu-server/100.conf pve2/qemu-server; rm pve1/qemu-server/101.conf
      : >../priv/lock/x`);
    const { packed, published } = await next();
    expect(packed).toMatchObject({ doubts: [], gone: ['guest 101'] });
    expect(published.counts).toBe(true);
    host.sh('rm -r "$root/etc/pve/"*');
    expect((await next()).packed.doubts).toContainEqual({
      verdict: 'failed',
      summary: 'empty: /etc/pve, although /var/lib/pve-cluster/config.db is there: is the service pve-cluster running?',
    });
  });
});

describe('the database of /etc/pve', () => {
  beforeEach(makeProxmox);

  it('is copied with what stands only in its log, and neither is changed', async () => {
    const before = host.sh('cd "$root/var/lib/pve-cluster"; sha256sum config.db config.db-wal');
    const { own, packed } = await backUp(host);
    expect(own.database).toBe('sqlite3');
    expect(packed.doubts).toEqual([]);
    expect(host.sh('cd "$root/var/lib/pve-cluster"; sha256sum config.db config.db-wal')).toBe(before);
    const copy = join(restored(), 'host/var/lib/pve-cluster/config.db');
    expect(ask(copy, 'PRAGMA integrity_check; SELECT count(*) FROM tree')).toBe('ok\n1000');
    // What pmxcfs makes up is left out, and what it keeps is there.
    const names = inArchive(id);
    expect(names).toEqual(
      expect.arrayContaining(['host/etc/pve/storage.cfg', 'host/etc/pve/priv/token.cfg', 'host/etc/pve/local']),
    );
    expect(names.filter((name) => /[.]version|config[.]db-/.test(name))).toEqual([]);
  });

  it.each(
    sample(
      [
        ['sqlite3', ''],
        ['python3', 'sqlite3'],
      ],
      1,
    ),
  )('is one moment of it while it is written to all the time (%s)', async (how, without) => {
    const programs = standIns(host);
    // Of each pair both rows are there, or none.
    const write =
      'import sqlite3, sys; d = sqlite3.connect(sys.argv[1], timeout=10); n = 0\nwhile True:\n    n += 1; d.execute("insert into tree (data) values (?)", (f"a{n}",)); d.execute("insert into tree (data) values (?)", (f"b{n}",)); d.commit()';
    const writer = spawn('python3', ['-c', write, database()], { stdio: 'ignore' });
    try {
      if (without !== '') programs.put(without, 'exit 127');
      const { own, packed } = await backUp(host);
      expect(own.database).toBe(how);
      expect(packed.doubts).toEqual([]);
      const copy = join(restored(), 'host/var/lib/pve-cluster/config.db');
      expect(ask(copy, 'PRAGMA integrity_check')).toBe('ok');
      const count = (letter: string) => ask(copy, `SELECT count(*) FROM tree WHERE data LIKE '${letter}%'`);
      expect(Number(count('a'))).toBeGreaterThan(0);
      expect(count('a')).toBe(count('b'));
    } finally {
      writer.kill('SIGKILL');
      programs.remove();
    }
  });

  it('is copied with its log and doubted where nothing understands it', async () => {
    const programs = standIns(host);
    try {
      for (const program of ['sqlite3', 'python3', 'perl']) programs.put(program, 'exit 127');
      const { own, packed, published } = await backUp(host);
      expect(own.database).toBe('files');
      expect(packed.doubts).toMatchObject([
        {
          verdict: 'warning',
          summary: expect.stringContaining('not proved: the database /var/lib/pve-cluster/config.db'),
        },
      ]);
      expect(published.counts).toBe(false);
      const copy = join(restored(), 'host/var/lib/pve-cluster/config.db');
      expect(ask(copy, 'PRAGMA integrity_check; SELECT count(*) FROM tree')).toBe('ok\n1000');
    } finally {
      programs.remove();
    }
  });

  it('is doubted where it is damaged', async () => {
    ask(database(), 'PRAGMA wal_checkpoint(TRUNCATE)');
    host.sh(
      'dd if=/dev/urandom of="$root/var/lib/pve-cluster/config.db" bs=4096 seek=20 count=9 conv=notrunc 2>/dev/null',
    );
    const { packed, published } = await backUp(host);
    expect(packed.doubts).toMatchObject([
      {
        verdict: 'failed',
        summary: expect.stringMatching(/^damaged: the database \/var\/lib\/pve-cluster\/config\.db; /),
      },
    ]);
    expect(published.counts).toBe(false);
  });
});

describe('what can not be read', () => {
  it('is a doubt for root, as a /etc/pve whose file system has died or hangs, and the rest is copied', async () => {
    makeProxmox();
    const programs = standIns(host);
    try {
      programs.put(
        'stat',
        `case "$*" in *root/etc/pve) echo "stat: Transport endpoint is not connected" >&2; exit 1 ;; *) exec /usr/bin/stat "$@" ;; esac`,
      );
      const dead = await backUp(host);
      expect(dead.own.closed).toEqual([{ kind: 'proxmox', path: '/etc/pve' }]);
      expect(dead.packed.doubts[0]).toEqual({
        verdict: 'failed',
        summary: 'not readable: /etc/pve: stat: Transport endpoint is not connected',
      });
      expect(inArchive(id)).toContain('host/etc/fstab');
      programs.put('stat', 'exec /usr/bin/stat "$@"');
      programs.put('timeout', `case "$*" in *"-type f -exec cat"*) exit 124 ;; *) exec /usr/bin/timeout "$@" ;; esac`);
      expect((await next()).packed.doubts[0]).toEqual({
        verdict: 'failed',
        summary: 'not readable: /etc/pve: reading it does not end',
      });
    } finally {
      programs.remove();
    }
  });

  it('is only said where the helper runs without any privilege', async () => {
    await host.close();
    host = makeHost({}, 65_534);
    host.sh('chown 0:0 "$root/etc/ssh"; chmod 700 "$root/etc/ssh"');
    const { own, packed, published } = await backUp(host);
    expect(own.closed).toEqual([{ kind: 'keys', path: '/etc/ssh' }]);
    expect(packed.doubts).toEqual([]);
    expect(published.counts).toBe(true);
  });
});

describe('chosen folders', () => {
  it('that a link leads to where archives are made, or to what the kernel makes up, are not taken', async () => {
    for (const to of ['/proc/self', '/sys', '/dev/shm', host.layout.backups, host.folder, host.layout.state]) {
      host.sh(`rm -rf "$root/srv/chosen"; ln -s '${to}' "$root/srv/chosen"`);
      const { own, packed } = await next();
      expect(own.closed, to).toEqual([{ kind: 'chosen', path: '/srv/chosen' }]);
      expect(packed.doubts, to).toContainEqual(expect.objectContaining({ verdict: 'failed' }));
    }
    host.sh(
      'rm "$root/srv/chosen"; mkdir "$root/srv/real"; echo real >"$root/srv/real/file"; ln -s real "$root/srv/chosen"',
    );
    host.newRun();
    await backUp(host);
    expect(inArchive(id)).toContain('host/srv/chosen/file');
  });

  it('are taken without what is mounted below them', async () => {
    host.sh(
      `mkdir -p "$root/srv/chosen/disk" "$root/srv/chosen/a/disk"; for at in disk a/disk; do mount -t tmpfs none "$root/srv/chosen/$at"; echo far >"$root/srv/chosen/$at/file"; done`,
    );
    try {
      const { packed } = await backUp(host);
      expect(packed.doubts).toEqual([]);
      expect(inArchive(id).filter((name) => name.startsWith('host/srv/chosen/'))).toEqual(
        expect.not.arrayContaining(['host/srv/chosen/disk/file', 'host/srv/chosen/a/disk/file']),
      );
      expect(inArchive(id)).toContain('host/srv/chosen/notes');
    } finally {
      host.sh('umount "$root/srv/chosen/disk" "$root/srv/chosen/a/disk"');
    }
  });

  it('that hold the rest do not take its place', async () => {
    await host.close();
    host = makeHost({ backupPaths: ['/etc'] });
    makeProxmox();
    host.sh('echo more >"$root/etc/more"');
    await backUp(host);
    const names = inArchive(id);
    expect(names).toEqual(expect.arrayContaining(['host/etc/more', 'host/etc/pve/storage.cfg']));
    expect(names).not.toContain('host/etc/pve/.version');
  });

  it('that the helper does not know yet are said, with what to do', async () => {
    const { helper, backupPaths } = host.layout;
    host.sh(`sed -i "s|readonly backupPaths=.*|readonly backupPaths='/srv/chosen /srv/former'|" '${helper}'`);
    expect(backupPaths).toContain('/srv/nothing');
    expect((await lookFor(host)).concerns).toEqual([
      {
        check: 'Chosen folders',
        verdict: 'warning',
        summary:
          "BACKUP_PATHS was changed, and the helper on pve1 doesn't take /srv/nothing and takes /srv/former still.",
        remedy: 'Run host install again: npx proxmox-mcp host install pve1',
      },
    ]);
  });
});

it('a helper that is older than the service is named as that, before anything is written', async () => {
  host.sh(`sed -i 's/^  look_at_host$/  :/' "$helper"`);
  const error = await failure(lookFor(host));
  expect(error).toMatchObject({ code: 'command-refused', retryable: false });
  expect(`${error.message}. ${error.remedy}`).toMatch(/is older than this service.*Run host install again/);
  await host.close();

  host = makeHost();
  host.sh(`sed -i '/^    collect-host) /d' "$helper"`);
  const activities = createBackupActivities(host);
  await host.run(() => activities.collectBackup(input));
  expect(await failure(host.run(() => activities.collectHost(input)))).toMatchObject({
    code: 'command-refused',
    message: expect.stringContaining("it doesn't know collect-host"),
    remedy: 'Run host install again: npx proxmox-mcp host install pve1',
  });
});
