import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { escapeName } from '../../../src/backups/manifest.ts';
import type { TestHost } from '../../support/local-host.ts';

/** A file of an archive by its name there; a number beside its text is its mode. */
export type Files = Readonly<Record<string, string | readonly [text: string, mode: number]>>;

/** Makes an archive with its manifest and this host's seal, as a backup leaves them. */
export function makeArchive(host: TestHost, id: string, files: Files, ending = 'tar.gz'): void {
  const { backups } = host.layout;
  const folder = join(host.folder, `made-${id}`);
  for (const [path, given] of Object.entries(files)) {
    const [text, mode] = typeof given === 'string' ? ([given, 0o644] as const) : given;
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text, { mode });
  }
  mkdirSync(backups, { recursive: true });
  host.sh(`if [ ! -e "$state/seal/key" ]; then mkdir -p "$state/seal"; ssh-keygen -q -t ed25519 -N '' -C seal -f "$state/seal/key"
    printf 'seal namespaces="proxmox-mcp-manifest" %s\\n' "$(cut -d' ' -f1,2 "$state/seal/key.pub")" >"$state/seal/signers"; fi
    cd "${folder}" && tar -c --sort=name -f - * | ${ending === 'tar.gz' ? 'gzip' : 'zstd -q'} >"$backups/${id}.${ending}"`);
  const archive = readFileSync(join(backups, `${id}.${ending}`));
  const entries = [...walk(folder, '')];
  writeManifest(host, id, [
    ...['proxmox-mcp manifest 1', `id ${id}`, 'host pve1 0123456789abcdef0123456789abcdef'],
    `archive ${id}.${ending} ${archive.length} ${sha256(archive)}`,
    ...entries,
    `end ${entries.length}`,
  ]);
  // What the host knows of it, as publishing does.
  const at = id.replace(/.*-(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)$/, '$1-$2-$3 $4:$5:$6');
  host.sh(`published=$(($(date -u -d "${at}" +%s) + 60)); touch -d "@$published" "$backups/${id}.${ending}"
    mkdir -p "$state/backups/${id}"; echo "${sha256(archive)} ${archive.length} $published $published $backups" >"$state/backups/${id}/proof"`);
}

/** Seals these lines as the manifest of a backup. */
export function writeManifest(host: TestHost, id: string, lines: readonly string[]): void {
  writeFileSync(join(host.layout.backups, `${id}.manifest`), `${lines.join('\n')}\n`);
  host.sh(`rm -f "$backups/${id}.manifest.sig"
    ssh-keygen -q -Y sign -n proxmox-mcp-manifest -f "$state/seal/key" "$backups/${id}.manifest" 2>/dev/null`);
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

function* walk(folder: string, below: string): Generator<string> {
  for (const name of readdirSync(join(folder, below)).sort()) {
    const path = below === '' ? name : `${below}/${name}`;
    const is = lstatSync(join(folder, path));
    const { mode, uid, gid, size, mtimeMs } = is;
    const facts = (type: string, bytes: number, sum: string) =>
      `entry ${type} ${(mode & 0o7777).toString(8)} ${uid}:${gid} ${bytes} ${Math.floor(mtimeMs / 1000)} - ${sum} ${escapeName(path)}`;
    if (is.isSymbolicLink()) yield `${facts('l', 0, '-')}\t${escapeName(readlinkSync(join(folder, path)))}`;
    else if (is.isDirectory()) {
      yield facts('d', 0, '-');
      yield* walk(folder, path);
    } else yield facts('f', size, sha256(readFileSync(join(folder, path))));
  }
}
