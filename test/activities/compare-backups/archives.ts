import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TestHost } from '../../support/local-host.ts';
import { entriesOf, makeSealKey, sealManifest } from '../../support/sealed-archive.ts';

/** A file of an archive by its name there; a number beside its text is its mode. */
export type Files = Readonly<Record<string, string | readonly [text: string, mode: number]>>;

/** When everything in archives was written, in seconds since 1970. */
const writtenAt = 1_764_205_200;

/** Makes an archive with its manifest and this host's seal, as a backup leaves them. */
export function makeArchive(host: TestHost, id: string, files: Files, ending = 'tar.gz'): void {
  const { backups } = host.layout;
  const folder = join(host.folder, `made-${id}`);
  for (const [path, given] of Object.entries(files)) {
    const [text, mode] = typeof given === 'string' ? ([given, 0o644] as const) : given;
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text, { mode });
    // Else those of two archives differ by a second now and then.
    utimesSync(join(folder, path), writtenAt, writtenAt);
  }
  mkdirSync(backups, { recursive: true });
  makeSealKey(host);
  host.sh(
    `cd "${folder}" && tar -c --sort=name -f - * | ${ending === 'tar.gz' ? 'gzip' : 'zstd -q'} >"$backups/${id}.${ending}"`,
  );
  const archive = readFileSync(join(backups, `${id}.${ending}`));
  const sha256 = createHash('sha256').update(archive).digest('hex');
  sealManifest(host, id, [
    ...['proxmox-mcp manifest 1', `id ${id}`, 'host pve1 0123456789abcdef0123456789abcdef'],
    `archive ${id}.${ending} ${archive.length} ${sha256}`,
    ...entriesOf(folder),
  ]);
  // What the host knows of it, as publishing does.
  const at = id.replace(/.*-(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)$/, '$1-$2-$3 $4:$5:$6');
  host.sh(`published=$(($(date -u -d "${at}" +%s) + 60)); touch -d "@$published" "$backups/${id}.${ending}"
    mkdir -p "$state/backups/${id}"; echo "${sha256} ${archive.length} $published $published $backups" >"$state/backups/${id}/proof"`);
}
