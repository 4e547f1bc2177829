import { z } from 'zod';
import { defineOperation } from './definition.ts';
import { dryRun, hostName } from './inputs.ts';

/** The guide's daily backup: configuration, keys, sudoers and volumes in one verified archive on the host. */
export const backUp = defineOperation({
  name: 'back-up',
  title: 'Back up',
  summary: "Archive a host's installation: configuration, keys, sudoers and Docker volumes.",
  description:
    "Backup of a Proxmox MCP installation on its host: configuration, SSH keys, sudoers file and Docker volumes into one archive, written under a temporary name, checksummed, read back, then renamed. Compares with the last good one, reads older archives again, keeps seven days and always the last three good ones. Use dryRun to see the plan. Doesn't back up guests.",
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
        .enum(['daily'])
        .default('daily')
        .describe('daily: configuration, keys, sudoers, volumes; kept for seven days'),
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
        .describe('Absent in a plan, and where there is no installation to back up'),
      removed: z.array(z.string()).describe('Archives that retention removed, or would remove'),
      kept: z.int().describe('Archives of this kind that are there afterwards'),
    }),
  steps: ['Look', 'Collect', 'Volumes', 'Pack', 'Verify', 'Publish', 'Read again', 'Retention'],
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
  ],
});
