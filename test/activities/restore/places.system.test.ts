import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeHost, type TestHost } from '../../support/local-host.ts';
import { archiveId, archiveTop, sealArchive } from '../../support/sealed-archive.ts';
import { type StandIns, standIns } from '../../support/stand-ins.ts';
import { caller, treeOf } from './calls.ts';

/*
 * What a restore replaces, and what it must not take with it: folders of which the backup holds a part, what is mounted, links that
 * somebody plants meanwhile, the policy of another helper, the log of another database.
 */
const rid = 'restore-20261127-120000';
let host: TestHost;
let commands: ReturnType<typeof caller>;
let programs: StandIns;
beforeEach(() => {
  host = makeHost();
  commands = caller(host);
  programs = standIns(host);
});
afterEach(async () => {
  programs.remove();
  await host.close();
});

const stage = (sha256: string, scope = 'complete', selection = 'all', id = rid) =>
  commands.job('stage-restore', id, archiveId, sha256, scope, selection);
const apply = (id = rid) => commands.job('apply-restore', id);
const undo = (id = rid) => commands.call('undo-restore', '1', 'restore/pve1/x', id);
const stateOf = (id = rid) => /^state (\w+)/m.exec(commands.call('restore-state', id).said)?.[1];

function refused(result: { readonly code: string | number; readonly said: string }, code: number, why: RegExp): void {
  expect(String(result.code), result.said).toBe(String(code));
  expect(result.said).toMatch(why);
}

describe('what was asked for', () => {
  it.each([
    ['a folder of which only some is backed up', 'etc', 10, /only some of \/etc is backed up/],
    [
      'one name of two that the archive does not hold',
      'etc:fstab=etc:shadow',
      11,
      /holds nothing of .*: \/etc\/shadow$/m,
    ],
    ['one name of two that can not be restored so', 'etc:fstab=etc:pve:storage.cfg', 10, /by hand/],
  ])('%s is refused, and nothing of it is done', (_, selection, code, why) => {
    const { sha256 } = sealArchive(host);
    host.sh('echo later >"$root/etc/fstab"');
    const before = treeOf(host);
    refused(stage(sha256, 'path', selection), code, why);
    refused(commands.call('look-for-restore', archiveId, 'path', selection), code, why);
    expect(treeOf(host)).toBe(before);
  });

  it('a folder and a file in it is the folder', () => {
    const { sha256 } = sealArchive(host);
    const before = treeOf(host);
    host.sh('echo later >"$root/etc/network/interfaces"; echo later >"$root/etc/network/later"');
    expect(stage(sha256, 'path', 'etc:network:interfaces=etc:network')).toMatchObject({
      code: '0',
      said: expect.stringContaining('units 1\n'),
    });
    expect(apply().code).toBe('0');
    expect(treeOf(host)).toBe(before);
  });
});

const canMount = (() => {
  try {
    execFileSync('unshare', ['--mount', 'true'], { stdio: 'ignore' });
    return process.getuid?.() === 0;
  } catch {
    return false;
  }
})();

describe.skipIf(!canMount)('what is mounted below what is replaced', () => {
  const disk = () => join(host.layout.installation, 'logs/disk');
  afterEach(() => {
    execFileSync('sh', ['-c', 'umount "$1" 2>/dev/null || :', 'sh', disk()]);
  });

  it('keeps it from being replaced, also when it is mounted after it was staged', () => {
    const { sha256 } = sealArchive(host);
    host.sh('echo later >"$installation/.env"; mkdir "$installation/logs/disk"');
    expect(stage(sha256)).toMatchObject({ code: '0' });
    host.sh('mount -t tmpfs -o size=64k none "$installation/logs/disk"; echo precious >"$installation/logs/disk/file"');
    refused(apply(), 9, /something is mounted in/);
    refused(stage(sha256, 'complete', 'all', 'restore-20261127-120001'), 12, /logs\/disk is a mount point/);
    expect(readFileSync(join(disk(), 'file'), 'utf8')).toBe('precious\n');
  });

  it('is not emptied with what was replaced', () => {
    const { sha256 } = sealArchive(host);
    host.sh('echo later >"$installation/.env"');
    expect(stage(sha256)).toMatchObject({ code: '0' });
    expect(apply().code).toBe('0');
    const old = host.sh('echo "$(dirname "$installation")"/.proxmox-mcp-*/old/*/logs').split('\n')[0] ?? '';
    host.sh(`mkdir "${old}/disk"; mount -t tmpfs -o size=64k none "${old}/disk"; echo precious >"${old}/disk/file"
      sed -i 's/^kept [0-9]*/kept 1700000000/' "$state/restores/${rid}/state"`);
    try {
      commands.call('forget-restore', '1', rid);
      expect(readFileSync(`${old}/disk/file`, 'utf8')).toBe('precious\n');
    } finally {
      host.sh(`umount "${old}/disk"`);
    }
  });
});

it('a folder that is made is exchanged for a link meanwhile, and what that leads to stays as it is', () => {
  const { sha256 } = sealArchive(host);
  host.sh('rm -rf "$installation/keys"; mkdir -m 700 "$root/victim"');
  expect(stage(sha256, 'keys')).toMatchObject({ code: '0' });
  programs.put(
    'mkdir',
    `/usr/bin/mkdir "$@" || exit; case "$*" in *./keys) mv keys keys.made; ln -s '${host.layout.hostRoot}/victim' keys ;; esac`,
  );
  refused(apply(), 9, /leads over a link/);
  expect(host.sh('stat -c %a "$root/victim"')).toBe('700\n');
  expect(existsSync(join(host.layout.hostRoot, 'victim/claude_proxmox_key'))).toBe(false);
  expect(stateOf()).toBe('undone');
});

it('an installation that was on another file system of this host is not put beside it', () => {
  const { sha256 } = sealArchive(host, {
    forge: `sed -i 's|^version helper .*|&\\nversion filesystem/installation zfs|' "$manifest"`,
  });
  host.sh('echo later >"$installation/.env"');
  refused(stage(sha256), 12, /another file system .* which was zfs/);
});

describe('the policy of another helper', () => {
  const forge = `sed -i 's/^version helper .*/version helper ${'0'.repeat(64)}/' "$manifest"`;
  it('stays out of everything but what names it, and is said', () => {
    const { sha256 } = sealArchive(host, { forge });
    host.sh(
      `cd "$state/.."; chmod 640 claude-user; echo '# now' >>claude-user; chmod 440 claude-user; echo later >"$root/etc/fstab"`,
    );
    const policy = readFileSync(host.layout.sudoersFile, 'utf8');
    expect(commands.call('look-for-restore', archiveId, 'complete', 'all').said).toContain(
      `left helper 1 ${archiveTop}/claude-user`,
    );
    expect(stage(sha256)).toMatchObject({ code: '0' });
    expect(apply().code).toBe('0');
    expect(readFileSync(host.layout.sudoersFile, 'utf8')).toBe(policy);
  });

  it('is refused where a manifest says otherwise, and the one of now is of this helper', () => {
    const { sha256 } = sealArchive(host);
    host.sh(
      `cd "$state/.."; chmod 640 claude-user; echo "# sha256:$(sha256sum <"$helper" | cut -c1-64)" >>claude-user; chmod 440 claude-user`,
    );
    refused(stage(sha256, 'security'), 12, /another helper/);
  });
});

describe('the database of /etc/pve', () => {
  const pve = 'var/lib/pve-cluster';
  const facts = () =>
    host.sh(
      `cd "$root/${pve}"; for one in config.db config.db-wal; do echo "$one $(head -c 30 $one 2>/dev/null | tr -d '\\0' || :)"; done`,
    );
  beforeEach(() => {
    programs.put('sqlite3', 'echo ok');
    host.sh(`mkdir -p "$root/${pve}" "$root/etc/pve"; echo of-then >"$root/${pve}/config.db"`);
  });

  it.each(['', 'of-now-log'])('goes back without a log that came beside the restored one; with its own: %j', (log) => {
    const { sha256 } = sealArchive(host);
    host.sh(`cd "$root/${pve}"; echo of-now >config.db; ${log ? `echo ${log} >config.db-wal` : ':'}`);
    const before = facts();
    expect(stage(sha256, 'pve-database')).toMatchObject({ code: '0' });
    // pmxcfs does not mount it here, so it goes back; what it wrote until then lies beside it.
    programs.put('mountpoint', `echo foreign >"${host.layout.hostRoot}/${pve}/config.db-wal"; exit 1`);
    programs.put('sleep', ':');
    refused(apply(), 9, /\/etc\/pve is not mounted/);
    expect(facts()).toBe(before);
    expect(undo().code).toBe(0);
    expect(facts()).toBe(before);
  });
});

describe('what a restore leaves', () => {
  const unpacked = () =>
    host.sh(`find "$(dirname "$installation")" -maxdepth 2 -path '*/.proxmox-mcp-*/new' -printf x`);

  it('is nothing of what was to come, once it has gone back', () => {
    const { sha256 } = sealArchive(host);
    host.sh('echo later >"$root/etc/cron.d/nightly"; echo later >"$root/etc/fstab"');
    expect(stage(sha256, 'path', 'etc:fstab=etc:cron.d:nightly')).toMatchObject({ code: '0' });
    expect(unpacked()).toBe('x');
    host.sh('mv "$root/etc/cron.d" "$root/etc/cron.was"; ln -s cron.was "$root/etc/cron.d"');
    expect(apply().code).toBe('9');
    expect(unpacked()).toBe('');
  });

  it('is nothing of one that was staged and never applied, when another begins', () => {
    const { sha256 } = sealArchive(host);
    host.sh('echo later >"$root/etc/fstab"');
    expect(stage(sha256, 'path', 'etc:fstab')).toMatchObject({ code: '0' });
    expect(stage(sha256, 'path', 'etc:fstab', 'restore-20261127-120001')).toMatchObject({ code: '0' });
    expect(unpacked()).toBe('x');
    expect(stateOf()).toBe('undone');
    expect(apply('restore-20261127-120001').code).toBe('0');
  });
});

describe("the service's own state", () => {
  const volume = (name: string) => join(host.folder, 'volumes', name);
  const mark = () => join(volume('mcp_access'), 'RESTORED');
  const names = ['temporal_data', 'mcp_ledger', 'mcp_access'];
  const sealed = () =>
    sealArchive(host, {
      volumes: Object.fromEntries(names.map((name) => [name, { docker: name, folder: volume(name) }])),
    });
  beforeEach(() => {
    programs.put(
      'docker',
      `case "$*" in
        *'volume inspect'*) for last; do :; done; [ -d '${host.folder}/volumes/'"$last" ] || exit 1; printf 'local\\n%s\\n\\n\\n' '${host.folder}/volumes/'"$last" ;;
        *' ls '*) ls '${host.folder}/volumes' ;;
      esac`,
    );
    host.sh(
      `for one in ${names.join(' ')}; do mkdir -p "${host.folder}/volumes/$one"; echo then >"${host.folder}/volumes/$one/file"; done`,
    );
  });

  it.each([
    ['complete', 'all', undefined],
    ['volumes', 'all', undefined],
    ['volumes', 'temporal_data', 'temporal'],
    ['volumes', 'mcp_ledger', 'ledger'],
  ])('comes back with the mark that it waits: %s %s', (scope, selection, parts) => {
    const { sha256 } = sealed();
    host.sh(`echo now >"${volume('temporal_data')}/file"; echo now >"${volume('mcp_ledger')}/file"`);
    expect(commands.call('look-for-restore', archiveId, scope, selection).said).toContain('touches restored\n');
    expect(stage(sha256, scope, selection)).toMatchObject({ code: '0' });
    expect(existsSync(mark())).toBe(false);
    const applied = apply();
    expect(applied.code, applied.said).toBe('0');
    expect(readFileSync(mark(), 'utf8')).toMatch(
      new RegExp(
        `^at: \\d{4}-\\d\\d-\\d\\dT[\\d:]{8}Z\\nbackup: ${archiveId}\\nby: restore/pve1/x\\n${parts === undefined ? '' : `parts: ${parts}\\n`}$`,
      ),
    );
    // Nobody let it go on, so what was there before is the newest state.
    expect(undo()).toMatchObject({ code: 0 });
    expect(existsSync(mark())).toBe(false);
  });

  it('waits, too, when it is put back after the restored one went on', () => {
    const { sha256 } = sealed();
    host.sh(`echo now >"${volume('temporal_data')}/file"`);
    expect(stage(sha256, 'volumes')).toMatchObject({ code: '0' });
    expect(apply().code).toBe('0');
    host.sh(`rm "${mark()}"`);
    expect(undo()).toMatchObject({ code: 0 });
    expect(readFileSync(join(volume('temporal_data'), 'file'), 'utf8')).toBe('now\n');
    expect(readFileSync(mark(), 'utf8')).toContain(`backup: ${archiveId}\n`);
  });

  it('a volume is the one of its name, and no other whose name ends with it', () => {
    const { sha256 } = sealArchive(host, { volumes: { data: { docker: 'data', folder: volume('mcp_access') } } });
    host.sh(`mkdir "${volume('other_data')}"; echo precious >"${volume('other_data')}/file"`);
    expect(commands.call('look-for-restore', archiveId, 'volumes', 'all').said).toContain('volume data\n');
    stage(sha256, 'volumes');
    apply();
    expect(readFileSync(join(volume('other_data'), 'file'), 'utf8')).toBe('precious\n');
  });
});

describe('where root wants a signature for whatever is dangerous', () => {
  it('the way back from the middle of a restore needs none, and that of what was kept does', () => {
    const { sha256 } = sealArchive(host);
    host.sh('echo later >"$root/etc/fstab"');
    const before = treeOf(host);
    expect(stage(sha256)).toMatchObject({ code: '0' });
    const list = () => host.sh('echo all-dangerous >"$state/signed-commands"; chmod 600 "$state/signed-commands"');
    list();
    expect(apply().code).not.toBe('0');
    host.sh(`rm "$state/signed-commands"; sed -i 's/^staged/applying/' "$state/restores/${rid}/state"`);
    list();
    expect(undo()).toMatchObject({ code: 0 });
    expect(treeOf(host)).toBe(before);
    host.sh('rm "$state/signed-commands"');
    const other = 'restore-20261127-120001';
    expect(stage(sha256, 'complete', 'all', other)).toMatchObject({ code: '0' });
    expect(apply(other).code).toBe('0');
    list();
    expect(undo(other).code).toBe(78);
    expect(stateOf(other)).toBe('kept');
  });
});

it('an undo of what was kept is not done as long as what is there again is not well', async () => {
  await host.close();
  programs.remove();
  host = makeHost({ containers: ['server'] });
  commands = caller(host);
  programs = standIns(host);
  const { sha256 } = sealArchive(host);
  host.sh('echo ill >"$installation/.env"');
  programs.put(
    'docker',
    `case "$*" in
      'ps --quiet --no-trunc') [ -e '${host.folder}/stopped' ] || echo abc ;;
      stop*) : >'${host.folder}/stopped' ;;
      start*) rm -f '${host.folder}/stopped' ;;
      *State.Health*) if grep -q ill '${host.layout.installation}/.env'; then echo 'true 0 1 unhealthy'; else echo 'true 0 1 healthy'; fi ;;
      *State.Running*) [ -e '${host.folder}/stopped' ] && echo false || echo true ;;
      *inspect*) echo /server ;;
    esac`,
  );
  expect(stage(sha256)).toMatchObject({ code: '0' });
  expect(apply().code).toBe('0');
  refused(undo(), 9, /it is not well/);
  refused(undo(), 9, /it is not well/);
  host.sh('echo well >"$installation/.env"');
  expect(undo()).toMatchObject({ code: 0 });
});
