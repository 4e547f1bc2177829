import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createVerifyBackupsActivities } from '../../../src/activities/verify-backups/verify-backups.ts';
import type { Finding } from '../../../src/operations/finding.ts';
import { makeHost, type TestHost } from '../../support/local-host.ts';
import { standIns } from '../../support/stand-ins.ts';
import { backUp, id, input } from '../back-up/steps.ts';

// One archive is made by the real steps, once; each case spoils a host that holds it, and its healthy twin is the one before.

let host: TestHost;
let whole: string;

beforeAll(async () => {
  host = makeHost();
  host.sh(`mkdir -p '${host.layout.hostRoot}/etc/network/many' '${host.layout.installation}/conf'
    for n in $(seq 1 40); do echo "setting $n" >'${host.layout.hostRoot}/etc/network/many/'$n; echo "line $n" >'${host.layout.installation}/conf/'$n; done
    mkdir -p '${host.layout.hostRoot}/etc/systemd/system/multi-user.target.wants' '${host.layout.hostRoot}/etc/default/many'
    for n in $(seq 1 20); do ln -s /lib/systemd/system/$n.service '${host.layout.hostRoot}/etc/systemd/system/multi-user.target.wants/'$n; done
    for n in $(seq 1 300); do echo "default $n" >'${host.layout.hostRoot}/etc/default/many/'$n; done
    find '${host.layout.hostRoot}' '${host.layout.installation}' -type f -exec touch -d '2026-01-02 03:04:05' {} +`);
  await backUp(host, { ...input, id });
  whole = host.sh(`cd '${host.folder}'; tar -cf whole.tar proxmox-mcp backups state root; echo whole.tar`).trim();
});
afterAll(async () => host.close());

beforeEach(() => host.newRun());
afterEach(() => {
  host.sh(`cd '${host.folder}'; rm -rf proxmox-mcp backups state root; tar -xpf '${whole}'`);
});

const activities = () =>
  createVerifyBackupsActivities({ ...host, config: { copies: { folder: join(host.folder, 'copies'), remotes: [] } } });
const read = (backup = id) => host.run(() => activities().readWholeArchive({ host: 'pve1', backup }));
const spot = (than = id) => host.run(() => activities().compareWithSource({ host: 'pve1', backup: id, older: than }));
const list = () => host.run(() => activities().judgeListOfArchives({ host: 'pve1', all: false }));
const bad = (findings: readonly Finding[]) =>
  findings.filter(({ verdict }) => verdict !== 'ok').map(({ check, verdict }) => `${verdict} ${check}`);

describe('a healthy host', () => {
  it('has nothing that is wrong', async () => {
    const { findings, read: due, compare } = await list();
    expect(bad(findings)).toEqual([]);
    expect(due).toEqual([id]);
    expect(compare).toEqual({ backup: id, older: id });
    expect(await read()).toMatchObject({
      verdict: 'ok',
      summary: expect.stringMatching(/\d\d checksums agree with the sealed manifest/),
    });
    const found = await spot();
    expect(bad(found)).toEqual([]);
    expect(found.find(({ check }) => check === 'Content of the source')?.value).toBeGreaterThan(50);
    // Nothing is left, and nothing was changed.
    expect(host.sh(`ls '${host.layout.state}' | grep -c reading || :`).trim()).toBe('0');
  });
});

describe('reading it whole', () => {
  const byte = `size=$(stat -c %s ${id}.tar.gz); touch -r ${id}.tar.gz ../ref; printf x | dd of=${id}.tar.gz bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null; touch -r ../ref ${id}.tar.gz`;
  const record = '"$state"/backups/*/proof';
  it.each([
    ['one byte of it was changed', byte, 'its checksum is not the one that was recorded'],
    ['it was cut off', `truncate -s -100 ${id}.tar.gz`, 'it can not be read to its end'],
    ['it is another archive', `mkdir x; echo other >x/other; tar -czf ${id}.tar.gz x; rm -r x`, 'its checksum'],
    [
      'its manifest was changed',
      `sed -i 's/^entry f 644/entry f 666/' ${id}.manifest`,
      'its manifest is not the one that this host has sealed',
    ],
    ['its manifest is gone', `rm ${id}.manifest`, 'its manifest'],
    ['its seal is gone', `rm ${id}.manifest.sig`, 'its manifest'],
    [
      'its seal is of another key',
      `ssh-keygen -q -t ed25519 -N '' -f ../other; rm ${id}.manifest.sig; ssh-keygen -q -Y sign -n proxmox-mcp-manifest -f ../other ${id}.manifest 2>/dev/null`,
      'no key of this host any more',
    ],
    [
      // Who is root there can do that, and then only the manifest tells it.
      'its record was changed along with it',
      `mkdir x; echo other >x/other; tar -czf ${id}.tar.gz x; rm -r x; sum=$(sha256sum <${id}.tar.gz | cut -c1-64)
       sed -i "s/^[^ ]* [^ ]*/$sum $(stat -c %s ${id}.tar.gz)/" ${record}`,
      'its manifest',
    ],
  ])('finds that %s', async (_, spoil, said) => {
    host.sh(`cd "$backups"; ${spoil}`);
    const finding = await read();
    expect(finding).toMatchObject({ check: id, verdict: 'failed', summary: expect.stringContaining(said) });
    // What is about the manifest alone says nothing of the archive.
    if (said.startsWith('its manifest'))
      expect(finding.summary).toBe('It is no backup any more: its manifest is not the one that this host has sealed.');
  });

  it('names what is in it beside its manifest', async () => {
    // A manifest of less than there is, sealed by the host: as after a fault of the helper.
    host.sh(`cd "$backups"; m=${id}.manifest; gone=$(grep -c ' host/etc/network/many/7$' $m)
      sed -i -e '/ host\\/etc\\/network\\/many\\/7$/d' -e "s/ host\\/etc\\/network\\/many\\/8$/ host\\/etc\\/network\\/many\\/88/" $m
      rm $m.sig; ssh-keygen -q -Y sign -n proxmox-mcp-manifest -f "$state/seal/key" $m 2>/dev/null
      sum=$(sha256sum <$m | cut -c1-64); echo "$sum $(stat -c '%s %Y' $m $m.sig | tr '\\n' ' ' | sed 's/ $//')" >"$state"/backups/${id}/seal`);
    const { verdict, evidence = '' } = await read();
    expect(verdict).toBe('failed');
    expect(evidence).toContain('extra host/etc/network/many/7');
    expect(evidence).toContain('missing host/etc/network/many/88');
  });

  it('gives way to everything else', async () => {
    const programs = standIns(host);
    programs.put('gzip', `cut -d' ' -f19 /proc/self/stat >'${host.folder}/nice'; exec /bin/gzip "$@"`);
    expect(await read()).toMatchObject({ verdict: 'ok' });
    programs.remove();
    expect(host.sh(`cat '${host.folder}/nice'`)).toBe('19\n');
  });

  it('says that nothing is known of one without a record', async () => {
    host.sh(`rm -r "$state/backups/${id}"`);
    await expect(read()).rejects.toMatchObject({ code: 'verification-failed' });
  });
});

describe('the spot check', () => {
  const network = () => `${host.layout.hostRoot}/etc/network/many`;
  const conf = () => `${host.layout.installation}/conf`;
  it.each([
    ['the source was emptied', () => `rm -r '${network()}'/* '${conf()}'/*`, /^failed Source /],
    [
      'the source was encrypted',
      () => `for f in '${network()}'/* '${conf()}'/*; do head -c 64 /dev/urandom >"$f"; done`,
      /^failed Source against archive$/,
    ],
    [
      'only the installation was encrypted, which is little beside the rest',
      () => `for f in '${conf()}'/*; do head -c 64 /dev/urandom >"$f"; done`,
      /^failed Source against archive$/,
    ],
    [
      'much was renamed as it is encrypted',
      () => `for f in '${network()}'/* '${conf()}'/*; do mv "$f" "$f.locked"; done`,
      /^failed Source against archive$/,
    ],
    [
      'one rots, at its old time',
      () =>
        `cd '${conf()}'; for f in *; do touch -r "$f" ../ref; tr 'lin' 'LIN' <"$f" >../x; cat ../x >"$f"; touch -r ../ref "$f"; done`,
      /^failed Content of the source$/,
    ],
    [
      'the archive lacks what is there',
      () => `mkdir '${network()}/new'; for n in $(seq 1 90); do echo $n >'${network()}/new/'$n; done`,
      /^warning Source \/etc\/network$/,
    ],
  ])('finds that %s', async (_, spoil, found) => {
    host.sh(spoil());
    expect(bad(await spot())).toEqual(expect.arrayContaining([expect.stringMatching(found)]));
  });

  it('finds a backup that faithfully holds an encrypted source', async () => {
    const changed = `for f in '${network()}'/* '${conf()}'/*; do head -c 64 /dev/urandom >"$f"; done`;
    host.sh(changed);
    host.newRun();
    const next = id.replace(/\d\d$/, (seconds) => String((Number(seconds) + 1) % 60).padStart(2, '0'));
    await backUp(host, { ...input, id: next });
    const found = await host.run(() => activities().compareWithSource({ host: 'pve1', backup: next, older: id }));
    expect(bad(found)).toEqual(['failed Archive against an older one']);
    // Its twin: the same, after a night in which little has changed.
    expect(bad(await spot(id))).toContain('failed Source against archive');
  });

  it('refuses one whose manifest nobody has sealed', async () => {
    host.sh(`cd "$backups"; rm ${id}.manifest.sig`);
    await expect(spot()).rejects.toMatchObject({ code: 'verification-failed' });
  });

  it('hands out no content and no checksum', async () => {
    host.sh(`for f in '${conf()}'/*; do echo "secret-of-mine $f" >"$f"; done`);
    expect(JSON.stringify(await spot())).not.toMatch(/secret-of-mine|[0-9a-f]{64}/);
  });
});
