import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freeBackupId } from '../../../src/operations/backup-id.ts';
import { makeHost, type TestHost } from '../../support/local-host.ts';
import { archiveId, archiveTop, type SealedArchive, sealArchive } from '../../support/sealed-archive.ts';
import { standIns } from '../../support/stand-ins.ts';
import { caller, treeOf } from './calls.ts';

/*
 * What who has the service's key could try: archives that nobody vouches for, manifests that were changed, calls in another order,
 * with others' ids, and names that lead elsewhere. Each is refused, and the host is as it was.
 */
const rid = 'restore-20261127-120000';
let host: TestHost;
let commands: ReturnType<typeof caller>;
beforeEach(() => {
  host = makeHost();
  commands = caller(host);
});
afterEach(async () => {
  await host.close();
});

const stage = (sha256: string, scope = 'complete', selection = 'all', id = rid) =>
  commands.job('stage-restore', id, archiveId, sha256, scope, selection);
const folders = () => host.sh(`find "${host.folder}" -maxdepth 1 -name '.proxmox-mcp-*' -printf x`);

function refused(result: { readonly code: string | number; readonly said: string }, code: number, why: RegExp): void {
  expect(String(result.code), result.said).toBe(String(code));
  expect(result.said).toMatch(why);
}

describe('an archive that nobody vouches for', () => {
  const other = () => join(host.folder, 'other-key');
  it.each<[string, () => SealedArchive, (() => void) | undefined, RegExp]>([
    ['sealed by another key', () => ({ key: other() }), undefined, /not sealed by this host, but by SHA256:/],
    [
      'with a manifest that was changed after it was sealed',
      () => ({}),
      () => host.sh(`sed -i 's/^entry f 600/entry f 644/' "$backups/${archiveId}.manifest"`),
      /not sealed by this host, but by nobody/,
    ],
    [
      'with the seal of another manifest',
      () => ({}),
      () =>
        host.sh(
          `cd "$backups"; echo 'proxmox-mcp manifest 1' >o; ssh-keygen -q -Y sign -n proxmox-mcp-manifest -f "$state/seal/key" o; mv o.sig ${archiveId}.manifest.sig`,
        ),
      /not sealed by this host/,
    ],
    [
      'sealed for another purpose',
      () => ({}),
      () =>
        host.sh(
          `cd "$backups"; rm ${archiveId}.manifest.sig; ssh-keygen -q -Y sign -n proxmox-mcp-approval -f "$state/seal/key" ${archiveId}.manifest`,
        ),
      /not sealed by this host/,
    ],
    [
      'without a seal',
      () => ({}),
      () => host.sh(`rm "$backups/${archiveId}.manifest.sig"`),
      /there is no .*manifest[.]sig/,
    ],
    [
      'on a host whose key others can write',
      () => ({}),
      () => host.sh('chmod 666 "$state/seal/signers"'),
      /no key that seals/,
    ],
    [
      'with a manifest of another archive',
      () => ({ forge: `sed -i 's/^id .*/id full-backup-20261122-010000/' "$manifest"` }),
      undefined,
      /another archive/,
    ],
    ['with a manifest that was cut off', () => ({ forge: `sed -i '$d' "$manifest"` }), undefined, /is none/],
    [
      'that was exchanged',
      () => ({}),
      () =>
        host.sh(
          `cd "$backups"; size=$(stat -c %s ${archiveId}.tar.gz); printf x | dd of=${archiveId}.tar.gz bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null`,
        ),
      /not the one that its sealed manifest is of/,
    ],
    ['that is shorter', () => ({}), () => host.sh(`truncate -s -1 "$backups/${archiveId}.tar.gz"`), /another size/],
    [
      'with a name that leads out',
      () => ({ forge: `sed -i 's|host/etc/fstab$|host/etc/../../fstab|' "$manifest"` }),
      undefined,
      /lead elsewhere/,
    ],
    [
      'with a name from the root',
      () => ({ forge: `sed -i 's|host/etc/fstab$|/etc/fstab|' "$manifest"` }),
      undefined,
      /lead elsewhere/,
    ],
    [
      'with a file behind a link of its own',
      () => ({ forge: `sed -i 's|host/etc/fstab$|host/etc/resolv.conf/fstab|' "$manifest"` }),
      undefined,
      /lead elsewhere/,
    ],
    [
      'with other modes than the manifest has',
      () => ({ forge: `sed -i -E 's|^entry f 600 (.*keys/claude_proxmox_key)$|entry f 4755 \\1|' "$manifest"` }),
      undefined,
      /not what the sealed manifest says: .*claude_proxmox_key/,
    ],
    [
      'with another content than the manifest has',
      () => ({ forge: `sed -i -E '/host.etc.fstab$/s| [0-9a-f]{64} | ${'0'.repeat(64)} |' "$manifest"` }),
      undefined,
      /not what the sealed manifest says: .*fstab/,
    ],
  ])('%s is not restored', (_, options, after, why) => {
    host.sh(`ssh-keygen -q -t ed25519 -N '' -f "${other()}"`);
    const { sha256 } = sealArchive(host, options());
    after?.();
    host.sh('echo later >"$root/etc/fstab"');
    const before = treeOf(host);
    const result = stage(sha256);
    expect(['9', '11', '13'], result.said).toContain(result.code);
    expect(result.said).toMatch(why);
    expect(commands.job('apply-restore', rid).code).toBe('9');
    expect(treeOf(host)).toBe(before);
    expect(commands.call('undo-restore', '1', '-', rid).code).toBe(0);
    expect(folders()).toBe('');
  });
});

describe('the commands in another order, or of others', () => {
  it('swap nothing that was not staged, and are repeated without harm', () => {
    const { sha256 } = sealArchive(host);
    host.sh('echo later >"$root/etc/fstab"');
    const before = treeOf(host);
    refused(commands.job('apply-restore', rid), 9, /not staged, but absent/);
    expect(commands.call('undo-restore', '1', '-', rid).code).toBe(0);
    expect(stage(sha256)).toMatchObject({ code: '0' });
    expect(stage(sha256)).toMatchObject({ code: '0', said: 'again\n' });
    refused(stage(sha256, 'keys'), 17, /something else/);
    refused(commands.job('apply-restore', 'restore-20261127-120009'), 9, /absent/);
    refused(commands.call('forget-restore', '1', rid), 9, /less than a day/);
    expect(treeOf(host)).toBe(before);
    expect(commands.job('apply-restore', rid).code).toBe('0');
    expect(commands.job('apply-restore', rid)).toMatchObject({ code: '0', said: 'again\n' });
    refused(stage(sha256), 17, /kept already/);
    refused(commands.call('forget-restore', '1', rid), 9, /14 days/);
    // After its time what it replaced goes, and nothing can be undone by it.
    host.sh(`sed -i 's/^kept [0-9]*/kept 1700000000/' "$state/restores/${rid}/state"`);
    expect(commands.call('look-for-restore', archiveId, 'keys', 'all').said).toContain(`old ${rid}`);
    expect(commands.call('forget-restore', '1', rid).code).toBe(0);
    expect(folders()).toBe('');
    refused(commands.call('undo-restore', '1', '-', rid), 12, /removed already/);
  });

  it('keep what was replaced for as long as is promised, and not beyond the next backup', () => {
    const { sha256 } = sealArchive(host);
    host.sh('echo later >"$root/etc/fstab"');
    expect(stage(sha256)).toMatchObject({ code: '0' });
    expect(commands.job('apply-restore', rid).code).toBe('0');
    const backup = (at: number) => commands.job('collect-backup', freeBackupId('daily', Date.now() + at, []));
    expect(backup(0).code).toBe('0');
    expect(folders()).not.toBe('');
    host.sh(`sed -i 's/^kept [0-9]*/kept 1700000000/' "$state/restores/${rid}/state"`);
    expect(backup(1000).code).toBe('0');
    expect(folders()).toBe('');
    refused(commands.call('undo-restore', '1', '-', rid), 12, /removed already/);
  });

  it('wait for a restore that was interrupted and has not gone back', () => {
    const { sha256 } = sealArchive(host);
    expect(stage(sha256)).toMatchObject({ code: '0' });
    host.sh(`sed -i 's/^staged/applying/' "$state/restores/${rid}/state"`);
    refused(stage(sha256, 'keys', 'all', 'restore-20261127-120001'), 12, /interrupted/);
    refused(commands.job('apply-restore', rid), 9, /as it was before/);
    expect(stage(sha256, 'keys', 'all', 'restore-20261127-120001')).toMatchObject({ code: '0' });
  });

  it('swap in what was compared, whatever became of the archive since', () => {
    const { sha256 } = sealArchive(host);
    const fstab = readFileSync(join(host.layout.hostRoot, 'etc/fstab'), 'utf8');
    host.sh('echo later >"$root/etc/fstab"');
    expect(stage(sha256, 'path', 'etc:fstab')).toMatchObject({ code: '0' });
    host.sh(`echo forged >"$backups/${archiveId}.tar.gz"; echo forged >"$backups/${archiveId}.manifest"`);
    expect(commands.job('apply-restore', rid).code).toBe('0');
    expect(readFileSync(join(host.layout.hostRoot, 'etc/fstab'), 'utf8')).toBe(fstab);
  });

  it.each(['restore-20261127-12000', '../x', 'restore-20261127-120000x'])('know no restore %s', (id) => {
    expect(commands.call('restore-state', id).code).toBe(64);
    expect(commands.call('undo-restore', '1', '-', id).code).toBe(64);
  });
});

describe('a place that leads elsewhere', () => {
  it.each([
    [
      'a folder that became a link',
      'mv "$root/etc/cron.d" "$root/elsewhere"; ln -s ../elsewhere "$root/etc/cron.d"',
      'etc:cron.d:nightly',
      /over a link/,
    ],
    [
      'a folder above that is one',
      'mv "$root/etc/network" "$root/elsewhere"; ln -s ../elsewhere "$root/etc/network"',
      'etc:network:interfaces',
      /over a link/,
    ],
    ['/etc/pve, which no rename can fill', ':', 'etc:pve:storage.cfg', /by hand/],
    ['a path with dots', ':', 'etc:..:etc:fstab', /without [.]/],
    ['something that is not in the archive', ':', 'etc:shadow', /holds nothing/],
  ])('%s is refused', (_, change, selection, why) => {
    const { sha256 } = sealArchive(host);
    host.sh(`echo later >"$root/etc/cron.d/nightly"; echo later >"$root/etc/network/interfaces"; ${change}`);
    const before = treeOf(host);
    const result = stage(sha256, 'path', selection);
    expect(['10', '11', '12'], result.said).toContain(result.code);
    expect(result.said).toMatch(why);
    expect(treeOf(host)).toBe(before);
  });

  it('a link that is exchanged between staging and applying leads nothing elsewhere, and all goes back', () => {
    const { sha256 } = sealArchive(host);
    host.sh('echo later >"$root/etc/cron.d/nightly"; echo later >"$root/etc/fstab"');
    expect(stage(sha256, 'path', 'etc:fstab=etc:cron.d:nightly')).toMatchObject({ code: '0' });
    host.sh('mkdir "$root/victim"; mv "$root/etc/cron.d" "$root/etc/cron.was"; ln -s ../victim "$root/etc/cron.d"');
    const before = treeOf(host);
    refused(commands.job('apply-restore', rid), 9, /over a link/);
    expect(treeOf(host)).toBe(before);
    expect(existsSync(join(host.layout.hostRoot, 'victim/nightly'))).toBe(false);
  });

  it('archives that lie in what would be replaced stay where they are', async () => {
    await host.close();
    host = makeHost({}, undefined, 'proxmox-mcp/backups');
    commands = caller(host);
    const { sha256 } = sealArchive(host, { before: `rm -rf ${archiveTop}/backups` });
    host.sh('rm "$installation/.env"');
    refused(stage(sha256), 12, /must stay/);
  });
});

it('a full disk while it is unpacked leaves nothing, and is said', () => {
  const { sha256 } = sealArchive(host);
  host.sh('echo later >"$root/etc/fstab"');
  const before = treeOf(host);
  const programs = standIns(host);
  try {
    programs.put('tar', 'echo "tar: x: Cannot write: No space left on device" >&2; exit 2');
    expect(stage(sha256)).toMatchObject({ code: '1', said: expect.stringContaining('No space left on device') });
  } finally {
    programs.remove();
  }
  expect(commands.call('undo-restore', '1', '-', rid).code).toBe(0);
  expect(treeOf(host)).toBe(before);
  expect(folders()).toBe('');
});

it('a container that is not healthy afterwards brings everything back, by the host alone', async () => {
  await host.close();
  host = makeHost({ containers: ['server'] });
  commands = caller(host);
  const { sha256 } = sealArchive(host);
  host.sh('echo later >"$installation/.env"');
  const before = treeOf(host);
  const programs = standIns(host);
  try {
    // It runs with the file that is there now, and not with the older one.
    programs.put(
      'docker',
      `case "$*" in
        'ps --quiet --no-trunc') [ -e '${host.folder}/stopped' ] || echo abc ;;
        stop*) : >'${host.folder}/stopped' ;;
        start*) rm -f '${host.folder}/stopped' ;;
        *State.Health*) if grep -q later '${host.layout.installation}/.env'; then echo 'true 0 1 healthy'; else echo 'true 0 1 unhealthy'; fi ;;
        *State.Running*) [ -e '${host.folder}/stopped' ] && echo false || echo true ;;
        *inspect*) echo /server ;;
      esac`,
    );
    expect(stage(sha256)).toMatchObject({ code: '0' });
    refused(commands.job('apply-restore', rid), 9, /the container \/server does not run well: true 0 1 unhealthy/);
    expect(commands.call('restore-state', rid).said).toContain('state undone');
    expect(existsSync(join(host.folder, 'stopped')), 'it runs again').toBe(false);
  } finally {
    programs.remove();
  }
  expect(treeOf(host)).toBe(before);
});
