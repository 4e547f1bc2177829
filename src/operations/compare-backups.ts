import { z } from 'zod';
import { backupIdPattern } from './backup-id.ts';
import { defineOperation } from './definition.ts';
import { hostName } from './inputs.ts';

const id = () =>
  z
    .string()
    .regex(new RegExp(`^${backupIdPattern}$`), 'expected the id of a backup, e.g. daily-backup-20261122-020000')
    .describe('Id of a backup; list_backups names them');

/** What changed on a host: between two of its backups, or since one. */
export const compareBackups = defineOperation({
  name: 'compare-backups',
  title: 'Compare backups',
  summary:
    'What changed on a host between two backups, or since one: files, lines, packages, guests, and by which runs.',
  description:
    'What changed on a host since Tuesday (yesterday, last week, the upgrade)? What is different, which runs of this service lie between? Compares two backups of a host, or the last good one before a moment with the host as it is now: files added, removed and changed (size, mode, owner, content), changed lines of harmless configuration files with secrets masked (network, fstab, storage.cfg, firewall, sshd), packages installed, removed and upgraded, settings of guests (VMs, containers), and the runs of this service on this host that ended meanwhile; what people did by hand is not known to it. Reads the last backup again; changes nothing.',
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
      since: z
        .string()
        .min(1)
        .max(40)
        .optional()
        .describe(
          'Compare the last good backup before that moment: 7d, yesterday, tuesday, 2026-11-24, 2026-11-24 02:00. Default: the last good one',
        ),
      from: id().optional().describe('The earlier backup by its id, in place of since'),
      to: id().optional().describe('The later backup by its id. Default: the host as it is now'),
    }),
  output: () =>
    z.object({
      from: z.string().describe('The earlier backup'),
      fromAt: z.iso.datetime(),
      to: z.string().describe('The later one, or now'),
      toAt: z.iso.datetime(),
      parts: z
        .array(
          z.object({
            part: z.string().describe('host: its own configuration; installation; volumes/NAME'),
            added: z.int(),
            removed: z.int(),
            changed: z.int(),
            touched: z.int().describe('Written again with the same content'),
            volatile: z.int().describe('Logs, caches and locks, which come and go'),
          }),
        )
        .describe('How much changed, in whole; the lists below are bounded'),
      notCompared: z.array(z.string()).describe('What only one of the two is of'),
      files: z.array(
        z.object({
          path: z.string(),
          change: z.enum(['added', 'removed', 'changed']),
          what: z.string().describe('content; mode 644 to 600; owner 0:0 to 1:1'),
          bytes: z.array(z.int()).describe('Before and after, or its size'),
          lines: z.array(z.string()).optional().describe('Of a harmless text file; secrets are masked'),
          more: z.literal(true).optional().describe('It has more changed lines'),
        }),
      ),
      packages: z.object({
        count: z.int().optional().describe('Absent: one of the backups has no list with versions'),
        changes: z.array(z.object({ name: z.string(), from: z.string().optional(), to: z.string().optional() })),
      }),
      guests: z.array(
        z.object({
          vmid: z.int(),
          change: z.enum(['added', 'removed', 'changed']),
          settings: z.array(z.object({ setting: z.string(), from: z.string(), to: z.string() })),
        }),
      ),
      runs: z
        .array(
          z.object({
            run: z.string(),
            operation: z.string(),
            target: z.string(),
            by: z.string(),
            at: z.iso.datetime(),
            outcome: z.string(),
          }),
        )
        .optional()
        .describe('What this service changed between; absent where the ledger could not be asked'),
    }),
  steps: ['Look', 'Compare', 'Runs'],
  schedules: [],
});
