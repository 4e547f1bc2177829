import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HostLayout } from '../../src/config.ts';

export interface SealedBackup {
  readonly id: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** Content that is too large to hold: a part, so many times. */
export interface Repeated {
  readonly part: Buffer;
  readonly parts: number;
}

/**
 * A verified archive with its sealed manifest and its record, as the host's helper leaves them, with this content. For tests of what
 * is done with archives, where making one doesn't matter.
 *
 * @param age - seconds since it was published
 */
export function sealBackup(layout: HostLayout, id: string, content: Buffer | Repeated, age = 0): SealedBackup {
  const { part, parts } = Buffer.isBuffer(content) ? { part: content, parts: 1 } : content;
  const length = part.length * parts;
  const seal = join(layout.state, 'seal');
  const record = join(layout.state, 'backups', id);
  for (const folder of [seal, record, layout.backups]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (!existsSync(join(seal, 'key')))
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'seal', '-f', join(seal, 'key')]);
  const at = (ending: string) => join(layout.backups, `${id}${ending}`);
  const key = readFileSync(join(seal, 'key.pub'), 'utf8').split(' ').slice(0, 2).join(' ');
  writeFileSync(join(seal, 'signers'), `seal namespaces="proxmox-mcp-manifest" ${key}\n`, { mode: 0o600 });
  writeFileSync(at('.tar.gz'), '', { mode: 0o600 });
  const hash = createHash('sha256');
  for (let n = 0; n < parts; n += 1) {
    appendFileSync(at('.tar.gz'), part);
    hash.update(part);
  }
  const sha256 = hash.digest('hex');
  const machine = existsSync('/etc/machine-id') ? readFileSync('/etc/machine-id', 'utf8').trim() : '0123';
  const lines = [
    'proxmox-mcp manifest 1',
    `id ${id}`,
    `host pve1 ${machine}`,
    `archive ${id}.tar.gz ${length} ${sha256}`,
    `entry f 0640 0:0 ${length} 1764205200 - ${sha256} host/etc/some`,
    'end 1',
  ];
  writeFileSync(at('.manifest'), `${lines.join('\n')}\n`, { mode: 0o600 });
  execFileSync(
    'ssh-keygen',
    ['-q', '-Y', 'sign', '-n', 'proxmox-mcp-manifest', '-f', join(seal, 'key'), at('.manifest')],
    {
      stdio: 'ignore',
    },
  );
  const written = Math.floor(statSync(at('.tar.gz')).mtimeMs / 1000);
  const published = Math.floor(Date.now() / 1000) - age;
  writeFileSync(join(record, 'proof'), `${sha256} ${length} ${written} ${published} ${layout.backups}\n`);
  const facts = ['.manifest', '.manifest.sig'].map((ending) => {
    const { size, mtimeMs } = statSync(at(ending));
    return `${size} ${Math.floor(mtimeMs / 1000)}`;
  });
  const manifest = createHash('sha256')
    .update(readFileSync(at('.manifest')))
    .digest('hex');
  writeFileSync(join(record, 'seal'), `${manifest} ${facts.join(' ')}\n`);
  writeFileSync(join(record, 'checked'), `${published}\n`);
  return { id, sha256, bytes: length };
}
