import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createBackupActivities } from '../../../src/activities/back-up/back-up.ts';
import { inspectBackups } from '../../../src/activities/check-health/backups.ts';
import { listBackups } from '../../../src/hosts/commands/back-up/archives.ts';
import { createSeals } from '../../../src/hosts/seals.ts';
import { freeBackupId } from '../../../src/operations/backup-id.ts';
import { makeHost, type TestHost } from '../../support/local-host.ts';
import { backUp, filesOf, id, input } from './steps.ts';

let host: TestHost;
beforeEach(() => {
  host = makeHost();
});
afterEach(async () => {
  await host.close();
});

const list = () => host.hosts.get('pve1').run(listBackups, {});
const stateOf = async (one = id) => (await list()).archives.find((archive) => archive.id === one)?.state;
const check = async () => {
  host.newRun();
  return await host.run(() =>
    createBackupActivities(host).checkArchives({ ...input, id: freeBackupId('daily', Date.now() + 5000, []) }),
  );
};
const sealFinding = async () => {
  const findings = await inspectBackups(host.hosts.get('pve1'), { seals: createSeals(host.config) });
  return findings.find(({ check: name }) => name === 'Key of the seals');
};

describe('the seal of an archive', () => {
  it.each([
    ['a manifest that is gone', 'rm "$backups"/*.manifest'],
    ['a seal that is gone', 'rm "$backups"/*.manifest.sig'],
    ['a manifest that was cut', 'truncate -s -1 "$backups"/*.manifest'],
    // In the second in which it was published nobody sees that from outside.
    ['another manifest', 'sed -i s/644/666/ "$backups"/*.manifest; touch -d tomorrow "$backups"/*.manifest'],
  ])('%s: the archive does not count, and the next run says so', async (_, damage) => {
    await backUp(host);
    expect(await stateOf()).toBe('verified');
    host.sh(damage);
    expect(await stateOf()).toBe('unsealed');
    expect(await check()).toEqual({ whole: [], broken: [], unsealed: [id] });
    expect(await host.run(() => createBackupActivities(host).tellLastGood({ host: 'pve1' }))).toBe(
      'There is no good backup of pve1.',
    );
  });

  it('is not one by another key, nor over another text, though nobody sees that from outside', async () => {
    await backUp(host);
    // As long and as old as the right one.
    host.sh(`cd "$backups"; cp -p ${id}.manifest keep; sed -i 's/^host ./host x/' ${id}.manifest; touch -r keep ${id}.manifest; rm keep
      ssh-keygen -q -t ed25519 -N '' -f other; cp -p ${id}.manifest.sig keep
      ssh-keygen -q -Y sign -n proxmox-mcp-manifest -f other <${id}.manifest >${id}.manifest.sig; touch -r keep ${id}.manifest.sig; rm keep other other.pub`);
    // What is not due is not read: the record is made a day older.
    host.sh(`echo 1 >"$state/backups/${id}/checked"`);
    expect(await stateOf()).toBe('verified');
    expect(await check()).toEqual({ whole: [], broken: [], unsealed: [id] });
    expect(await stateOf()).toBe('unsealed');
  });

  it('counts again after a copy that kept the content but not the times', async () => {
    await backUp(host);
    host.sh(`cd "$backups"; cp ${id}.manifest x; mv x ${id}.manifest; touch -d tomorrow ${id}.manifest`);
    expect(await stateOf()).toBe('unsealed');
    expect(await check()).toMatchObject({ whole: [id] });
    expect(await stateOf()).toBe('verified');
  });

  it('is of a key that only root can read, made once', async () => {
    await backUp(host);
    expect(host.sh(`cd "$state/seal"; stat -c '%a %n' . key; ls`)).toBe('700 .\n600 key\nkey\nkey.pub\nsigners\n');
    const first = readFileSync(join(host.layout.state, 'seal/key'), 'utf8');
    host.newRun();
    await backUp(host, { ...input, id: freeBackupId('daily', Date.now() + 1000, [id]) });
    expect(readFileSync(join(host.layout.state, 'seal/key'), 'utf8')).toBe(first);
  });

  it.each([
    ['was emptied', 'truncate -s 0 "$state/seal/key"'],
    ['is gone, with the list of who signs', 'rm "$state/seal/key" "$state/seal/signers"'],
  ])('counts still when the key %s, and new ones are by another', async (_, lose) => {
    const { published } = await backUp(host);
    host.sh(lose);
    host.newRun();
    const next = freeBackupId('daily', Date.now() + 1000, [id]);
    const again = await backUp(host, { ...input, id: next });
    expect(again.published.seal?.fingerprint).not.toBe(published.seal?.fingerprint);
    // Both are read anew.
    host.sh(`for one in ${id} ${next}; do echo 1 >"$state/backups/$one/checked"; done`);
    expect((await check()).whole).toEqual(expect.arrayContaining([id]));
    expect([await stateOf(), await stateOf(next)]).toEqual(['verified', 'verified']);
  });

  it('of an archive from before there were any is not asked for', async () => {
    await backUp(host);
    host.sh(`rm "$state/backups/${id}/seal" "$backups"/*.manifest*`);
    expect(await stateOf()).toBe('verified');
    expect(await check()).toMatchObject({ broken: [], unsealed: [] });
  });
});

describe('the key that seals', () => {
  it('is pinned at first sight, and another one is said', async () => {
    expect(await sealFinding()).toBeUndefined();
    const { published } = await backUp(host);
    expect(published.seal).toMatchObject({ is: 'first', fingerprint: expect.stringMatching(/^SHA256:/) });
    expect(await sealFinding()).toMatchObject({ verdict: 'ok', summary: published.seal?.fingerprint });

    host.sh('rm -r "$state/seal"');
    expect(await sealFinding()).toMatchObject({ verdict: 'failed', summary: expect.stringContaining('has none now') });
    host.newRun();
    const again = await backUp(host, { ...input, id: freeBackupId('daily', Date.now() + 1000, [id]) });
    expect(again.published.seal).toMatchObject({ is: 'other', known: published.seal?.fingerprint });
    expect(await sealFinding()).toMatchObject({ verdict: 'failed' });
    // An administrator has said that it is right.
    createSeals(host.config).pin('pve1', (await list()).sealKey ?? '');
    expect(await sealFinding()).toMatchObject({ verdict: 'ok', summary: again.published.seal?.fingerprint });
  });

  it('in a file that was emptied is another one', async () => {
    await backUp(host);
    writeFileSync(join(host.config.dataDir, 'seals/pve1'), '');
    expect(await sealFinding()).toMatchObject({ verdict: 'failed' });
  });
});

it('is published with zstd where that is wanted, and refused before anything is written where there is none', async () => {
  await host.close();
  host = makeHost({ compression: 'zstd' });
  const { published } = await backUp(host);
  expect(published.path).toBe(join(host.layout.backups, `${id}.tar.zst`));
  expect(host.sh('ls "$backups"').trim().split('\n').sort()).toEqual(filesOf(id, 'tar.zst'));
  expect(await stateOf()).toBe('verified');
  host.sh(`cd "$backups"; tar --zstd -tf ${id}.tar.zst | grep -qx SHA256SUMS`);
  // One that has only the other ending is not this one.
  host.sh(`echo other >"$backups/${id}.tar.gz"`);
  expect((await list()).archives).toMatchObject([{ id, state: 'verified' }]);
});
