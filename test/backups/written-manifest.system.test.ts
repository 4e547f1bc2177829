import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { parseManifest } from '../../src/backups/manifest.ts';
import { backUp, id, top } from '../activities/back-up/steps.ts';
import { makeHost, type TestHost } from '../support/local-host.ts';

let host: TestHost;
beforeEach(() => {
  host = makeHost();
});
afterEach(async () => {
  await host.close();
});

it('says of everything in the archive what tar restores', async () => {
  host.sh(`cd "$installation"; chown 1001:1002 run.sh; chmod 4751 run.sh; mkfifo pipe; printf x >"$(printf 'tab\\there')"
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'
    python3 -c 'import os; os.setxattr("run.sh", "user.note", b"kept")'`);
  const { published } = await backUp(host);
  const manifest = parseManifest(readFileSync(join(host.layout.backups, `${id}.manifest`), 'utf8'));
  expect(manifest).toMatchObject({
    id,
    archive: { name: `${id}.tar.gz`, bytes: published.bytes, sha256: published.sha256 },
    leftOut: [{ why: 'socket', path: `${top}/sock` }],
    versions: { kernel: expect.any(String) },
  });
  const entries = new Map(manifest?.entries.map((entry) => [entry.path, entry]));
  expect(entries.get(`${top}/run.sh`)).toMatchObject({
    type: 'file',
    mode: 0o4751,
    uid: 1001,
    gid: 1002,
    bytes: 10,
    attributes: ['user.note/4'],
  });
  expect(entries.get(`${top}/pipe`)).toMatchObject({ type: 'fifo', bytes: 0 });
  expect(entries.get(`${top}/dangling`)).toMatchObject({ type: 'link', target: '/nonexistent/target' });
  for (const path of ['with space/new\nline', 'with space/back\\slash', 'tab\there', '-rf/-rf'])
    expect(entries.get(`${top}/${path}`)?.sha256, path).toMatch(/^[0-9a-f]{64}$/);
  expect(entries.get('SHA256SUMS')?.type).toBe('file');
  expect(Number(host.sh(`tar tzf "$backups/${id}.tar.gz" | wc -l`))).toBe(manifest?.entries.length);
  // By hand: nothing but tar, sha256sum and ssh-keygen.
  host.sh(`mkdir "$backups/out"; cd "$backups/out"; tar -xzf ../${id}.tar.gz; sha256sum --check --strict --quiet SHA256SUMS
    ssh-keygen -Y verify -f "$state/seal/signers" -I seal -n proxmox-mcp-manifest -s ../${id}.manifest.sig <../${id}.manifest >/dev/null
    grep -q "$(sha256sum <"$installation/.env" | cut -c1-64) ${top}/.env" ../${id}.manifest`);
});
