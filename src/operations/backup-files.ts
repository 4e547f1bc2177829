import { z } from 'zod';
import { type ApiRead, apiRead } from './api-change.ts';
import { base64, utf8 } from './file-text.ts';

// Files in a guest's backup on a Proxmox Backup Server, by Proxmox VE's `file-restore`: of a container from the backup's own
// catalogue, of a VM by a small VM that the node starts to read its disks. By its published sources (pve-storage,
// proxmox-backup); nobody has recorded it.

/** Its types, and what they are called here. `v` is a disk of a VM, or a kind of what is on one: `part`, `lvm`. */
const types = {
  d: 'folder',
  f: 'file',
  l: 'link',
  h: 'hard link',
  b: 'device',
  c: 'device',
  p: 'fifo',
  s: 'socket',
  v: 'disk',
} as const;

/** What a folder of a backup holds; never content. */
export const backupFile = z.object({
  name: z.string(),
  type: z.enum(['disk', 'folder', 'file', 'link', 'hard link', 'device', 'fifo', 'socket']),
  bytes: z.number().optional().describe('Of files, and of what a whole archive or partition holds'),
  modified: z.iso.datetime().optional().describe('Of files'),
});
export type BackupFile = z.output<typeof backupFile>;

/** One page of a folder, by name. */
export interface BackupFolder {
  readonly total: number;
  readonly entries: readonly BackupFile[];
  readonly notUnderstood: number;
}

/** Where in a backup: its volume id, and a path from its top without a slash before it. */
export interface InBackup {
  readonly node: string;
  readonly archive: string;
  readonly path: string;
}

/** The storage that a volume id begins with. */
export function storageOf(archive: string): string {
  return archive.slice(0, Math.max(0, archive.indexOf(':')));
}

/** A path as Proxmox takes it: the top is `/`, all else base64. */
export function encodedPath(path: string): string {
  return path === '' ? '/' : base64(utf8(`/${path}`));
}

/** A path without slashes around it. */
export function plainPath(path: string): string {
  return path.replace(/^\/+|\/+$/g, '');
}

const template = '/nodes/*/storage/*/file-restore/list';

const listed = z.object({
  text: z.string().min(1),
  type: z.enum(Object.keys(types) as [keyof typeof types]),
  size: z.number().optional(),
  mtime: z.number().optional(),
});

/** A folder's entries from `after` on; null where there is no such backup or folder. */
export function readBackupFolder(
  { node, archive, path }: InBackup,
  { after, most }: { readonly after: number; readonly most: number },
): ApiRead<z.ZodType<BackupFolder | null>> {
  const schema = z.array(z.unknown()).transform((all): BackupFolder => {
    const entries = all.flatMap(entryOf).sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    return {
      total: entries.length,
      entries: entries.slice(after, after + most),
      notUnderstood: all.length - entries.length,
    };
  });
  return apiRead({
    ...readAt({ node, archive, path }),
    schema: schema as unknown as z.ZodType<BackupFolder | null>,
    absent: null,
  });
}

/** One entry, from the list of its folder; null where it isn't there. */
export function readBackupEntry({ node, archive, path }: InBackup): ApiRead<z.ZodType<BackupFile | null>> {
  const at = path.lastIndexOf('/');
  const name = path.slice(at + 1);
  const schema = z
    .array(z.unknown())
    .transform((all): BackupFile | null => all.flatMap(entryOf).find((one) => one.name === name) ?? null);
  return apiRead({
    ...readAt({ node, archive, path: path.slice(0, Math.max(0, at)) }),
    schema: schema as unknown as z.ZodType<BackupFile | null>,
    absent: null,
  });
}

function readAt({ node, archive, path }: InBackup) {
  return {
    template,
    values: [node, storageOf(archive)],
    parameters: { volume: archive, filepath: encodedPath(path) },
  };
}

/** The year 10,000, after which no date can be written. */
const latest = 253_402_300_800;

function entryOf(one: unknown): BackupFile[] {
  const { data } = listed.safeParse(one);
  if (data === undefined) return [];
  const { text, type, size, mtime } = data;
  return [
    {
      name: text,
      type: types[type],
      ...(size !== undefined && { bytes: size }),
      ...(mtime !== undefined && mtime >= 0 && mtime < latest && { modified: new Date(mtime * 1000).toISOString() }),
    },
  ];
}
