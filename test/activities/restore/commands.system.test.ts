import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeHost, type TestHost } from '../../support/local-host.ts';
import { archiveId, archiveTop, sealArchive } from '../../support/sealed-archive.ts';
import { backUp, id as madeId } from '../back-up/steps.ts';
import { caller, treeOf } from './calls.ts';

let host: TestHost;
let commands: ReturnType<typeof caller>;
beforeEach(() => {
  host = makeHost();
  commands = caller(host);
});
afterEach(async () => {
  await host.close();
});

const rid = 'restore-20261127-120000';
const stage = (sha256: string, scope = 'complete', selection = 'all', id = rid) =>
  commands.job('stage-restore', id, archiveId, sha256, scope, selection);
const apply = (id = rid) => commands.job('apply-restore', id);
const undo = (id = rid) => commands.call('undo-restore', '1', 'restore/pve1/x', id);
const stateOf = (id = rid) => /^state (\w+)/m.exec(commands.call('restore-state', id).said)?.[1];

function ok({ code, said }: { readonly code: string | number; readonly said: string }): string {
  expect(String(code), said).toBe('0');
  return said;
}

/** Something of everything is lost, changed, or new. */
const spoil = () =>
  host.sh(`cd "$installation"; rm -rf keys 'with space'; echo spoiled >.env; chmod 644 .env; echo new >new; ln -s /etc config/link
    cd "$root/etc"; echo spoiled >fstab; rm hostname; rm -rf cron.d; echo later >later; rm resolv.conf; echo file >resolv.conf`);

describe('a restore of everything', () => {
  it.each([[{}], [{ zstd: true as const }]])(
    'brings back what the archive holds, byte for byte, and undo what was there before: %j',
    (options) => {
      const { sha256 } = sealArchive(host, options);
      const before = treeOf(host);
      spoil();
      const spoiled = treeOf(host);
      ok(stage(sha256));
      expect(treeOf(host), 'staging changes nothing').toBe(spoiled);
      ok(apply());
      // A file of the host that the archive doesn't know stays.
      expect(readFileSync(join(host.layout.hostRoot, 'etc/later'), 'utf8')).toBe('later\n');
      host.sh('rm "$root/etc/later"');
      expect(treeOf(host)).toBe(before);
      expect(stateOf()).toBe('kept');
      host.sh('echo later >"$root/etc/later"');
      ok(undo());
      expect(treeOf(host)).toBe(spoiled);
      expect(stateOf()).toBe('undone');
      expect(undo(), 'again').toMatchObject({ code: 0 });
      expect(treeOf(host)).toBe(spoiled);
    },
  );

  it('on a host that has nothing of it makes what is missing', () => {
    const { sha256 } = sealArchive(host);
    const before = treeOf(host);
    host.sh('rm -rf "$installation" "$root"; mkdir -m 755 "$root"');
    ok(stage(sha256));
    ok(apply());
    expect(treeOf(host)).toBe(before);
    expect(undo().code).toBe(0);
    expect(existsSync(host.layout.installation)).toBe(false);
    expect(host.sh('find "$root" -mindepth 1')).toBe('');
  });

  it('touches nothing that is as in the archive', () => {
    const { sha256 } = sealArchive(host);
    const inode = host.sh('stat -c %i "$root/etc/fstab"');
    expect(stage(sha256, 'configuration')).toMatchObject({ code: '0', said: expect.stringContaining('units 0') });
    ok(apply());
    expect(host.sh('stat -c %i "$root/etc/fstab"')).toBe(inode);
  });
});

it('brings back what back-up itself has made and sealed, byte for byte', async () => {
  const before = treeOf(host);
  const { published } = await backUp(host);
  spoil();
  host.sh('rm "$root/etc/later"');
  ok(commands.job('stage-restore', rid, madeId, published.sha256, 'complete', 'all'));
  ok(apply());
  expect(treeOf(host)).toBe(before);
});

describe('a restore of a part', () => {
  it('takes one file, and leaves everything else', () => {
    const { sha256 } = sealArchive(host);
    const fstab = readFileSync(join(host.layout.hostRoot, 'etc/fstab'), 'utf8');
    spoil();
    expect(stage(sha256, 'path', 'etc:fstab=etc:cron.d')).toMatchObject({
      code: '0',
      said: expect.stringContaining('units 2'),
    });
    ok(apply());
    expect(readFileSync(join(host.layout.hostRoot, 'etc/fstab'), 'utf8')).toBe(fstab);
    expect(existsSync(join(host.layout.hostRoot, 'etc/cron.d/nightly'))).toBe(true);
    expect(existsSync(join(host.layout.hostRoot, 'etc/hostname'))).toBe(false);
  });

  it('takes keys alone, with their modes', () => {
    const { sha256 } = sealArchive(host);
    spoil();
    ok(stage(sha256, 'keys'));
    ok(apply());
    expect(host.sh('stat -c %a "$installation/keys/claude_proxmox_key"')).toBe('600\n');
    expect(readFileSync(join(host.layout.installation, '.env'), 'utf8')).toBe('spoiled\n');
  });

  it('refuses a policy that sudo would refuse, before anything is stopped', () => {
    const { sha256 } = sealArchive(host, { before: `echo 'nonsense here' >"${archiveTop}/claude-user"` });
    const before = treeOf(host);
    expect(stage(sha256, 'security')).toMatchObject({ code: '9', said: expect.stringContaining('visudo') });
    expect(apply().code).toBe('9');
    expect(treeOf(host)).toBe(before);
  });
});

it('the look says of a folder what would come, change and go, and of each file whether it is the same', () => {
  sealArchive(host);
  spoil();
  const { said } = commands.call('look-for-restore', archiveId, 'complete', 'all');
  const root = host.layout.hostRoot;
  expect(said).toContain(`unit replace ${root}/etc/fstab\n`);
  expect(said).toContain(`unit new ${root}/etc/hostname\n`);
  expect(said).toContain(`unit same ${root}/etc/hosts\n`);
  expect(said).toMatch(new RegExp(`^tree 5 1 2 \\d+ ${host.layout.installation}$`, 'm'));
  expect(said).toMatch(/^goes new$/m);
  expect(said).toMatch(/^changes [.]env$/m);
  expect(said).toMatch(/^comes keys$/m);
});
