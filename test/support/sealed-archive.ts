import { createHash } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { HostLayout } from '../../src/config.ts';
import { runShell } from './shell.ts';

/** Who seals: a test's host. */
interface Sealer {
  readonly layout: HostLayout;
}

/** What differs of the archive that is made. */
export interface SealedArchive {
  readonly id?: string;
  /** The archive's bytes, of tests of what only carries archives. Default: a tar of the host as it is. */
  readonly content?: Buffer | Repeated;
  /** Seconds since it was verified and published. Default: the host has no record of it. */
  readonly age?: number;
  /** Docker volumes by their name in the archive: what Docker calls it, and the folder whose content it has. */
  readonly volumes?: Readonly<Record<string, { readonly docker: string; readonly folder: string }>>;
  /** The key that seals; default the host's own, made where there is none. */
  readonly key?: string;
  /** Changes what is to be packed, in its folder: a script. */
  readonly before?: string;
  /** Changes the manifest before it is sealed: a script, with it as `$manifest`. */
  readonly forge?: string;
  readonly zstd?: true;
}

/** Content that is too large to hold: a part, so many times. */
interface Repeated {
  readonly part: Buffer;
  readonly parts: number;
}

export const archiveId = 'daily-backup-20261122-020000';
/** The folder of the installation in it. */
export const archiveTop = 'daily-20261122-020000';

/**
 * Makes an archive of a test's host, with manifest and seal in the format of `src/backups/manifest.ts`, by nothing of what makes,
 * copies or restores one.
 */
export function sealArchive(
  { layout }: Sealer,
  options: SealedArchive = {},
): { readonly id: string; readonly sha256: string } {
  const id = options.id ?? archiveId;
  for (const folder of [layout.backups, join(layout.state, 'restores')])
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  makeSealKey({ layout });
  const archive = join(layout.backups, `${id}.${options.zstd ? 'tar.zst' : 'tar.gz'}`);
  const { sha256, facts } =
    options.content === undefined ? pack(layout, archive, id, options) : write(archive, options.content);
  const machine = existsSync('/etc/machine-id') ? readFileSync('/etc/machine-id', 'utf8').trim() : '';
  const head = [
    'proxmox-mcp manifest 1',
    `id ${id}`,
    `host ${hostname()} ${machine}`,
    `archive ${basename(archive)} ${statSync(archive).size} ${sha256}`,
  ];
  sealManifest({ layout }, id, [...head, ...facts], options);
  if (options.age !== undefined) record(layout, id, archive, { sha256, age: options.age });
  return { id, sha256 };
}

/** The key that seals this host's manifests, where it has none yet. */
export function makeSealKey({ layout }: Sealer): void {
  runShell(
    layout,
    `umask 077; mkdir -p "$state/seal"; [ -e "$state/seal/key" ] || ssh-keygen -q -t ed25519 -N '' -C seal -f "$state/seal/key"
    printf 'seal namespaces="proxmox-mcp-manifest" %s\\n' "$(cut -d' ' -f1,2 "$state/seal/key.pub")" >"$state/seal/signers"`,
  );
}

/** Seals these lines as the manifest of a backup. */
export function sealManifest(
  { layout }: Sealer,
  id: string,
  lines: readonly string[],
  { key = '$state/seal/key', forge = ':' }: Pick<SealedArchive, 'key' | 'forge'> = {},
): void {
  writeFileSync(join(layout.backups, `${id}.manifest`), `${lines.join('\n')}\n`, { mode: 0o600 });
  runShell(
    layout,
    `umask 077; manifest="$backups/${id}.manifest"; ${forge}
    rm -f "$manifest.sig"; ssh-keygen -q -Y sign -n proxmox-mcp-manifest -f "${key}" "$manifest" 2>/dev/null`,
  );
}

/** What a manifest says of everything below a folder, in the order of a tar, with its end. */
export function entriesOf(folder: string): string[] {
  const entries = [...walk(folder, '')];
  return [...entries, `end ${entries.length}`];
}

interface Packed {
  readonly sha256: string;
  readonly facts: readonly string[];
}

function pack(layout: HostLayout, archive: string, id: string, options: SealedArchive): Packed {
  const top = id.replace('-backup', '');
  const volumes = Object.entries(options.volumes ?? {});
  const work = mkdtempSync(join(tmpdir(), 'pmx-seal-'));
  try {
    const helper = runShell(
      layout,
      `umask 077; cd "${work}"
      cp -a "$installation" "${top}"; cp -a "${layout.sudoersFile}" "${top}/claude-user"; cp -a "$root" host
      ${volumes.length > 0 ? 'mkdir volumes; chmod 755 volumes' : ':'}
      ${volumes.map(([name, { folder }]) => `cp -a "${folder}" "volumes/${name}"`).join('\n')}
      ${options.before ?? ':'}
      tar --create ${options.zstd ? '--zstd' : '--gzip'} --numeric-owner --acls --xattrs --sort=name --file "${archive}" *
      sha256sum <"$helper" | cut -c1-64`,
    );
    const facts = [
      'version pve-manager 9.1.7',
      `version helper ${helper.trim()}`,
      ...readdirSync(join(work, 'host/etc')).map((name) => `part system 1 1 /etc/${name}`),
      ...volumes.map(([name, { docker }]) => `volume ${name} copied 1 1 ${docker}`),
      ...entriesOf(work),
    ];
    return { sha256: sha256Of(readFileSync(archive)), facts };
  } finally {
    rmSync(work, { recursive: true });
  }
}

function write(archive: string, content: Buffer | Repeated): Packed {
  const { part, parts } = Buffer.isBuffer(content) ? { part: content, parts: 1 } : content;
  const hash = createHash('sha256');
  writeFileSync(archive, '', { mode: 0o600 });
  for (let n = 0; n < parts; n += 1) {
    appendFileSync(archive, part);
    hash.update(part);
  }
  const sha256 = hash.digest('hex');
  const entry = `entry f 640 0:0 ${part.length * parts} 1764205200 - ${sha256} host/etc/some`;
  return { sha256, facts: [entry, 'end 1'] };
}

/** What the host knows of an archive that it has verified and published. */
function record(
  layout: HostLayout,
  id: string,
  archive: string,
  { sha256, age }: { readonly sha256: string; readonly age: number },
): void {
  const folder = join(layout.state, 'backups', id);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const factsOf = (path: string) => {
    const { size, mtimeMs } = statSync(path);
    return `${size} ${Math.floor(mtimeMs / 1000)}`;
  };
  const published = Math.floor(Date.now() / 1000) - age;
  writeFileSync(join(folder, 'proof'), `${sha256} ${factsOf(archive)} ${published} ${layout.backups}\n`);
  const manifest = join(layout.backups, `${id}.manifest`);
  const seal = [sha256Of(readFileSync(manifest)), factsOf(manifest), factsOf(`${manifest}.sig`)];
  writeFileSync(join(folder, 'seal'), `${seal.join(' ')}\n`);
  writeFileSync(join(folder, 'checked'), `${published}\n`);
}

function* walk(folder: string, below: string): Generator<string> {
  for (const name of readdirSync(join(folder, below)).sort()) {
    const path = below === '' ? name : `${below}/${name}`;
    const is = lstatSync(join(folder, path));
    const { mode, uid, gid, size, mtimeMs } = is;
    const entry = (type: string, bytes = 0, sum = '-') =>
      `entry ${type} ${(mode & 0o7777).toString(8)} ${uid}:${gid} ${bytes} ${Math.floor(mtimeMs / 1000)} - ${sum} ${escaped(path)}`;
    if (is.isSymbolicLink()) yield `${entry('l')}\t${escaped(readlinkSync(join(folder, path)))}`;
    else if (is.isFIFO()) yield entry('p');
    else if (is.isDirectory()) {
      yield entry('d');
      yield* walk(folder, path);
    } else yield entry('f', size, sha256Of(readFileSync(join(folder, path))));
  }
}

function escaped(name: string): string {
  return name.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\t', '\\t');
}

function sha256Of(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
