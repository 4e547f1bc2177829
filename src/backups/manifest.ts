import { isBackupId } from '../operations/backup-id.ts';

// The manifest of an archive: `ID.manifest` beside it, one fact a line, made on the host by the helper, and sealed there by
// a signature with a key that only the host's root has (`ID.manifest.sig`, `ssh-keygen -Y sign -n proxmox-mcp-manifest`).
// Fields are parted by one space, the last one is the rest of the line; in names a backslash is `\\`, a line break `\n`, a
// tab `\t`, and any other control character `\ooo`, so that sh, awk and people read it as well as this does.

/** What the signature of a manifest is for, so that no other signature of the same key passes for one. */
export const manifestNamespace = 'proxmox-mcp-manifest';

/** The first line. */
export const manifestTitle = 'proxmox-mcp manifest 1';

/** What the lines before the first `entry` say. */
export interface ManifestHead {
  readonly id: string;
  /** What the host calls itself: its name, and the id of its machine. */
  readonly host: string;
  readonly archive: { readonly name: string; readonly bytes: number; readonly sha256: string };
  /** `pve-manager` → `9.1.7` */
  readonly versions: Readonly<Record<string, string>>;
  /** Parts of the host's own configuration. */
  readonly parts: readonly {
    readonly part: string;
    readonly bytes: number;
    readonly files: number;
    readonly path: string;
  }[];
  readonly volumes: readonly {
    /** Its folder in the archive is `volumes/NAME`. */
    readonly name: string;
    /** How its data was had as of one moment: `copied`, `paused`, `stopped`. */
    readonly how: string;
    readonly bytes: number;
    readonly files: number;
    /** What Docker calls it. */
    readonly volume: string;
  }[];
  /** What is not in it, each with a word that says why: `socket`, `mounted`, `unreadable`, `excluded` … */
  readonly leftOut: readonly { readonly why: string; readonly path: string }[];
  /** Attributes that the file system of the copy refused, in the host's words. */
  readonly lost: readonly string[];
}

/** A file, folder, link or other thing in the archive. */
export interface ManifestEntry {
  readonly type: 'file' | 'folder' | 'link' | 'fifo' | 'device';
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of a file; else 0. */
  readonly bytes: number;
  /** Seconds since 1970. */
  readonly modified: number;
  /** `security.capability/20`, `acl` … */
  readonly attributes: readonly string[];
  /** Of a file. */
  readonly sha256?: string;
  /** Its name in the archive: `host/etc/fstab`. */
  readonly path: string;
  /** Of a link: where it leads. */
  readonly target?: string;
}

export interface Manifest extends ManifestHead {
  readonly entries: readonly ManifestEntry[];
}

const types: Readonly<Record<string, ManifestEntry['type']>> = {
  f: 'file',
  d: 'folder',
  l: 'link',
  p: 'fifo',
  b: 'device',
  c: 'device',
};

/** Reads a whole manifest. Undefined where it is none, was cut off, or holds a line that no helper writes. */
export function parseManifest(text: string): Manifest | undefined {
  const lines = text.split('\n');
  if (lines.shift() !== manifestTitle || lines.pop() !== '') return undefined;
  const end = lines.pop();
  const head = emptyHead();
  const entries: ManifestEntry[] = [];
  for (const line of lines) {
    const [key, rest] = cut(line);
    if (key === 'entry') {
      const entry = parseEntry(rest);
      if (entry === undefined) return undefined;
      entries.push(entry);
    } else if (entries.length > 0 || !readHeadLine(head, key, rest)) return undefined;
  }
  if (end !== `end ${entries.length}`) return undefined;
  const { id, host, archive } = head;
  if (id === undefined || host === undefined || archive === undefined) return undefined;
  return { ...head, id, host, archive, entries };
}

/** Reads what stands behind `entry `. */
export function parseEntry(rest: string): ManifestEntry | undefined {
  const found = /^([a-z]) ([0-7]{3,5}) (\d+):(\d+) (\d+) (-?\d+) (\S+) (-|[0-9a-f]{64}) ([^\t]+)(?:\t(.*))?$/.exec(
    rest,
  );
  if (found === null) return undefined;
  const [, letter = '', mode = '', uid, gid, bytes, modified, attributes = '', sha256 = '-', path = '', target] = found;
  const type = types[letter];
  if (type === undefined || (type === 'file') !== (sha256 !== '-') || (type === 'link') !== (target !== undefined))
    return undefined;
  return {
    type,
    mode: Number.parseInt(mode, 8),
    uid: Number(uid),
    gid: Number(gid),
    bytes: Number(bytes),
    modified: Number(modified),
    attributes: attributes === '-' ? [] : attributes.split(','),
    ...(sha256 !== '-' && { sha256 }),
    path: unescapeName(path),
    ...(target !== undefined && { target: unescapeName(target) }),
  };
}

type Building = {
  id?: string;
  host?: string;
  archive?: ManifestHead['archive'];
  versions: Record<string, string>;
  parts: ManifestHead['parts'][number][];
  volumes: ManifestHead['volumes'][number][];
  leftOut: ManifestHead['leftOut'][number][];
  lost: string[];
};

function emptyHead(): Building {
  return { versions: {}, parts: [], volumes: [], leftOut: [], lost: [] };
}

/** False for a line that no helper writes. */
function readHeadLine(head: Building, key: string, rest: string): boolean {
  switch (key) {
    case 'id':
      head.id = rest;
      return isBackupId(rest);
    case 'host':
      head.host = rest;
      return rest !== '';
    case 'archive': {
      const [, name, bytes, sha256] = /^(\S+) (\d+) ([0-9a-f]{64})$/.exec(rest) ?? [];
      if (name === undefined || sha256 === undefined) return false;
      head.archive = { name, bytes: Number(bytes), sha256 };
      return true;
    }
    case 'version': {
      const [name, value] = cut(rest);
      head.versions[name] = value;
      return value !== '';
    }
    case 'part': {
      const [, part, bytes, files, path] = /^(\S+) (\d+) (\d+) (.+)$/.exec(rest) ?? [];
      if (part === undefined || path === undefined) return false;
      head.parts.push({ part, bytes: Number(bytes), files: Number(files), path: unescapeName(path) });
      return true;
    }
    case 'volume': {
      const [, name, how, bytes, files, volume] = /^(\S+) (\S+) (\d+) (\d+) (\S+)$/.exec(rest) ?? [];
      if (name === undefined || how === undefined || volume === undefined) return false;
      head.volumes.push({ name, how, bytes: Number(bytes), files: Number(files), volume });
      return true;
    }
    case 'left-out': {
      const [why, path] = cut(rest);
      head.leftOut.push({ why, path: unescapeName(path) });
      return path !== '';
    }
    case 'lost':
      head.lost.push(rest);
      return rest !== '';
    default:
      return false;
  }
}

/** The first word, and what stands behind it. */
function cut(line: string): readonly [string, string] {
  const at = line.indexOf(' ');
  return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)];
}

/** A name as a manifest writes it. */
export function escapeName(name: string): string {
  return name.replaceAll(/[\\\p{Cc}]/gu, (character) => {
    if (character > '\u007f') return character;
    if (character === '\\') return '\\\\';
    if (character === '\n') return '\\n';
    if (character === '\t') return '\\t';
    return `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`;
  });
}

/** The name that a manifest writes so. */
export function unescapeName(text: string): string {
  return text.replaceAll(/\\(\\|n|t|[0-7]{3})/g, (_, code: string) => {
    if (code === '\\') return '\\';
    if (code === 'n') return '\n';
    if (code === 't') return '\t';
    return String.fromCharCode(Number.parseInt(code, 8));
  });
}
