import { z } from 'zod';
import { defineApiChange, refuse } from './api-change.ts';
import {
  type BackupOptions,
  backUpStep,
  backupEstimate,
  backupNotes,
  heldOf,
  leftOut,
  pendingDisks,
  readArchives,
  vssRemark,
} from './guest-backup.ts';
import { readConfig, readConfigAsItRuns, readState, refuseLocked, TheGuest, theGuest } from './guest-config.ts';
import { bytesOf, isUsable, propertiesOf, readStorages, refuseStorage, roughly, storageName } from './guest-disks.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';
import { some } from './said.ts';
import { chooseStorage } from './storages.ts';

/** A guest's backup by vzdump into a storage of Proxmox VE or onto a Proxmox Backup Server. */
export const backUpGuest = defineApiChange(
  {
    name: 'back-up-guest',
    title: 'Back up guest',
    summary: 'Back up a VM or container (vzdump), and see that its archive is there, is new, and can be read.',
    description:
      'Back up (vzdump) a VM or container into a backup storage or onto a Proxmox Backup Server. The archive counts only when it is there, bears the run in its notes, is not empty, and its configuration names the disks; the report says what it does not hold (disks with backup=0, bind mounts), a guest agent that did not freeze, and an unusual size. Older backups stay. Many guests (all, a pool, a tag, a list): change-guests with change back-up.',
    guide: 'vzdump by hand',
    target: 'guest',
    risk: 'change',
    exposure: 'search',
    idempotent: false,
    api: {
      reads: [
        { privilege: 'VM.Audit', on: 'guest' },
        { privilege: 'Datastore.Audit', on: 'storage' },
      ],
      changes: [
        { privilege: 'VM.Backup', on: 'guest' },
        { privilege: 'Datastore.AllocateSpace', on: 'storage' },
        { privilege: 'Sys.Modify', on: 'root', when: 'bwlimitKiB is given' },
      ],
    },
    input: () =>
      z.object({
        host: hostOfCluster(),
        vmid: vmid(),
        storage: storageName().optional().describe('Where to. Default: the only one that takes backups'),
        mode: z
          .enum(['snapshot', 'suspend', 'stop'])
          .default('snapshot')
          .describe(
            'snapshot: it goes on; suspend: it stands still meanwhile; stop: it is shut down first and started again',
          ),
        compress: z
          .enum(['zstd', 'gzip', 'lzo', '0'])
          .default('zstd')
          .describe('0: not at all. A backup server decides itself'),
        notes: backupNotes(),
        protect: z.boolean().default(false).describe('No pruning removes it until somebody takes the protection away'),
        fleecing: storageName()
          .optional()
          .describe(
            'Of a VM: what it writes meanwhile goes to a disk on this storage, so that a slow target does not slow it',
          ),
        bwlimitKiB: z
          .int()
          .min(1)
          .max(100_000_000)
          .optional()
          .describe('At most so many KiB a second; the API token needs Sys.Modify on / for it'),
        dryRun: dryRun(),
      }),
    output: () =>
      z.object({
        vmid: z.int(),
        node: z.string(),
        storage: z.string(),
        holds: z.array(z.string()).describe('Disks that are in it'),
        leavesOut: z.array(z.string()).describe('Disks and mount points that are not'),
        archive: z.string().optional().describe('Its volume; absent in a plan'),
        bytes: z.number().optional(),
        takenAt: z.string().optional(),
      }),
    steps: ['Look', 'Back up'],
    undo: {
      how: 'Not by a run of its own: an archive is kept until somebody removes it. What fails takes its own archive away, unless it is the only one.',
      reverse: (_, { archive }) => ({
        why: `A backup changes nothing in the guest. Remove ${archive ?? 'its archive'} on its storage if nobody needs it.`,
      }),
    },
  },
  {
    reads: ({ guest, node }) => ({
      state: readState(guest),
      config: readConfigAsItRuns(guest),
      later: readConfig(guest),
      storages: readStorages(node),
    }),
    more: ({ input: { storage }, guest, node }, { storages }) =>
      Object.fromEntries(
        storages
          .filter((one) => isUsable(one) && one.content.split(',').includes('backup'))
          .filter((one) => storage === undefined || one.storage === storage)
          .map((one) => [one.storage, readArchives(node, one.storage, guest.vmid)]),
      ),
    plan({ input, guest, node }, { state, config, later, storages }, more) {
      const locked = refuseLocked(guest, state);
      if (locked) return locked;
      if (input.mode === 'stop' && state.ha?.managed === 1) {
        return refuse(
          'conflict',
          `${TheGuest(guest)} is managed by the HA stack, which would start it again while it is stopped for its backup`,
          'Take mode snapshot or suspend, or take it out of HA first (change-ha).',
          'mode',
        );
      }
      const storage = chooseStorage(storages, { storage: input.storage, node, content: 'backup' });
      if ('refused' in storage) return storage;
      if (input.fleecing !== undefined) {
        const unfit = refuseStorage(storages, { storage: input.fleecing, node, content: 'images', field: 'fleecing' });
        if (unfit) return unfit;
      }
      const before = more[storage.storage] ?? [];
      const { held, left } = heldOf(guest.type, config);
      if (held.length === 0) {
        return refuse(
          'conflict',
          `${TheGuest(guest)} has no disk that a backup would hold, and nothing was done`,
          'Give it a disk, or take its disks into backups (backup=1).',
        );
      }
      const estimate = backupEstimate(
        config,
        guest.type,
        before,
        (line) => bytesOf(propertiesOf(line).rest.size ?? '') ?? 0,
      );
      const options: BackupOptions = {
        storage: storage.storage,
        mode: input.mode,
        compress: input.compress,
        notes: input.notes,
        isProtected: input.protect,
        fleecing: input.fleecing,
        bwlimitKiB: input.bwlimitKiB,
      };
      const isOn = state.status === 'running';
      return {
        summary: `back up ${theGuest(guest)} to ${storage.storage}`,
        state: [
          { name: 'State', value: state.status },
          { name: 'Node', value: node },
          { name: 'Holds', value: some(held, 20) },
          {
            name: 'Leaves out',
            value: some(
              left.map(({ key }) => key),
              20,
            ),
          },
        ],
        affected: [
          `About ${roughly(estimate)} go to ${storage.storage}${storage.avail === undefined ? '' : `, which has ${roughly(storage.avail)} free`}`,
          ...(isOn && input.mode !== 'snapshot'
            ? [
                `${TheGuest(guest)} ${input.mode === 'stop' ? 'is shut down, and started again' : 'stands still'} while it is backed up`,
              ]
            : []),
        ],
        risks: [
          ...left.map(({ key, why }) => `Not in the archive: ${key} ${why}`),
          ...pendingDisks(guest.type, config, later).map(({ summary }) => `Not in the archive: ${summary}`),
          ...(storage.avail !== undefined && storage.avail < estimate
            ? [`${storage.storage} has ${roughly(storage.avail)} free, which may not be enough`]
            : []),
          ...(isOn && guest.type === 'qemu' ? vssRemark(guest, config) : []),
        ],
        steps: [backUpStep(guest, options, { config, status: state.status, before })],
        undo: ['Older backups stay, whatever the storage would prune'],
        output: {
          vmid: guest.vmid,
          node,
          storage: storage.storage,
          holds: [...held],
          leavesOut: left.map(({ key }) => key),
        },
        done: `${TheGuest(guest)} is backed up to ${storage.storage}.`,
        findings: [...leftOut(guest.type, config), ...pendingDisks(guest.type, config, later)],
      };
    },
  },
);
