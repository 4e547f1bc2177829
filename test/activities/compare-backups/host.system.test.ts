import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { browseBackup, compareBackups } from '../../../src/hosts/commands/compare-backups/compare.ts';
import { makeHost, type TestHost } from '../../support/local-host.ts';
import { backUp, id } from '../back-up/steps.ts';
import { type Files, makeArchive, writeManifest } from './archives.ts';

let host: TestHost;
beforeEach(() => {
  host = makeHost();
});
afterEach(() => host.close());

const [monday, thursday] = ['daily-backup-20261123-020000', 'full-backup-20261126-020000'];
let jobs = 0;

async function compare(backup: string, later: string) {
  jobs += 1;
  return await host.hosts.get('pve1').job(compareBackups, { backup, later }, { id: `compare-${jobs}` });
}
const browse = (backup: string, folder = '', from = '0') =>
  host.hosts.get('pve1').run(browseBackup, { backup, folder: `f${Buffer.from(folder).toString('base64url')}`, from });

const vm = (...lines: readonly string[]): readonly [string, number] => [`${lines.join('\n')}\n`, 0o640];
const before: Files = {
  'host/etc/hosts': '127.0.0.1 localhost\n',
  'host/etc/fstab': '# none\n',
  'host/etc/network/interfaces': 'auto lo\niface lo inet loopback\nwpa-psk hunter2\n',
  'host/etc/ssh/ssh_host_ed25519_key': ['a host key\n', 0o600],
  'host/etc/cron.d/gone': '0 2 * * * root true\n',
  'host/etc/pve/storage.cfg': ['dir: local\n\tpath /var/lib/vz\n\tcontent iso\n', 0o640],
  'host/etc/pve/priv/shadow.cfg': ['root:$5$abc$secret:\n', 0o600],
  'host/etc/pve/nodes/pve1/qemu-server/100.conf': vm(
    'memory: 2048',
    'cores: 2',
    'cipassword: $5$x$yyy',
    '[clean]',
    'memory: 1024',
  ),
  'host/etc/pve/nodes/pve1/qemu-server/101.conf': vm('memory: 512'),
  'host/dpkg-versions': 'ii  bash 5.2-1\nii  curl 7.88-1\nrc  nano 7.0-1\n',
  'daily-20261123-020000/.env': ['TOKEN=one\n', 0o600],
  'daily-20261123-020000/docker-compose.yml': 'services: {}\n',
  'daily-20261123-020000/logs/big.log': 'one\n',
  'volumes/data/db/file': 'x',
  SHA256SUMS: 'a\n',
};
const after: Files = {
  ...before,
  'host/etc/hosts': ['127.0.0.1 localhost\n', 0o600],
  'host/etc/network/interfaces': 'auto lo\niface lo inet loopback\nwpa-psk hunter3\nauto vmbr0\n',
  'host/etc/ssh/ssh_host_ed25519_key': ['another key\n', 0o600],
  'host/etc/pve/storage.cfg': ['dir: local\n\tpath /var/lib/vz\n\tcontent iso,backup\n', 0o640],
  'host/etc/pve/priv/shadow.cfg': ['root:$5$abc$geheim:\n', 0o600],
  'host/etc/pve/nodes/pve1/qemu-server/100.conf': vm(
    'memory: 4096',
    'cores: 2',
    'cipassword: $5$x$zzz',
    '#root: hunter2',
  ),
  'host/etc/pve/nodes/pve2/lxc/200.conf': vm('memory: 512'),
  'host/dpkg-versions': 'ii  bash 5.2-2\nii  zsh 5.9\n',
  'host/etc/modules': 'vfio\n',
  'full-20261126-020000/.env': ['TOKEN=two\n', 0o600],
  'full-20261126-020000/docker-compose.yml': 'services: {}\n',
  'full-20261126-020000/logs/big.log': 'two\n',
  'volumes/data/db/file': 'y',
  SHA256SUMS: 'b\n',
};
function without(files: Files, ...names: readonly string[]): Files {
  return Object.fromEntries(Object.entries(files).filter(([name]) => !names.some((one) => name.startsWith(one))));
}

it('says what differs between two archives: files, lines, packages and guests, and no secret', async () => {
  makeArchive(host, monday, before);
  makeArchive(
    host,
    thursday,
    without(after, 'daily-2', 'host/etc/cron.d', 'host/etc/pve/nodes/pve1/qemu-server/101'),
    'tar.zst',
  );
  const found = await compare(monday, thursday);
  expect(found).toMatchObject({ notUnderstood: 0, packages: 3, only: [], cut: [] });
  expect(found.added.map(({ path }) => path)).toEqual([
    'host/etc/modules',
    'host/etc/pve/nodes/pve2',
    'host/etc/pve/nodes/pve2/lxc',
  ]);
  expect(found.removed).toEqual([
    { type: 'd', bytes: 0, path: 'host/etc/cron.d' },
    { type: 'f', bytes: 20, path: 'host/etc/cron.d/gone' },
  ]);
  expect(found.changed.map(({ path, what }) => [path, ...what])).toEqual([
    ['host/etc/hosts', 'mode'],
    ['host/etc/network/interfaces', 'content'],
    ['host/etc/pve/priv/shadow.cfg', 'content'],
    ['host/etc/pve/storage.cfg', 'content'],
    ['host/etc/ssh/ssh_host_ed25519_key', 'content'],
    ['installation/.env', 'content'],
    ['volumes/data/db/file', 'content'],
  ]);
  expect(found.count.toSorted((one, other) => one.part.localeCompare(other.part))).toEqual([
    { part: 'host', added: 3, removed: 2, changed: 5, touched: 0, volatile: 0 },
    { part: 'installation', added: 0, removed: 0, changed: 1, touched: 0, volatile: 1 },
    { part: 'volumes/data', added: 0, removed: 0, changed: 1, touched: 0, volatile: 0 },
  ]);
  expect(found.text).toEqual([
    [1, 'host/etc/network/interfaces'],
    [2, 'host/etc/pve/storage.cfg'],
  ]);
  expect(found.line).toEqual([
    [1, '- wpa-psk (masked 1)'],
    [1, '+ wpa-psk (masked 2)'],
    [1, '+ auto vmbr0'],
    [2, '-  content iso'],
    [2, '+  content iso,backup'],
  ]);
  expect(found.guest).toEqual([
    ['101', 'vm', 'pve1', 'removed'],
    ['200', 'container', 'pve2', 'added'],
  ]);
  expect(found.setting).toEqual([
    ['100 cipassword', '(masked 1)', '(masked 2)'],
    ['100 memory', '2048', '4096'],
    ['100 notes', '-', '(masked 3)'],
    ['100 snapshot clean', 'there', '-'],
  ]);
  expect(found.package).toEqual([
    ['bash', '5.2-1', '5.2-2'],
    ['curl', '7.88-1', '-'],
    ['zsh', '-', '5.9'],
  ]);
  expect(JSON.stringify(found)).not.toMatch(/hunter|secret:|geheim|\$5\$|TOKEN|[0-9a-f]{64}/);
  host.sh('[ -z "$(find "$state" -maxdepth 1 -name "compare-*")" ]');
  // The same has not changed.
  expect(await compare(monday, monday)).toMatchObject({
    added: [],
    removed: [],
    changed: [],
    count: [{ volatile: 1 }],
    guest: [],
    setting: [],
    package: [],
    packages: 0,
  });
});

it('says what differs from the host as it is, also where size and time are the same', async () => {
  const own = Object.fromEntries(
    host
      .sh('cd "$root" && find . -type f -printf "%P\\n"')
      .trim()
      .split('\n')
      .map((path) => {
        const mode = Number.parseInt(host.sh(`stat -c %a "$root/${path}"`), 8);
        return [`host/${path}`, [host.sh(`cat "$root/${path}"`), mode]] as const;
      }),
  );
  makeArchive(host, monday, { ...own, 'daily-20261123-020000/.env': ['MCP_PORT=8080\n', 0o600] });
  const first = await compare(monday, 'now');
  const ofHost = (found: typeof first) =>
    found.changed.filter(({ path }) => path.startsWith('host/')).map(({ path, what }) => [path, ...what]);
  expect(ofHost(first)).toEqual([]);
  expect(first.added.map(({ path }) => path)).toContain('installation/docker-compose.yml');
  expect(first.only).toEqual([]);

  const time = host.sh('stat -c %Y "$root/etc/fstab"').trim();
  writeFileSync(join(host.layout.hostRoot, 'etc/fstab'), '# nine\n');
  host.sh(
    `touch -d @${time} "$root/etc/fstab"; echo 'auto vmbr9' >>"$root/etc/network/interfaces"; chmod 600 "$root/etc/hosts"; rm "$root/etc/cron.d/nightly"`,
  );
  symlinkSync('/etc/shadow', join(host.layout.hostRoot, 'etc/cron.d/nightly'));
  const second = await compare(monday, 'now');
  expect(ofHost(second)).toEqual([
    ['host/etc/cron.d/nightly', 'type'],
    ['host/etc/fstab', 'content'],
    ['host/etc/hosts', 'mode'],
    ['host/etc/network/interfaces', 'content'],
  ]);
  expect(second.line).toEqual([
    [1, '- # (masked 1)'],
    [1, '+ # (masked 2)'],
    [2, '+ auto vmbr9'],
  ]);
});

it('takes no folder on the way to a part for a new one, and says nothing of the checksums', async () => {
  await backUp(host);
  host.sh(
    'rm -rf "$root/usr/share/keyrings"; mkdir -p "$root/usr/share/keyrings" "$root/usr/local"; echo key >"$root/usr/share/keyrings/new.gpg"',
  );
  const { added, only } = await compare(id, 'now');
  expect(added.map(({ path }) => path)).toEqual(['host/usr/share/keyrings', 'host/usr/share/keyrings/new.gpg']);
  expect(only.filter(([, part]) => part === 'SHA256SUMS')).toEqual([]);
});

it('finds that nothing has changed since a real backup, and then what has', async () => {
  await backUp(host);
  const same = await compare(id, 'now');
  expect(same).toMatchObject({
    notUnderstood: 0,
    added: [],
    removed: [],
    changed: [],
    guest: [],
    text: [],
    package: [],
    packages: 0,
  });
  host.sh(
    'echo x >>"$installation/docker-compose.yml"; echo "10.0.0.9 nas" >>"$root/etc/hosts"; chmod 644 "$installation/.env"; mkfifo "$root/etc/cron.d/pipe"',
  );
  const found = await compare(id, 'now');
  expect(found.changed.map(({ path, what }) => [path, ...what])).toEqual([
    ['host/etc/hosts', 'content'],
    ['installation/.env', 'mode'],
    ['installation/docker-compose.yml', 'content'],
  ]);
  expect(found.added).toEqual([{ type: 'p', bytes: 0, path: 'host/etc/cron.d/pipe' }]);
  expect(found.line).toEqual([[1, '+ 10.0.0.9 nas']]);
  expect((await browse(id, 'host/etc/ssh')).entry).toHaveLength(1);
});

it('tells nothing of an archive without this host’s seal, or of another’s', async () => {
  makeArchive(host, monday, before);
  makeArchive(host, thursday, before);
  host.sh(`echo 'left-out x y' >>"$backups/${monday}.manifest"`);
  await expect(browse(monday)).rejects.toMatchObject({ code: 'verification-failed' });
  await expect(compare(thursday, monday)).rejects.toMatchObject({ code: 'verification-failed' });
  host.sh(
    `cp "$backups/${thursday}.manifest" "$backups/${monday}.manifest"; cp "$backups/${thursday}.manifest.sig" "$backups/${monday}.manifest.sig"`,
  );
  await expect(browse(monday)).rejects.toMatchObject({
    code: 'verification-failed',
    message: expect.stringContaining('another backup'),
  });
  host.sh(`rm "$backups/${monday}.manifest"; ln -s /etc/shadow "$backups/${monday}.manifest"`);
  await expect(browse(monday)).rejects.toMatchObject({ code: 'not-found' });
  host.sh(`mv "$backups/${thursday}.tar.gz" "$backups/away"`);
  await expect(compare(thursday, 'now')).rejects.toMatchObject({
    code: 'not-found',
    message: expect.stringContaining('is not in'),
  });
});

it('shows no line of a file whose archive holds something else than was sealed', async () => {
  makeArchive(host, monday, before);
  makeArchive(host, thursday, after);
  const text = 'auto lo\nswapped\n';
  host.sh(
    `cd "${host.folder}/made-${thursday}" && printf '${text.replaceAll('\n', '\\n')}' >host/etc/network/interfaces &&
    echo 'tags: swapped' >>host/etc/pve/nodes/pve1/qemu-server/100.conf && echo 'ii  swapped 6-6' >>host/dpkg-versions && tar -czf "$backups/${thursday}.tar.gz" *`,
  );
  const found = await compare(monday, thursday);
  expect(found.changed.map(({ path }) => path)).toContain('host/etc/network/interfaces');
  expect(found).toMatchObject({ packages: 'unknown', package: [], setting: [] });
  expect(JSON.stringify(found)).not.toContain('swapped');
});

it('lists a folder of an archive, page by page', async () => {
  makeArchive(host, monday, { ...before, 'volumes/data/with space/new\nline': 'x', 'volumes/data/back\\slash': 'y' });
  expect((await browse(monday)).entry.map((one) => one.replace(/.* /, ''))).toEqual([
    'SHA256SUMS',
    'daily-20261123-020000',
    'host',
    'volumes',
  ]);
  const etc = await browse(monday, 'host/etc/ssh');
  expect(etc).toMatchObject({ total: 1, notUnderstood: 0 });
  expect(etc.entry[0]).toMatch(/^f 600 \d+:\d+ 11 \d+ - host\/etc\/ssh\/ssh_host_ed25519_key$/);
  expect((await browse(monday, 'volumes/data/with space')).entry[0]).toMatch(/ volumes\/data\/with space\/new\\nline$/);
  expect((await browse(monday, 'volumes/data')).entry.at(0)).toMatch(/back\\\\slash$/);
  expect(await browse(monday, 'host', '2')).toMatchObject({ total: 2, entry: [] });
  for (const strange of ['..', '../..', '/etc', 'host/../..', 'host/etc/ssh/ssh_host_ed25519_keys', '.*', '*'])
    await expect(browse(monday, strange), strange).rejects.toMatchObject({ code: 'not-found' });
});

it('compares and lists 200,000 entries in seconds, in little memory', async () => {
  makeArchive(host, monday, before);
  makeArchive(host, thursday, after);
  const sum = (of: string) => of.repeat(64).slice(0, 64);
  const lines = (id: string, changed: string) => [
    ...['proxmox-mcp manifest 1', `id ${id}`, 'host pve1 -', `archive ${id}.tar.gz 10 ${sum('a')}`],
    ...Array.from(
      { length: 200_000 },
      (_, at) =>
        `entry f 644 0:0 ${at} 1700000000 - ${at % 1000 === 0 ? sum(changed) : sum('c')} volumes/data/some folder/${at}/file`,
    ),
    'end 200000',
  ];
  writeManifest(host, monday, lines(monday, 'd'));
  writeManifest(host, thursday, lines(thursday, 'e'));
  const begun = performance.now();
  const found = await compare(monday, thursday);
  const compared = performance.now() - begun;
  const page = await browse(monday, 'volumes/data/some folder', '1000');
  console.info(
    `compared 200,000 entries in ${compared.toFixed(0)} ms, listed them in ${(performance.now() - begun - compared).toFixed(0)} ms`,
  );
  expect(found.count).toEqual([{ part: 'volumes/data', added: 0, removed: 0, changed: 200, touched: 0, volatile: 0 }]);
  expect(found.changed).toHaveLength(15);
  expect(page).toMatchObject({ total: 200_000 });
  expect(page.entry).toHaveLength(200);
  expect(compared).toBeLessThan(30_000);
}, 120_000);
