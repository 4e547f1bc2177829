import { z } from 'zod';
import { backupIdPattern } from './backup-id.ts';
import { defineOperation } from './definition.ts';
import { hostName } from './inputs.ts';

/** What a folder of an archive holds. */
export const browseBackup = defineOperation({
  name: 'browse-backup',
  title: 'Browse a backup',
  summary: 'List a folder of an archive of a host: names, sizes, modes, owners and times; no content.',
  description:
    'Browse a backup: which files are in an archive of a host, is a file in it, how large was it, when was it last written? Lists one folder of the archive by its sealed manifest, page by page: host (the configuration of the host, whole paths: host/etc/pve), the installation, volumes/NAME. Shows names, types, sizes, modes, owners and times, never content, also of no secret file. Changes nothing and restores nothing.',
  guide: 'Backup and Recovery: Backup Verification',
  target: 'host',
  needs: 'commands',
  risk: 'read',
  exposure: 'search',
  answersAtOnce: true,
  idempotent: true,
  input: () =>
    z.object({
      host: hostName(),
      backup: z
        .string()
        .regex(new RegExp(`^${backupIdPattern}$`), 'expected the id of a backup, e.g. daily-backup-20261122-020000')
        .optional()
        .describe('Id of a backup; list_backups names them. Default: the last good one'),
      folder: z.string().max(500).default('').describe('A folder of the archive, e.g. host/etc/pve. Default: its top'),
      after: z.int().min(0).max(9_999_999).default(0).describe('How many names to leave out: 200 for the second page'),
    }),
  output: () =>
    z.object({
      backup: z.string(),
      folder: z.string(),
      total: z.int().describe('How many names the folder has'),
      entries: z.array(
        z.object({
          name: z.string(),
          type: z.enum(['file', 'folder', 'link', 'fifo', 'device']),
          bytes: z.number(),
          mode: z.string(),
          owner: z.string(),
          modified: z.iso.datetime().optional(),
          target: z.string().optional().describe('Of a link: where it leads'),
        }),
      ),
    }),
  steps: ['Look'],
  schedules: [],
});
