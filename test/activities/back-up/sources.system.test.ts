import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listBackups } from '../../../src/hosts/commands/back-up/archives.ts';
import { freeBackupId } from '../../../src/operations/backup-id.ts';
import { sample } from '../../support/exhaustive.ts';
import { makeHost, type TestHost } from '../../support/local-host.ts';
import { backUp, id, input, top } from './steps.ts';

let host: TestHost;
beforeEach(() => {
  host = makeHost();
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
const stateOfNewest = async () => (await host.hosts.get('pve1').run(listBackups, {})).archives.at(-1)?.state;

describe('what was there last time', () => {
  it.each(
    sample(
      [
        ['a missing key', 'rm "$installation/keys/claude_proxmox_key"', 'failed', 'missing: keys/claude_proxmox_key'],
        ['a missing sudoers file', 'rm "$installation/../claude-user"', 'failed', 'missing: claude-user'],
        ['a missing folder', 'rm -r "$installation/caddy"', 'failed', 'missing: caddy/Caddyfile'],
        [
          'an older content',
          'touch -d 2020-01-01 "$installation/docker-compose.yml"',
          'warning',
          'older than in the last good backup: docker-compose.yml',
        ],
      ],
      2,
    ),
  )('%s: the archive is kept and does not count', async (_, damage, verdict, summary) => {
    expect((await backUp(host)).packed).toMatchObject({ doubts: [], accepted: [] });
    host.sh(damage);
    const { packed, published } = await next();
    expect(packed).toMatchObject({ last: id, doubts: [{ verdict, summary: expect.stringContaining(summary) }] });
    expect(published.counts).toBe(false);
    expect(await stateOfNewest()).toBe('doubted');
    // It is compared with the last that counts, however often.
    expect((await next()).packed).toMatchObject({ last: id, doubts: [{ verdict }] });
  });

  it('counts again when it is back, and what an administrator has accepted is doubted no more', async () => {
    await backUp(host);
    host.sh('mv "$installation/.env" "$installation/../env"');
    await next();
    host.sh('mv "$installation/../env" "$installation/.env"');
    expect((await next()).published.counts).toBe(true);
    host.sh('rm "$installation/.env"');
    await next();
    host.sh('cd "$state/backups"; touch "$(ls | tail -n 1)/accepted"');
    expect(await stateOfNewest()).toBe('verified');
    expect(await next()).toMatchObject({ packed: { doubts: [] }, published: { counts: true } });
  });

  it('may come and go where it is a log, a lock or a temporary file', async () => {
    host.sh('cd "$installation"; echo >x.log; echo >a.pid; echo >b.tmp; mkdir cache; echo >cache/c');
    await backUp(host);
    host.sh('cd "$installation"; rm x.log a.pid b.tmp; rm -r cache logs');
    expect((await next()).packed.doubts).toEqual([]);
  });

  it('has never been, so what may not be empty is looked at', async () => {
    host.sh(': >"$installation/.env"; : >"$installation/keys/claude_proxmox_key"');
    expect((await backUp(host)).packed.doubts).toEqual([
      { verdict: 'failed', summary: 'empty: .env' },
      { verdict: 'failed', summary: 'empty: keys/claude_proxmox_key' },
    ]);
  });

  it('is named in part where it is very much', async () => {
    host.sh('cd "$installation"; mkdir many; for i in $(seq 30); do echo $i >many/$i; done');
    await backUp(host);
    host.sh('rm -r "$installation/many"');
    const { doubts } = (await next()).packed;
    expect(doubts).toHaveLength(21);
    expect(doubts.at(-1)?.summary).toBe('and 10 more');
  });
});

describe('an archive', () => {
  it('keeps owners by number, capabilities, ACLs, attributes and holes', async () => {
    host.sh(`cd "$installation"; echo >owned; chown 1001:1002 owned; chmod 4751 owned
      truncate -s 200M sparse; printf data | dd of=sparse bs=1 seek=1000000 conv=notrunc 2>/dev/null
      setfattr -n user.note -v kept owned 2>/dev/null || python3 -c 'import os; os.setxattr("owned", "user.note", b"kept")'
      python3 -c 'import os; os.setxattr("run.sh", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))'`);
    const { collected, verified } = await backUp(host);
    expect(collected.lost).toEqual([]);
    expect(verified.bytes).toBeLessThan(1_000_000);
    host.sh(
      `mkdir "$backups/out"; tar -xzf "$backups/${id}.tar.gz" -C "$backups/out" --numeric-owner --acls --xattrs --xattrs-include='*'`,
    );
    const out = `$backups/out/${top}`;
    expect(host.sh(`stat -c '%u %g %a' "${out}/owned"`)).toBe('1001 1002 4751\n');
    expect(
      host.sh(
        `cd "${out}"; python3 -c 'import os; print(os.getxattr("owned", "user.note").decode(), os.getxattr("run.sh", "security.capability").hex())'`,
      ),
    ).toBe('kept 0100000200200000000000000000000000000000\n');
    expect(Number(host.sh(`stat -c %b "${out}/sparse"`)) * 512).toBeLessThan(1_000_000);
    expect(host.sh(`cmp "$installation/sparse" "${out}/sparse" && echo same`)).toBe('same\n');
  });

  it('is found where the backup folder and the installation are links', async () => {
    host.sh(
      'mkdir "$installation/../disk"; mv "$installation" "$installation/../disk/real"; ln -s disk/real "$installation"; ln -s disk "$backups"',
    );
    const { verified } = await backUp(host);
    expect(verified.entries).toBeGreaterThan(20);
    expect(await stateOfNewest()).toBe('verified');
    expect(host.sh(`tar tzf "$backups/${id}.tar.gz" | grep -c Caddyfile`)).toBe('1\n');
  });

  it('names the file in which a byte flipped, and a member that has another name', async () => {
    const { createBackupActivities } = await import('../../../src/activities/back-up/back-up.ts');
    const activities = createBackupActivities(host);
    const verify = () => {
      host.newRun();
      return host.run(() => activities.verifyBackup(input));
    };
    host.sh('head -c 400000 /dev/urandom >"$installation/random"');
    await host.run(() => activities.collectBackup(input));
    await host.run(() => activities.collectHost(input));
    await host.run(() => activities.packBackup(input));
    const partial = `$backups/.${id}.tar.gz.partial`;
    host.sh(
      `cp "${partial}" "$backups/../whole"; printf x | dd of="${partial}" bs=1 seek=200000 conv=notrunc 2>/dev/null`,
    );
    await expect(verify()).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining(`does not hold what was collected: ${top}/random`),
    });
    host.sh(
      `cd "$backups/.${id}.partial"; tar -czf "${partial}" --hard-dereference --no-recursion --null -T list --transform=s/Caddyfile/Caddyfil/`,
    );
    await expect(verify()).rejects.toMatchObject({ message: expect.stringContaining('caddy/Caddyfil') });
    host.sh(
      `cd "$backups/.${id}.partial"; tar -czf "${partial}" --mode=0777 --hard-dereference --no-recursion --null -T list`,
    );
    await expect(verify()).rejects.toMatchObject({ message: expect.stringContaining('Mode differs') });
    host.sh(`cp "$backups/../whole" "${partial}"`);
    await verify();
    host.sh(`rm -r "$backups"`);
    await expect(verify()).rejects.toMatchObject({ code: expect.stringMatching(/failed/) });
  });
});

describe('a database that is written to while it is copied', () => {
  const write = `import sqlite3, sys, time
d = sqlite3.connect(sys.argv[1], isolation_level=None); d.execute("pragma journal_mode=" + sys.argv[2])
d.execute("pragma synchronous=off"); d.execute("create table if not exists t (x)")
open(sys.argv[5], "w")
end = time.time() + float(sys.argv[3])
while time.time() < end:
    d.execute("begin"); d.executemany("insert into t values (randomblob(?))", [(3000,)] * int(sys.argv[6])); d.execute("commit"); time.sleep(float(sys.argv[4]))
`;
  const stop = 'while pkill -f "$installation/../write.py"; do sleep 0.1; done';
  afterEach(() => void host.sh(stop));
  const start = (mode: string, { seconds, pause, rows }: { seconds: number; pause: number; rows: number }) =>
    host.sh(`cat >"$installation/../write.py" <<'END'\n${write}\nEND
      ${stop}; rm -f "$installation/../writes"
      python3 "$installation/../write.py" "$installation/data.db" ${mode} ${seconds} ${pause} "$installation/../writes" ${rows} >/dev/null 2>&1 &
      for _ in $(seq 300); do [ ! -e "$installation/../writes" ] || exit 0; sleep 0.1; done; exit 1`);

  it('is copied until it is whole', async () => {
    for (const mode of ['wal', 'delete']) {
      start(mode, { seconds: 12, pause: 0.7, rows: 50 });
      const { packed } = await next();
      expect(
        packed.doubts.filter(({ verdict }) => verdict === 'failed'),
        mode,
      ).toEqual([]);
      host.sh(`mkdir "$backups/out"; cd "$backups/out"; tar -xzf "$(ls -t ../*.tar.gz | head -n 1)"; cd daily-*
        python3 -c 'import sqlite3; r = sqlite3.connect("data.db").execute("pragma integrity_check").fetchone()[0]; assert r == "ok", r'
        cd ../..; rm -r out`);
    }
  });

  it('is said to be no backup where it never rests', async () => {
    // Few bytes at a time: a file that grows by gigabytes would take the disk from every other test.
    start('wal', { seconds: 600, pause: 0.002, rows: 1 });
    const { packed, published } = await backUp(host);
    expect(packed.doubts).toEqual([
      {
        verdict: 'failed',
        summary: expect.stringMatching(/^not consistent: the database .*data\.db, which was written to/),
      },
    ]);
    expect(published.counts).toBe(false);
  });
});
