import { z } from 'zod';
import { isBackupId } from './backup-id.ts';
import { defineOperation } from './definition.ts';
import { dryRun, hostName } from './inputs.ts';

/** What of an archive is restored. */
export const restoreScopes = [
  'complete',
  'configuration',
  'keys',
  'security',
  'volumes',
  'path',
  'pve-database',
] as const;

const path = /^\/[A-Za-z0-9][A-Za-z0-9_.@-]*(\/[A-Za-z0-9_.@-]+)*$/;
/** For how long what a restore replaced is kept on the host. */
const keptMs = 14 * 24 * 3_600_000;

/** The guide's recovery: something of an archive comes back, and what it replaces is kept. */
export const restore = defineOperation({
  name: 'restore',
  title: 'Restore',
  summary:
    'Bring back what an archive of a host holds: all, its configuration, keys, policy, volumes, a file or folder.',
  description:
    "Restore (recover, bring back) from an archive that back-up made of a host: complete (configuration, installation, volumes), configuration, keys, security (sudoers, sshd), volumes, path (one file or folder, or some), pve-database (/etc/pve, with pve-cluster stopped; never in a cluster), or undo of an earlier restore. Disaster recovery of the host's own, not of guests. Only an archive whose sealed manifest the host can verify. Plans what is replaced, stopped and needed; asks for approval; compares everything with the manifest; swaps it in as one job on the host, which judges health and goes back by itself. What was replaced is kept for 14 days. dryRun shows the plan.",
  guide: 'Backup and Recovery: Recovery Procedures',
  target: 'host',
  needs: 'commands',
  risk: 'dangerous',
  alwaysAsks: true,
  exposure: 'search',
  idempotent: false,
  input: () =>
    z
      .object({
        host: hostName(),
        what: z.enum([...restoreScopes, 'undo']).describe('What of the archive; undo: go back from an earlier restore'),
        backup: z
          .string()
          .refine(isBackupId, 'expected the id of a backup, e.g. daily-backup-20261122-020000')
          .optional()
          .describe('The archive, as list_backups names it; not for undo'),
        paths: z
          .array(
            z
              .string()
              .max(200)
              .regex(path, 'expected a whole path of letters, digits and _ . @ -, e.g. /etc/fstab')
              .refine(
                (one) => !`${one}/`.includes('/../') && !`${one}/`.includes('/./'),
                'expected a path without . and ..',
              ),
          )
          .min(1)
          .max(8)
          .refine((all) => all.join('=').length <= 255, 'expected at most 255 characters of paths')
          .optional()
          .describe('path: files or folders, as they are called on the host'),
        volumes: z
          .array(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,100}$/, 'expected the name of a Docker volume'))
          .min(1)
          .max(8)
          .optional()
          .describe('volumes: their names in the archive; left out: all'),
        restore: z
          .string()
          .regex(/^restore-\d{8}-\d{6}$/, 'expected the id of a restore, e.g. restore-20261127-120000')
          .optional()
          .describe('undo: which restore'),
        dryRun: dryRun(),
      })
      .refine(({ what, backup }) => (what === 'undo') === (backup === undefined), {
        path: ['backup'],
        message: 'expected the archive to restore from, and none for undo',
      })
      .refine(({ what, restore: id }) => (what === 'undo') === (id !== undefined), {
        path: ['restore'],
        message: 'expected the restore that undo is of, and only there',
      })
      .refine(({ what, paths }) => (what === 'path') === (paths !== undefined), {
        path: ['paths'],
        message: 'expected what path is of, and only there',
      })
      .refine(({ what, volumes }) => what === 'volumes' || volumes === undefined, {
        path: ['volumes'],
        message: 'expected only with volumes',
      }),
  output: () =>
    z.object({
      restore: z.string().optional().describe('Its id on the host; absent in a plan'),
      replaced: z.int().describe('Files and folders that were, or would be, replaced; each folder as one'),
      created: z.int().describe('Those that were not there'),
      same: z.int().describe('Single files that are as in the archive already'),
      kept: z.array(z.string()).describe('Folders on the host in which what was replaced is kept for 14 days'),
    }),
  steps: ['Look', 'Stage', 'Look again', 'Apply', 'Verify'],
  schedules: [],
  undo: {
    how: 'By what it replaced, which the host keeps for 14 days.',
    reverse({ host, what, restore: undone }, { restore: id }) {
      if (what === 'undo') return { why: `It has gone back from ${undone}; restore from the archive again instead.` };
      if (id === undefined) return { why: 'It has changed nothing.' };
      return {
        input: { host, what: 'undo', restore: id },
        expects: [{ name: 'Restore', value: 'kept' }],
        asLongAs: 'the host keeps what it replaced, which is 14 days',
        withinMs: keptMs,
        remains: 'What was written since then goes with what was restored.',
      };
    },
  },
});
