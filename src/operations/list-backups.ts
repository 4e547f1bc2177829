import { z } from 'zod';
import { defineOperation } from './definition.ts';
import { hostName, vmid } from './inputs.ts';

/** A backup that is there; newest first in lists. */
export const backupEntry = z.object({
  kind: z.enum(['host', 'guest']).describe("host: an archive of a host's configuration and installation"),
  name: z.string().describe('Id of an archive of the host, volume of a backup of a guest'),
  vmid: z.int().optional().describe('Number of the guest, of a backup of one'),
  takenAt: z.iso.datetime(),
  ageSeconds: z.int(),
  bytes: z.number().optional(),
  state: z
    .enum(['verified', 'doubted', 'changed', 'unsealed', 'unproven', 'damaged', 'unfinished', 'not-verified'])
    .describe(
      'verified: by the host itself, or by a Proxmox Backup Server; doubted: holds less than the last good one; changed: not what was published; unsealed: its manifest or the seal of that is missing or not what was published; unproven: the host has no record; damaged: found so by the backup server; unfinished: being written, cut off or empty; not-verified: nobody has',
    ),
  where: z.string().describe('Folder on the host, or storage'),
  tookSeconds: z.int().optional().describe('Of the host: how long it took from its beginning until it was verified'),
  checkedAt: z.iso.datetime().optional().describe('Of the host: when it was last read back whole, by the host itself'),
  copies: z
    .array(
      z.object({
        where: z
          .string()
          .describe('service: the folder of copies beside the service; else a further place by its name'),
        at: z.iso.datetime().describe('Since when it is there'),
        state: z.enum(['whole', 'changed', 'gone']),
        checkedAt: z.iso.datetime().optional(),
        proves: z
          .enum(['ciphertext', 'content'])
          .optional()
          .describe('What the last comparison proved: that the encrypted bytes are as written, or what they hold'),
      }),
    )
    .optional()
    .describe('Of the host: copies that lie off it'),
});
export type BackupEntry = z.output<typeof backupEntry>;

/** What backups are there: of the host itself and, in the storages of its Proxmox VE, of its guests. */
export const listBackups = defineOperation({
  name: 'list-backups',
  title: 'List backups',
  summary: 'What backups are there and when the last one was: of the host itself, and of each VM and container.',
  description:
    "When was the last backup? Lists the backups (archives) that are there, newest first: those of the host's own configuration and installation, and those of its guests (VMs, containers; vzdump, Proxmox Backup Server) in the storages of Proxmox VE. Says of each when it was taken, its age, size, where it lies and whether it was verified (by the host itself, or by the backup server), its encrypted copies off the host, and names the last good backup of the host and of each guest, guests that have none, and the next run, of the host and of each guest. Of a Proxmox Backup Server (PBS) the snapshots of all its datastores and namespaces. Works with SSH, with the Proxmox API alone, or both. Changes nothing and makes no backup: back_up does.",
  guide: 'Backup and Recovery: Backup Verification',
  target: 'host',
  needs: 'any',
  // To see each archive takes what it takes to restore it, and the list itself names that.
  api: {
    reads: [
      { privilege: 'Sys.Audit', on: 'root' },
      { privilege: 'Datastore.Audit', on: 'storage' },
      { privilege: 'VM.Audit', on: 'guest' },
    ],
    changes: [],
  },
  risk: 'read',
  exposure: 'direct',
  answersAtOnce: true,
  idempotent: true,
  input: () =>
    z.object({
      host: hostName(),
      vmid: vmid().optional().describe('Only the backups of this guest, e.g. 100'),
      limit: z
        .int()
        .min(1)
        .max(200)
        .default(30)
        .describe('How many backups of the host, and how many of its guests, to list; the last good ones come beside'),
    }),
  output: () =>
    z.object({
      lastGood: z
        .array(backupEntry)
        .describe(
          'Of the host the last good one; of each guest the newest that is finished and not known to be damaged',
        ),
      withoutBackup: z.array(z.int()).describe('Guests of the host that have no such backup'),
      backups: z.array(backupEntry).describe('Newest first'),
      total: z.int().describe('How many there are'),
      next: z
        .array(z.object({ schedule: z.string(), at: z.iso.datetime().optional(), paused: z.boolean() }))
        .optional()
        .describe('When the schedules make the next one, of the host and, where somebody made some, of its guests'),
      guests: z
        .array(
          z.object({
            vmid: z.int(),
            label: z.string(),
            next: z.iso.datetime().optional().describe('When a job of Proxmox VE backs it up next'),
            by: z.string().optional().describe('Which job under Datacenter > Backup'),
          }),
        )
        .optional()
        .describe('The guests of the host. Jobs are known where the API token has Sys.Audit on /'),
      isComplete: z.boolean().describe('false: something could not be looked at, so that there may be more'),
    }),
  steps: ['Host', 'Archives', 'Guests'],
  schedules: [],
});
