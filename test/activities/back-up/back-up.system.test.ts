import { chmodSync, existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { createBackupActivities } from '../../../src/activities/back-up/back-up.ts';
import { freeBackupId, takenAt } from '../../../src/operations/backup-id.ts';
import { makeHost, type TestHost } from '../../support/local-host.ts';
import { standIns } from '../../support/stand-ins.ts';
import { backUp, failure, filesOf, id, input, lookFor, top } from './steps.ts';

let host: TestHost;
afterEach(async () => {
  await host.close();
});

/** Who seals something has to be a user of the machine. */
const nobody = 65_534;

const steps = ['collect', 'host', 'pack', 'verify', 'publish'] as const;

// Whoever may write to the folder of the archives could put something of their own where root writes.
it.skipIf(process.getuid?.() !== 0)(
  'is made elsewhere, through no link, where others may write beside the archives',
  async () => {
    host = makeHost();
    host.sh(`mkdir "$backups"; chown ${nobody} "$backups"`);
    const activities = createBackupActivities(host);
    await host.run(() => activities.collectBackup(input));
    expect(readdirSync(host.layout.backups)).toEqual([]);
    await host.run(() => activities.collectHost(input));
    host.sh(
      `for end in tar.gz manifest manifest.sig tar.gz.sha256; do ln -s "$installation/../victim" "$backups/.${id}.$end.partial"; done`,
    );
    await host.run(() => activities.packBackup(input));
    const { sha256 } = await host.run(() => activities.verifyBackup(input));
    host.sh(`ln -sf "$installation/../victim" "$backups/.${id}.tar.gz.sha256.partial"`);
    expect(await host.run(() => activities.publishBackup({ ...input, sha256 }))).toMatchObject({ counts: true });
    expect(existsSync(join(host.folder, 'victim'))).toBe(false);
    expect(readdirSync(host.layout.backups).sort()).toEqual(filesOf(id));
  },
);

describe('a daily backup', () => {
  it('holds all of the installation with modes and owners, and the sudoers file, restorable as the guide says', async () => {
    host = makeHost();
    const look = await lookFor(host);
    expect(Math.abs(takenAt(look.id) - Date.now())).toBeLessThan(60_000);
    expect(look).toMatchObject({
      installation: host.layout.installation,
      sudoers: { there: true },
      volumes: [],
      skippedVolumes: [],
      leftovers: [],
    });
    expect(existsSync(host.layout.backups)).toBe(false);

    const { collected, verified, published } = await backUp(host);
    expect(collected).toMatchObject({ entries: look.entries, sudoers: true, replaced: [] });
    expect(published).toEqual({
      path: join(host.layout.backups, `${id}.tar.gz`),
      bytes: verified.bytes,
      sha256: verified.sha256,
      counts: true,
      seal: { is: 'first', fingerprint: expect.stringMatching(/^SHA256:/) },
    });
    expect(readdirSync(host.layout.backups).sort()).toEqual(filesOf(id));
    expect(statSync(published.path).mode & 0o777).toBe(0o600);
    host.sh(`cd "$backups" && sha256sum --check --strict --quiet ${id}.tar.gz.sha256`);
    expect(Number(host.sh(`tar tzf "$backups/${id}.tar.gz" | wc -l`))).toBe(verified.entries);

    // The guide's recovery: extract, rename the one top folder to the installation.
    host.sh(`mkdir "$backups/opt" && tar xzf "$backups/${id}.tar.gz" -C "$backups/opt" && (cd "$backups/opt" && sha256sum --check --strict --quiet SHA256SUMS)
      mv "$backups"/opt/daily-* "$backups/opt/proxmox-mcp"; cd "$backups/opt/proxmox-mcp"
      cmp claude-user "$installation/../claude-user" && rm claude-user
      diff -r --no-dereference "$installation" .`);
    const facts = (folder: string) =>
      host
        .sh(`cd "${folder}" && find . -printf '%p %m %U %G %y %s %l %T@\\0' | sort -z | tr '\\0' '|'`)
        .replaceAll(/ \d+\.\d+\|/g, '|')
        .replace(/^\.[^|]*\|/, '');
    expect(facts(`${host.layout.backups}/opt/proxmox-mcp`)).toBe(facts(host.layout.installation));
    expect(statSync(`${host.layout.backups}/opt/proxmox-mcp`).mode & 0o777).toBe(0o755);
  });

  it('does each step again after any of them, with the same end and no leftovers', async () => {
    host = makeHost();
    const activities = createBackupActivities(host);
    let sha256 = '';
    const step = (name: (typeof steps)[number]) =>
      host.run(async () => {
        if (name === 'collect') await activities.collectBackup(input);
        else if (name === 'host') await activities.collectHost(input);
        else if (name === 'pack') await activities.packBackup(input);
        else if (name === 'verify') sha256 = (await activities.verifyBackup(input)).sha256;
        else await activities.publishBackup({ ...input, sha256 });
      });
    for (const name of steps) {
      await step(name);
      // The same run finds its job; a run that lost it executes the step again.
      await step(name);
      host.newRun();
      await step(name);
    }
    expect(readdirSync(host.layout.backups).sort()).toEqual(filesOf(id));
    host.sh(`cd "$backups" && sha256sum --check --strict --quiet ${id}.tar.gz.sha256`);
  });

  it('is taken back by abandon after any step, but never once it has its name', async () => {
    host = makeHost();
    const activities = createBackupActivities(host);
    const abandon = () => host.run(() => activities.abandonBackup(input));
    await abandon();
    // What was abandoned never begins.
    await expect(host.run(() => activities.collectBackup(input))).rejects.toMatchObject({ code: 'cancelled' });
    host.newRun();
    for (const last of steps.slice(0, -1)) {
      for (const name of steps.slice(0, steps.indexOf(last) + 1)) {
        const step = name === 'host' ? activities.collectHost : activities[`${name}Backup` as 'packBackup'];
        await host.run(async () => void (await step(input)));
      }
      expect(readdirSync(host.layout.backups)).not.toEqual([]);
      await abandon();
      expect(readdirSync(host.layout.backups)).toEqual([]);
      host.newRun();
    }
    await backUp(host);
    await abandon();
    expect(readdirSync(host.layout.backups).sort()).toEqual(filesOf(id));
  });

  it('does not publish what is not the verified archive, and never over another', async () => {
    host = makeHost();
    const activities = createBackupActivities(host);
    await host.run(() => activities.collectBackup(input));
    await host.run(() => activities.collectHost(input));
    await host.run(() => activities.packBackup(input));
    const { sha256 } = await host.run(() => activities.verifyBackup(input));
    host.sh(`echo more >>"$backups/.${id}.tar.gz.partial"`);
    expect(await failure(host.run(() => activities.publishBackup({ ...input, sha256 })))).toMatchObject({
      code: 'verification-failed',
    });
    expect(existsSync(join(host.layout.backups, `${id}.tar.gz`))).toBe(false);
    host.newRun();
    host.sh(`echo other >"$backups/${id}.tar.gz"`);
    expect(await failure(host.run(() => activities.publishBackup({ ...input, sha256 })))).toMatchObject({
      code: 'already-exists',
    });
    await host.run(() => activities.abandonBackup(input));
    expect(host.sh(`cat "$backups/${id}.tar.gz"`)).toBe('other\n');
  });

  it('lets its own files win over what an earlier recovery left in the installation', async () => {
    host = makeHost();
    host.sh('echo old >"$installation/claude-user"');
    const { collected } = await backUp(host);
    expect(collected.replaced).toEqual(['claude-user']);
    expect(host.sh(`tar xzOf "$backups/${id}.tar.gz" ${top}/claude-user`)).toContain('NOPASSWD');
  });

  it('leaves the backup folder out when it is inside the installation', async () => {
    host = makeHost({}, undefined, 'proxmox-mcp/backups');
    await backUp(host);
    host.newRun();
    const second = { ...input, id: freeBackupId('daily', Date.now(), [id]) };
    await backUp(host, second);
    expect(host.sh(`tar tzf "$backups/${second.id}.tar.gz"`)).not.toContain('/backups');
  });

  it('works without any privilege, as local execution does', async () => {
    host = makeHost({}, nobody);
    const look = await lookFor(host);
    const { verified } = await backUp(host);
    // The top folder, the sudoers file and the checksums; and what of the host is below host/.
    const own = Number(host.sh(`tar tzf "$backups/${id}.tar.gz" | grep -c '^host/'`));
    expect(verified.entries).toBe(look.entries + 3 + own);
    expect(statSync(join(host.layout.backups, `${id}.tar.gz`)).uid).toBe(nobody);
  });
});

describe('looking before a backup', () => {
  const look = () => lookFor(host);

  it('says what is missing, unreadable or misplaced, and writes nothing', async () => {
    host = makeHost({}, nobody);
    chmodSync(join(host.layout.installation, 'keys'), 0o000);
    const error = await failure(look());
    expect(error).toMatchObject({ code: 'unreadable', retryable: false });
    expect(error.message).toContain(`${host.layout.installation}/keys on pve1 can't be read`);
    chmodSync(join(host.layout.installation, 'keys'), 0o700);
    host.sh('mkdir "$backups" && chmod 555 "$backups"');
    expect((await failure(look())).message).toContain("can't be written");
    await host.close();

    host = makeHost();
    const deep = makeHost({ backups: join(host.folder, 'a/b/backups'), installation: join(host.folder, 'a') });
    expect(
      await failure(
        deep.run(() => createBackupActivities(deep).lookForBackup({ host: 'pve1', kind: 'daily', anyTarget: false })),
      ),
    ).toMatchObject({
      code: 'configuration',
      details: { key: 'BACKUP_DIR' },
    });
    await deep.close();
  });

  it('knows before it starts that the disk is too small, and that it is none', async () => {
    host = makeHost();
    host.sh('mkdir "$backups" && mount -t tmpfs -o size=4m,mode=700 none "$backups"');
    try {
      expect(await failure(look())).toMatchObject({
        code: 'configuration',
        message: `The backup folder ${host.layout.backups} of pve1 is in memory (tmpfs): archives there are lost when the host restarts; nothing was written`,
      });
      const error = await failure(lookFor(host, true));
      expect(error).toMatchObject({ code: 'disk-full', retryable: false });
      expect(error.message).toMatch(/has 4\.0 MiB free, but the backup needs up to 1\d\.\d MiB; nothing was written/);
    } finally {
      host.sh('umount "$backups"');
    }
  });

  it('makes the copy elsewhere where the file system of the archives keeps no owners', async () => {
    host = makeHost();
    const programs = standIns(host);
    try {
      // As CIFS and NFS with root squash do; this kernel mounts none of them.
      programs.put('stat', 'case "$*" in *--file-system*backups*) echo cifs ;; *) exec /usr/bin/stat "$@" ;; esac');
      programs.put(
        'chown',
        'case "$*" in */backups/.*) echo "chown: Operation not permitted" >&2; exit 1 ;; *) exec /usr/bin/chown "$@" ;; esac',
      );
      programs.put(
        'cp',
        'case "$*" in *backups/.*) echo "cp: failed to preserve ownership" >&2; exit 1 ;; *) exec /usr/bin/cp "$@" ;; esac',
      );
      host.sh('mkdir "$backups"');
      expect((await look()).concerns).toMatchObject([
        { check: 'Target', verdict: 'ok', summary: expect.stringContaining('cifs') },
      ]);
      await backUp(host);
      expect(readdirSync(host.layout.backups).sort()).toEqual(filesOf(id));
      expect(host.sh(`tar -tvzf "$backups/${id}.tar.gz" --numeric-owner | grep empty.log`)).toContain('1234/1234');
      expect(existsSync(join(host.layout.state, 'backups', id, 'stage'))).toBe(false);
    } finally {
      programs.remove();
    }
  });

  it('is made although something is too large to be measured in time, which is said', async () => {
    host = makeHost();
    const programs = standIns(host);
    try {
      programs.put('du', `case "$*" in *proxmox-mcp) kill $$ ;; *) exec /usr/bin/du "$@" ;; esac`);
      const { concerns } = await look();
      expect(concerns).toMatchObject([{ check: 'Size', summary: expect.stringContaining(host.layout.installation) }]);
      expect((await backUp(host)).published.counts).toBe(true);
    } finally {
      programs.remove();
    }
  });

  it('goes on without ACLs where the file system of the copy refuses them, and says so; modes stay', async () => {
    host = makeHost();
    const programs = standIns(host);
    try {
      // As ZFS with acltype=off does.
      programs.put(
        'cp',
        `/usr/bin/cp "$@" || exit; case "$*" in *--preserve=mode*--target-directory* | *--preserve=all*--target-directory*) echo "cp: preserving permissions for 'x': Operation not supported" >&2; exit 1 ;; esac`,
      );
      const { collected, published } = await backUp(host);
      expect(collected.lost).toContainEqual(expect.stringContaining('ACLs and attributes'));
      expect(published.counts).toBe(true);
      const listed = host.sh(`tar -tvzf "$backups/${id}.tar.gz"`);
      expect(listed).toMatch(/^-rwxr-x--- .*run[.]sh$/m);
      expect(listed).toMatch(/^-rw------- .*[.]env$/m);
    } finally {
      programs.remove();
    }
  });

  it('says that root may not set owners', async () => {
    host = makeHost();
    host.sh(`mv "$helper" "$helper.true"; printf '%s\\n' '#!/bin/sh' 'exec setpriv --bounding-set=-chown --inh-caps=-chown "$0.true" "$@"' >"$helper"; chmod 755 "$helper"
      sed -i "s|^readonly _self=.*|readonly _self='$helper.true'|" "$helper.true"`);
    expect(await failure(look())).toMatchObject({
      code: 'configuration',
      message: expect.stringContaining('CAP_CHOWN'),
    });
  });

  it('says that the disk became full on the way, and abandon leaves nothing', async () => {
    host = makeHost();
    host.sh(
      'head -c 3000000 /dev/urandom >"$installation/random"; mkdir "$backups" && mount -t tmpfs -o size=4m,mode=700 none "$backups"',
    );
    try {
      const activities = createBackupActivities(host);
      await host.run(() => activities.collectBackup(input));
      await host.run(() => activities.collectHost(input));
      const error = await failure(host.run(() => activities.packBackup(input)));
      expect(error).toMatchObject({
        code: 'disk-full',
        message: `Packing the backup on pve1 failed because the disk of ${host.layout.backups} is full`,
      });
      await host.run(() => activities.abandonBackup(input));
      expect(readdirSync(host.layout.backups)).toEqual([]);
    } finally {
      host.sh('umount "$backups"');
    }
  });

  it('names volumes that will not be in it, with the reason, and what dead runs left', async () => {
    host = makeHost({ volumes: ['pmx_test_no_such_volume'] });
    host.sh(
      `mkdir -p "$backups/.daily-backup-20261101-020000.partial" "$backups/.other.partial"; echo >"$backups/.daily-backup-20261102-020000.tar.gz.partial"`,
    );
    const seen = await look();
    expect(seen.skippedVolumes).toMatchObject([{ name: 'pmx_test_no_such_volume' }]);
    expect(seen.leftovers).toEqual(['daily-backup-20261101-020000', 'daily-backup-20261102-020000']);
    await host.run(() => createBackupActivities(host).collectBackup(input));
    expect(readdirSync(host.layout.backups).sort()).toEqual([`.${id}.partial`, '.other.partial']);
    await host.run(() => createBackupActivities(host).abandonBackup(input));
    expect(readdirSync(host.layout.backups)).toEqual(['.other.partial']);
  });
});

describe('a backup', () => {
  it('can not be named by anything but its id', async () => {
    host = makeHost();
    const bad = { ...input, id: '../../etc' };
    expect(await failure(host.run(() => createBackupActivities(host).abandonBackup(bad)))).toMatchObject({
      code: 'invalid-input',
    });
  });
});

describe('a host that lies', () => {
  const lie = (verb: string, ...lines: string[]) =>
    host.sh(
      `mv "$helper" "$helper.true"; printf '%s\\n' '#!/bin/sh' 'case $1 in ${verb}) cat "$0.lies" ;; *) exec "$0.true" "$@" ;; esac' >"$helper"
      chmod 755 "$helper"; sed -i "s|^readonly _self=.*|readonly _self='$helper.true'|" "$helper.true"
      printf '%s\\n' ${lines.map((line) => `'${line}'`).join(' ')} >"$helper.lies"`,
    );
  const sum = 'a'.repeat(64);

  it('in its list of archives is counted, and only what is well-formed is looked at', async () => {
    host = makeHost();
    const list = [
      ...['archive daily-backup-20200101-020000.tar.gz 10 1577844000 unproven - - -', 'garbage', 'archive'],
      ...[`archive x ${sum}`, 'archive ../../etc.tar.gz 1 1 unproven - - -', 'gone ../x', 'elsewhere x'],
      ...['archive daily-backup-20200102-020000.tar.gz 10 99999999999999 unproven - - -'],
      ...['archive daily-backup-20200103-020000.tar.gz 10 1577844000 good - - -'],
      `archive daily-backup-20200104-020000.tar.gz 10 1577844000 verified ${sum} 1577844000 1577844000`,
      `archive daily-backup-20200105-020000.tar.gz 10 1577844000 verified ${sum} 1577844000 1577844000 more`,
    ];
    lie('list-backups', `now ${Math.floor(Date.now() / 1000)}`, ...list);
    const activities = createBackupActivities(host);
    expect(await host.run(() => activities.planBackupRetention({ host: 'pve1' }))).toMatchObject({
      remove: [],
      keep: [
        { id: 'daily-backup-20200101-020000', why: expect.stringContaining('no record of it') },
        { id: 'daily-backup-20200104-020000', why: 'keep-daily' },
      ],
      notUnderstood: 9,
    });
    expect((await lookFor(host)).notUnderstood).toBe(9);
  });

  it('in what it lists before a backup is counted; without what must be there the look fails', async () => {
    host = makeHost();
    const good = [
      ...[
        'now 1900000000',
        'target ext2/ext3',
        'installation 4096',
        'entries 3',
        'sudoers there',
        'backups writable',
        'free 99999999999 -',
      ],
      ...['state-free 99999999999', 'docker unneeded', 'part network 4096 1 /etc/hosts'],
    ];
    const strange = ['leftover x .daily-backup-20260101-020000.partial', 'leftover 1 ../x', 'volume a', 'what is this'];
    lie('look-for-backup', ...good, ...strange, 'leftover 7 .daily-backup-20260101-020000.tar.gz.partial');
    expect(await lookFor(host)).toMatchObject({
      leftovers: ['daily-backup-20260101-020000'],
      notUnderstood: strange.length,
    });
    await host.close();

    host = makeHost();
    lie('look-for-backup', ...good.filter((line) => !line.startsWith('free')));
    expect(await failure(lookFor(host))).toMatchObject({
      code: 'unexpected-answer',
      message: expect.stringContaining('(free:'),
    });
  });

  it('about its jobs is counted, and the backup is made all the same', async () => {
    host = makeHost();
    lie('job-list', 'x;id running - 1 - collect-backup -', 'nonsense');
    const { collected, published } = await backUp(host);
    expect(collected.notUnderstood).toBe(2);
    expect(existsSync(published.path)).toBe(true);
  });

  it('about the size of an archive is an unexpected answer', async () => {
    host = makeHost();
    const activities = createBackupActivities(host);
    await host.run(() => activities.collectBackup(input));
    await host.run(() => activities.collectHost(input));
    host.sh(`sed -i 's/^  echo "bytes .*_partial.*/  echo "bytes -- much"/' "$helper"`);
    expect(await failure(host.run(() => activities.packBackup(input)))).toMatchObject({
      code: 'unexpected-answer',
      message: expect.stringMatching(/^pack-backup on pve1 answered what isn't understood \(bytes: .*bytes -- much$/),
    });
  });
});
