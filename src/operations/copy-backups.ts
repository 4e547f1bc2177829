import { z } from 'zod';
import { backupIdPattern } from './backup-id.ts';
import { defineOperation } from './definition.ts';
import { dryRun, hostName } from './inputs.ts';

/** A second copy of a host's backups, off the host and encrypted. */
export const copyBackups = defineOperation({
  name: 'copy-backups',
  title: 'Copy backups',
  summary: "Stream a host's backups off it, encrypted to its administrators, and keep them beside the service.",
  description:
    "Copy backups off a host (off-site, second copy, 3-2-1): each verified archive that has no copy yet is streamed to the service's folder of copies, the newest first, with its sealed manifest, encrypted on the host to the administrators' age recipients (BACKUP_RECIPIENTS), so that the service can't read it; then to further places (rclone, restic) where some are configured. Compares the copies with what was written, and says what that proves. Runs by itself after each backup. Makes no backup: back_up does.",
  guide: 'Backup and Recovery: Automated Backup System',
  target: 'host',
  needs: 'commands',
  risk: 'change',
  sharesHost: true,
  exposure: 'search',
  idempotent: true,
  input: () =>
    z.object({
      host: hostName(),
      backup: z
        .string()
        .regex(new RegExp(`^${backupIdPattern}$`))
        .optional()
        .describe('Only this archive, e.g. daily-backup-20261122-020000'),
      dryRun: dryRun(),
    }),
  output: () =>
    z.object({
      copied: z.array(
        z.object({
          backup: z.string(),
          bytes: z.int().describe('Of the encrypted copy'),
          sha256: z.string().describe('Of the encrypted copy'),
        }),
      ),
      missing: z.array(z.string()).describe('Archives that have no copy afterwards'),
      copies: z.int().describe('Copies of the host that are there afterwards'),
      removed: z.array(z.string()).describe('Copies that retention removed, or would remove'),
    }),
  steps: ['Look', 'Copy', 'Further places', 'Compare', 'Retention'],
  // Each backup is followed by a run of it, which catches up on what could not be copied before: every night, so that a time of
  // its own would find the same. Nights without one are nights whose backup failed, which is told of, or was turned off.
  schedules: [],
  undo: {
    how: 'Not at all: a copy that was made is kept until retention removes it.',
    reverse: () => ({ why: 'A copy that was made is kept until retention removes it.' }),
  },
});
