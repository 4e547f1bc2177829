import { z } from 'zod';
import { defineOperation } from './definition.ts';
import { hostName } from './inputs.ts';

/** The guide's backup verification: whether what is there would bring the host back. */
export const verifyBackups = defineOperation({
  name: 'verify-backups',
  title: 'Verify backups',
  summary:
    "Read a host's archives whole, and compare them with their manifests and with what they are of; compare their copies.",
  description:
    'Verify backups: are they whole, complete and of the right thing? Reads archives of a host from beginning to end (structure, every name and checksum against the manifest that the host sealed), in turns, so that each is read within four weeks, the newest ones every time; spot check: compares the newest archive with the files it is of (a source that was emptied, encrypted or silently changed; a backup that lacks things) and with an older one. Looks at age against the schedule, size trend, days without an archive, at the encrypted copies off the host (their bytes, not what they hold) and in further places, and at guests (VMs, containers): which no backup job covers, and what a Proxmox Backup Server found damaged. Gives way to everything else on the host. Changes nothing. To see which backups there are, use list_backups.',
  guide: 'Backup and Recovery: Backup Verification',
  target: 'host',
  needs: 'either',
  api: {
    reads: [
      { privilege: 'Sys.Audit', on: 'root' },
      { privilege: 'Datastore.Audit', on: 'storage' },
      { privilege: 'VM.Audit', on: 'guest' },
    ],
    changes: [],
  },
  risk: 'read',
  exposure: 'search',
  idempotent: true,
  input: () =>
    z.object({
      host: hostName(),
      all: z
        .boolean()
        .default(false)
        .describe('Read every archive whole, however long that takes, and not only those whose turn it is'),
    }),
  output: () =>
    z.object({
      read: z.array(z.string()).describe('Archives that were read whole'),
      broken: z
        .array(z.string())
        .describe('Those of them that are not what was published, and those whose copy is not what was written'),
      verdict: z.enum(['ok', 'warning', 'failed', 'unknown', 'skipped']),
    }),
  steps: ['Host', 'Archives', 'Read', 'Spot check', 'Copies', 'Guests'],
  schedules: [
    {
      id: 'weekly',
      cron: '0 4 * * 0',
      input: {},
      overlap: 'skip',
      catchUpWindowMs: 24 * 3_600_000,
      pauseOnFailure: false,
      why: "After Sunday's full backup. A week's verification is still worth doing a day late, and one that fails must not stop the next.",
    },
  ],
});
