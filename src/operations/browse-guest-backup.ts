import { z } from 'zod';
import { defineApiChange, type Refusal, refuse } from './api-change.ts';
import { backupFile, plainPath, readBackupFolder, storageOf } from './backup-files.ts';
import { refuseMissing } from './guest-config.ts';
import { isUsable, type NodeStorage, readStorages, roughly } from './guest-disks.ts';
import { hostName } from './inputs.ts';
import { said } from './said.ts';

/** How many names a page has. */
const most = 200;

/** What a folder of a guest's backup holds, where that lies on a Proxmox Backup Server. */
export const browseGuestBackup = defineApiChange(
  {
    name: 'browse-guest-backup',
    title: 'Browse a guest’s backup',
    summary:
      'List a folder in the backup of a VM or container on a PBS storage: names, types, sizes, times; no content.',
    description:
      'Browse the backup of a guest: which files and folders are in a backup of a VM or container, is a lost or deleted file in it, how large was it, when was it last written? Only of a snapshot on a Proxmox Backup Server (PBS), through a storage of Proxmox VE. Lists one folder, page by page: at the top the archives (root.pxar.didx of a container, drive-scsi0.img.fidx of a VM and in it part/1/etc). Never content: an administrator takes a file or folder out by npx proxmox-mcp backups fetch, and restore-guest brings back the whole guest. Changes nothing; of a VM the node starts a small helper VM for some minutes.',
    guide: 'File Restore on the page of Proxmox VE',
    target: 'host',
    risk: 'read',
    exposure: 'search',
    answersAtOnce: true,
    idempotent: true,
    api: {
      reads: [{ privilege: 'Datastore.Audit', on: 'storage' }],
      // Who may see what is in a backup may restore it: so a token that only looks at Proxmox hasn't these.
      changes: [
        { privilege: 'Datastore.AllocateSpace', on: 'storage' },
        { privilege: 'VM.Backup', on: 'guest' },
      ],
    },
    input: () =>
      z.object({
        host: hostName().describe('A configured host that has the storage'),
        archive: z
          .string()
          .max(250)
          .regex(
            /^[A-Za-z][A-Za-z0-9._-]*:backup\/[^\s]+$/,
            'expected the volume id of a backup, e.g. pbs:backup/vm/100/2026-11-22T02:00:00Z',
          )
          .describe('Volume id of the backup, as list-backups has it'),
        folder: z
          .string()
          .max(1000)
          .default('')
          .describe('A folder in it, e.g. root.pxar.didx/etc or drive-scsi0.img.fidx/part/1/etc. Default: its top'),
        after: z
          .int()
          .min(0)
          .max(9_999_999)
          .default(0)
          .describe('How many names to leave out: 200 for the second page'),
      }),
    output: () =>
      z.object({
        archive: z.string(),
        folder: z.string(),
        total: z.int().describe('How many names the folder has'),
        entries: z.array(backupFile),
      }),
    steps: ['Look'],
  },
  {
    reads: ({ node }) => ({ storages: readStorages(node) }),
    more({ input: { archive, folder, after }, node }, { storages }) {
      if (refuseClosed(storages, archive, node) !== undefined) return {};
      return { folder: readBackupFolder({ node, archive, path: plainPath(folder) }, { after, most }) };
    },
    plan({ input: { archive, after, ...input }, node }, { storages }, { folder: found }) {
      const closed = refuseClosed(storages, archive, node);
      if (closed) return closed;
      const folder = plainPath(input.folder);
      if (found === undefined || found === null) {
        return refuse(
          'not-found',
          `There is no folder ${said(folder === '' ? '/' : folder)} in a backup ${said(archive)}, or the node can't open it`,
          'list-backups names the backups. Begin at the top (no folder), and go down by the names that it lists.',
          'folder',
        );
      }
      const { total, entries, notUnderstood } = found;
      const where = folder === '' ? 'At the top of' : `In ${said(folder)} of`;
      const shown = entries.length < total ? `, of which ${entries.length} are listed from the ${after + 1}. on` : '';
      return {
        summary: `look into ${said(archive)}`,
        state: [{ name: 'Names', value: String(total) }],
        affected: [],
        risks: [],
        steps: [],
        output: { archive, folder, total, entries: [...entries] },
        done: `${where} ${said(archive)} there ${total === 1 ? 'is 1 name' : `are ${total} names`}${shown}.`,
        findings:
          notUnderstood === 0
            ? []
            : [
                {
                  check: 'List of the backup',
                  verdict: 'unknown',
                  summary: `${notUnderstood} of its entries are not understood, and are missing here.`,
                  remedy: 'Look there on the page of Proxmox VE (File Restore).',
                },
              ],
        table: {
          title: 'Entries',
          columns: ['Name', 'Type', 'Size', 'Written'],
          rows: entries.map(({ name, type, bytes, modified }) => [
            said(name, 200),
            type,
            bytes === undefined ? '' : roughly(bytes),
            modified?.replace('T', ' ').replace('.000Z', ' UTC') ?? '',
          ]),
        },
      };
    },
  },
);

/** Why no single file comes out of a backup; undefined: its storage may give some. */
export function refuseClosed(storages: readonly NodeStorage[], archive: string, node: string): Refusal | undefined {
  const name = storageOf(archive);
  const found = storages.find(({ storage }) => storage === name);
  const servers = storages.filter(({ type }) => type === 'pbs').map(({ storage }) => storage);
  if (found === undefined) {
    return refuseMissing(`storage ${said(name, 100)} on ${node} that the API token may see`, 'archive', servers);
  }
  if (found.type !== 'pbs') {
    return refuse(
      'invalid-input',
      `${said(archive)} is an archive on the storage ${name} (${said(found.type, 40)}), and Proxmox opens only backups on a Proxmox Backup Server file by file`,
      'Restore the guest beside the old one (restore-guest into new), and copy the files from there: in a VM by fetch-file.',
      'archive',
    );
  }
  if (isUsable(found)) return undefined;
  return refuse(
    'conflict',
    `The storage ${name} is off or away on ${node}`,
    'See why on the node (pvesm status): the backup server, its certificate, the network.',
    'archive',
  );
}
