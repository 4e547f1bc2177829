import fc from 'fast-check';
import { expect, it } from 'vitest';
import { escapeName, parseManifest, unescapeName } from '../../src/backups/manifest.ts';

const sum = 'a'.repeat(64);
const lines = [
  'proxmox-mcp manifest 1',
  'id full-backup-20261122-010000',
  'host pve1 4f1c0e9be3a14f0c8f0a4b1f2a6d9c3e',
  `archive full-backup-20261122-010000.tar.gz 1234 ${sum}`,
  'version pve-manager 9.1.7',
  'part network 300 2 /etc/network',
  'volume caddy_data paused 2048 3 proxmox-mcp_caddy_data',
  'left-out socket volumes/caddy_data/s ock',
  'lost user.x: Operation not supported',
  'entry d 755 0:0 0 1764205200 - - host/etc',
  `entry f 0640 0:33 12 1764205200 security.capability/20,acl ${sum} host/etc/a b`,
  'entry l 777 0:0 0 1764205200 - - host/etc/link\\nname\tto\\\\there',
  'end 3',
  '',
];

it('reads what the helper writes', () => {
  expect(parseManifest(lines.join('\n'))).toEqual({
    id: 'full-backup-20261122-010000',
    host: 'pve1 4f1c0e9be3a14f0c8f0a4b1f2a6d9c3e',
    archive: { name: 'full-backup-20261122-010000.tar.gz', bytes: 1234, sha256: sum },
    versions: { 'pve-manager': '9.1.7' },
    parts: [{ part: 'network', bytes: 300, files: 2, path: '/etc/network' }],
    volumes: [{ name: 'caddy_data', how: 'paused', bytes: 2048, files: 3, volume: 'proxmox-mcp_caddy_data' }],
    leftOut: [{ why: 'socket', path: 'volumes/caddy_data/s ock' }],
    lost: ['user.x: Operation not supported'],
    entries: [
      { type: 'folder', mode: 0o755, uid: 0, gid: 0, bytes: 0, modified: 1764205200, attributes: [], path: 'host/etc' },
      {
        type: 'file',
        mode: 0o640,
        uid: 0,
        gid: 33,
        bytes: 12,
        modified: 1764205200,
        attributes: ['security.capability/20', 'acl'],
        sha256: sum,
        path: 'host/etc/a b',
      },
      {
        type: 'link',
        mode: 0o777,
        uid: 0,
        gid: 0,
        bytes: 0,
        modified: 1764205200,
        attributes: [],
        path: 'host/etc/link\nname',
        target: 'to\\there',
      },
    ],
  });
});

it.each(lines.slice(0, -1).map((line, index) => [line, index] as const))(
  'takes no manifest without %s',
  (line, index) => {
    // What there may be none of.
    if (/^(version|part|volume|left-out|lost) /.test(line)) return;
    expect(parseManifest(lines.toSpliced(index, 1).join('\n'))).toBeUndefined();
  },
);

it.each([
  'entry f 644 0:0 1 1 - - host/etc/without-sum',
  'entry l 777 0:0 0 1 - - host/etc/without-target',
  'entry x 777 0:0 0 1 - - host/etc/unknown-type',
  'something else',
])('takes no manifest with %s', (line) => {
  expect(parseManifest(lines.toSpliced(10, 0, line).join('\n').replace('end 3', 'end 4'))).toBeUndefined();
});

it('writes every name on one line, and reads it as it was', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (name) => {
      const text = escapeName(name);
      expect(text).not.toMatch(/[\n\t]/);
      expect(unescapeName(text)).toBe(name);
    }),
  );
});
