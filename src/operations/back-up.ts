import { z } from 'zod';
import { backupKinds } from './backup-id.ts';
import { defineOperation } from './definition.ts';
import { dryRun, hostName } from './inputs.ts';

/** The guide's backups: the host's own configuration and the installation in one verified archive on the host. */
export const backUp = defineOperation({
  name: 'back-up',
  title: 'Back up',
  summary: "Archive a host's own configuration (/etc/pve, network, storage, packages, keys) and its installation.",
  description:
    "Back up a host now: its own configuration (/etc/pve with its database, network, storage, package list and sources, fstab, cron, SSH keys, kernel settings, systemd units, chosen folders) and the Proxmox MCP installation with Docker volumes, where there is one, into one archive on the host, checksummed, read back, then renamed; single files are restored by tar. Compares with the last good one, reads older archives again, keeps seven days and always the last three good ones. Makes a new backup: to ask when the last backup was, use list_backups. Use dryRun to see the plan. Doesn't back up guests (VMs, containers).",
  guide: 'Backup and Recovery: Automated Backup System, Daily Backup Script',
  target: 'host',
  needs: 'commands',
  risk: 'change',
  exposure: 'direct',
  idempotent: false,
  input: () =>
    z.object({
      host: hostName(),
      kind: z
        .enum(backupKinds)
        .default('daily')
        .describe(
          "daily: the host's configuration and the installation with its data, without what monitoring collected; full: all of it; monthly: configuration only",
        ),
      anyTarget: z
        .boolean()
        .default(false)
        .describe('Also where archives are lost at a restart (tmpfs), or the disk of the backup folder is not mounted'),
      dryRun: dryRun(),
    }),
  output: () =>
    z.object({
      archive: z
        .object({
          path: z.string(),
          bytes: z.int(),
          sha256: z.string(),
          entries: z.int().describe('Files and folders in the archive'),
          volumes: z.array(z.string()),
          counts: z.boolean().describe('False while it holds less than the last good one and nobody has accepted that'),
        })
        .optional()
        .describe('Absent in a plan'),
      removed: z.array(z.string()).describe('Archives that retention removed, or would remove'),
      kept: z.int().describe('Archives of this kind that are there afterwards'),
    }),
  steps: ['Look', 'Collect', 'Host', 'Volumes', 'Pack', 'Verify', 'Publish', 'Read again', 'Retention'],
  schedules: [
    {
      id: 'daily',
      cron: '0 2 * * *',
      input: { kind: 'daily', dryRun: false },
      overlap: 'skip',
      catchUpWindowMs: 6 * 3_600_000,
      pauseOnFailure: false,
      why: "The guide's time. A night's backup is still worth taking six hours late; one that fails must not stop tomorrow's.",
    },
    {
      id: 'full',
      cron: '0 1 * * 0',
      input: { kind: 'full', dryRun: false },
      overlap: 'skip',
      catchUpWindowMs: 24 * 3_600_000,
      pauseOnFailure: false,
      why: "The guide's time, Sunday. The daily one of that night waits for it. A week's is still worth taking a day late.",
    },
    {
      id: 'monthly',
      cron: '30 5 1 * *',
      input: { kind: 'monthly', dryRun: false },
      overlap: 'skip',
      catchUpWindowMs: 72 * 3_600_000,
      pauseOnFailure: false,
      why: 'The first of the month, when the others of that night have ended and before the morning; a few seconds of work, so that days late is soon enough.',
    },
  ],
  undo: {
    how: 'Not at all: a backup that was made is kept until retention removes it.',
    reverse: (_, { removed }) => ({
      why: `A backup that was made is kept until retention removes it${removed.length === 0 ? '' : ', and what retention removed is gone'}.`,
    }),
  },
});
