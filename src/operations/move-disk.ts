import { z } from 'zod';
import { defineApiChange, effect, type Refusal, undoBy } from './api-change.ts';
import {
  guestPath,
  guestTask,
  readConfig,
  readSnapshots,
  readState,
  refuseLocked,
  TheGuest,
  theGuest,
} from './guest-config.ts';
import {
  diskKey,
  findDisk,
  propertiesOf,
  readStorages,
  readVolumes,
  refuseStorage,
  roughly,
  spaceRisks,
  storageName,
} from './guest-disks.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';
import { some } from './said.ts';

/** A disk of a guest goes to another storage. */
export const moveDisk = defineApiChange(
  {
    name: 'move-disk',
    title: 'Move disk',
    summary: 'Move a disk of a VM or container to another storage, and see that it is there.',
    description:
      'Move a disk (volume, virtual hard disk) of a VM or container to another storage of its node: off a full storage, to a faster or a shared one. A VM may run meanwhile; a container has to be off. The source is deleted when the copy is in use, unless keepSource.',
    guide: 'qm disk move and pct move-volume by hand',
    target: 'guest',
    risk: 'change',
    exposure: 'search',
    idempotent: true,
    api: {
      reads: [
        { privilege: 'VM.Audit', on: 'guest' },
        { privilege: 'Datastore.Audit', on: 'storage' },
      ],
      changes: [
        { privilege: 'VM.Config.Disk', on: 'guest' },
        { privilege: 'Datastore.AllocateSpace', on: 'storage' },
      ],
    },
    input: () =>
      z.object({
        host: hostOfCluster(),
        vmid: vmid(),
        disk: diskKey(),
        storage: storageName().describe('Where it is to be, e.g. local-lvm'),
        format: z
          .enum(['raw', 'qcow2', 'vmdk'])
          .optional()
          .describe("Of a VM's disk on a storage of files; by itself that of the storage"),
        keepSource: z.boolean().default(false).describe('Keep the source as an unused disk of the guest'),
        dryRun: dryRun(),
      }),
    output: () =>
      z.object({
        vmid: z.int(),
        node: z.string(),
        disk: z.string(),
        from: z.string().describe('Volume that it was'),
        to: z.string().describe('Volume that it is; in a plan only its storage'),
      }),
    steps: ['Look', 'Move'],
    undo: {
      how: 'The disk is moved back, as long as it still is where the run has put it.',
      reverse({ host, vmid: of, disk }, { from, to }) {
        if (from === to) return { why: 'It was there already, and nothing was done.' };
        const format = formatOf(from);
        return {
          input: { host, vmid: of, disk, storage: storageOf(from), ...(format !== undefined && { format }) },
          expects: [{ name: disk, value: to }],
          asLongAs: 'the disk still is where it was moved to',
        };
      },
    },
  },
  {
    reads: ({ guest, node }) => ({
      state: readState(guest),
      config: readConfig(guest),
      snapshots: readSnapshots(guest),
      storages: readStorages(node),
    }),
    plan({ input, guest, node }, { state, config, snapshots, storages }) {
      const found = findDisk(guest, config, input.disk);
      if ('none' in found) return found.none;
      const { disk } = found;
      const { key, volume, size = 0 } = disk;
      const { storage, keepSource } = input;
      const format = guest.type === 'qemu' ? input.format : undefined;
      const output = { vmid: guest.vmid, node, disk: key, from: volume, to: volume };
      const lines = [
        { name: 'Node', value: node },
        { name: 'State', value: state.status },
        { name: key, value: volume },
      ];
      if (disk.storage === storage && (format === undefined || format === formatOf(volume))) {
        return {
          summary: `nothing: ${key} of ${theGuest(guest)} is on ${storage} already`,
          state: lines,
          affected: [],
          risks: [],
          steps: [],
          output,
          done: `${key} of ${theGuest(guest)} is on ${storage} already; nothing was done.`,
        };
      }
      const content = guest.type === 'qemu' ? 'images' : 'rootdir';
      const refused =
        refuseLocked(guest, state) ?? refuseInUse() ?? refuseStorage(storages, { storage, node, content, bytes: size });
      if (refused) return refused;
      const reads = {
        config: readConfig(guest),
        target: readVolumes(node, storage, guest),
        source: readVolumes(node, disk.storage, guest),
      };
      const volumeNow = (line: string | undefined) => propertiesOf(line ?? '').first;
      const task = guestTask(guest, { qemu: 'qmmove', lxc: 'move_volume' });
      return {
        summary: `move ${key} of ${theGuest(guest)} from ${disk.storage} to ${storage}${keepSource ? ', and keep the source' : ''}`,
        state: lines,
        affected: [
          `${roughly(size)} are copied${state.status === 'running' ? ' while the VM runs, which slows it down' : ''}`,
          keepSource
            ? `The source ${volume} stays as an unused disk`
            : `The source ${volume} is deleted when the copy is in use`,
        ],
        risks: spaceRisks(storages, storage, size),
        steps: [
          {
            title: 'Move',
            call: moveCall({ key, storage, format, isDeleted: !keepSource, digest: config.digest }),
            task,
            effect: effect({
              reads,
              lacks(now) {
                const is = volumeNow(now.config[key]);
                if (is === volume || storageOf(is) !== storage) return `${key} is ${is || 'away'}`;
                const made = now.target.find(({ volid }) => volid === is);
                if (made === undefined) return `the storage ${storage} has no volume ${is}`;
                if (made.size !== undefined && made.size < size)
                  return `the volume ${is} has only ${roughly(made.size)}`;
                const isLeft = now.source.some(({ volid }) => volid === volume);
                if (keepSource) return isLeft ? undefined : `the source ${volume} is gone`;
                return isLeft ? `the source ${volume} is still there` : undefined;
              },
              facts: (now) => ({ to: volumeNow(now.config[key]) }),
            }),
            undo: undoBy({
              says: `${key} is moved back to ${disk.storage}${keepSource ? '; what was kept of the source stays' : ''}`,
              reads: { config: readConfig(guest) },
              plan(now) {
                const is = volumeNow(now.config[key]);
                if (is === volume || storageOf(is) !== storage) return undefined;
                return {
                  call: moveCall({
                    key,
                    storage: disk.storage,
                    format: guest.type === 'qemu' ? formatOf(volume) : undefined,
                    isDeleted: true,
                    digest: now.config.digest,
                  }),
                  task,
                  effect: effect({
                    reads: { config: readConfig(guest) },
                    lacks: (then) =>
                      storageOf(volumeNow(then.config[key])) === disk.storage
                        ? undefined
                        : `${key} is ${volumeNow(then.config[key])}`,
                  }),
                };
              },
            }),
          },
        ],
        output: { ...output, to: storage },
        done: `${key} of ${theGuest(guest)} is on ${storage}.`,
      };

      function refuseInUse(): Refusal | undefined {
        const names = snapshots.map(({ name }) => name).filter((name) => name !== 'current');
        if (guest.type === 'lxc' && state.status === 'running') {
          return refuse(
            `${TheGuest(guest)} runs, and disks of containers are moved only when they are off`,
            'Shut it down first (control-guest).',
          );
        }
        if (key === 'tpmstate0' && state.status === 'running') {
          return refuse(`${TheGuest(guest)} runs, and uses its TPM`, 'Shut it down first (control-guest).');
        }
        if (names.length > 0 && !keepSource) {
          return refuse(
            `Snapshots of ${theGuest(guest)} need the source of ${key} (${some(names)})`,
            'Delete the snapshots first (delete-snapshot), or keep the source (keepSource).',
          );
        }
        return undefined;
      }

      function refuse(why: string, remedy: string): Refusal {
        return { refused: { code: 'conflict', message: `${why}, so nothing was done`, remedy } };
      }

      function moveCall(of: {
        readonly key: string;
        readonly storage: string;
        readonly format: string | undefined;
        readonly isDeleted: boolean;
        readonly digest: string | undefined;
      }) {
        return {
          method: 'POST',
          ...guestPath(guest, guest.type === 'qemu' ? '/move_disk' : '/move_volume'),
          parameters: {
            [guest.type === 'qemu' ? 'disk' : 'volume']: of.key,
            storage: of.storage,
            ...(of.format !== undefined && { format: of.format }),
            delete: of.isDeleted,
            ...(of.digest !== undefined && { digest: of.digest }),
          },
        } as const;
      }
    },
  },
);

function storageOf(volume: string): string {
  return volume.slice(0, Math.max(0, volume.indexOf(':')));
}

/** Of a disk that is a file; other storages have no choice. */
function formatOf(volume: string): 'raw' | 'qcow2' | 'vmdk' | undefined {
  return /\.(raw|qcow2|vmdk)$/.exec(volume)?.[1] as 'raw' | 'qcow2' | 'vmdk' | undefined;
}
