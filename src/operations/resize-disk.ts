import { z } from 'zod';
import { defineApiChange, effect } from './api-change.ts';
import { guestPath, guestTask, readConfig, readState, refuseLocked, theGuest } from './guest-config.ts';
import {
  bytesOf,
  diskKey,
  findDisk,
  isCloudInit,
  propertiesOf,
  readStorages,
  readVolumes,
  refuseStorage,
  roughly,
  sizeText,
  spaceRisks,
} from './guest-disks.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';

/** A disk of a guest grows. */
export const resizeDisk = defineApiChange(
  {
    name: 'resize-disk',
    title: 'Resize disk',
    summary: 'Make a disk of a VM or container larger, and see that it is.',
    description:
      "Grow (enlarge, extend, resize) a disk of a VM or container: by so much (+10G) or to so much (50G). Disks only grow. A container's file system grows along; inside a VM its own system has to grow partition and file system. Names of disks: scsi0, virtio0, rootfs, mp0; get_guest shows them.",
    guide: 'qm resize and pct resize by hand',
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
        { privilege: 'VM.Config.Disk', on: 'guest' },
        { privilege: 'Datastore.AllocateSpace', on: 'storage' },
      ],
    },
    input: () =>
      z.object({
        host: hostOfCluster(),
        vmid: vmid(),
        disk: diskKey(),
        size: z
          .string()
          .regex(/^\+?\d{1,9}(\.\d{1,3})?[KMGT]$/, 'expected a size such as +10G (so much more) or 50G (so much)')
          .describe('+10G: so much more; 50G: so much then. K, M, G, T'),
        dryRun: dryRun(),
      }),
    output: () =>
      z.object({
        vmid: z.int(),
        node: z.string(),
        disk: z.string(),
        volume: z.string(),
        before: z.int().describe('Bytes'),
        after: z.int().describe('Bytes'),
      }),
    steps: ['Look', 'Resize'],
    undo: {
      how: 'Nothing makes a disk smaller.',
      reverse: (_, { before, after }) => ({
        why:
          before === after
            ? 'It had that size already, and nothing was done.'
            : 'A disk only grows: to have it smaller, restore a backup to a new guest with a smaller disk.',
      }),
    },
  },
  {
    reads: ({ guest, node }) => ({
      state: readState(guest),
      config: readConfig(guest),
      storages: readStorages(node),
    }),
    plan({ input, guest, node }, { state, config, storages }) {
      const found = findDisk(guest, config, input.disk);
      if ('none' in found) return found.none;
      const { key, volume, storage, size: before, line } = found.disk;
      const refuse = (why: string, remedy: string, field: 'disk' | 'size') =>
        ({
          refused: { code: 'invalid-input', message: `${why}, and nothing was done`, remedy, field },
        }) as const;
      if (isCloudInit(line)) {
        return refuse(`${key} is the drive for cloud-init's data`, 'Name a disk of the guest.', 'disk');
      }
      if (before === undefined) {
        return refuse(
          `Proxmox does not say how large ${key} is`,
          'An administrator runs qm rescan on the node, which finds out.',
          'disk',
        );
      }
      const given = bytesOf(input.size.replace('+', '')) ?? 0;
      const after = input.size.startsWith('+') ? before + given : given;
      if (after < before) {
        return refuse(
          `${key} has ${sizeText(before)}, and disks can't shrink to ${sizeText(after)}`,
          `Give more than ${sizeText(before)}, or an increase such as +10G.`,
          'size',
        );
      }
      const output = { vmid: guest.vmid, node, disk: key, volume, before, after };
      const lines = [
        { name: 'Node', value: node },
        { name: key, value: volume },
        { name: 'Size', value: sizeText(before) },
      ];
      if (after === before) {
        return {
          summary: `nothing: ${key} of ${theGuest(guest)} has ${sizeText(before)} already`,
          state: lines,
          affected: [],
          risks: [],
          steps: [],
          output,
          done: `${key} of ${theGuest(guest)} has ${sizeText(before)} already; nothing was done.`,
        };
      }
      const content = guest.type === 'qemu' ? 'images' : 'rootdir';
      const refused =
        refuseLocked(guest, state) ??
        refuseStorage(storages, { storage, node, content, bytes: after - before, field: 'size' });
      if (refused) return refused;
      return {
        summary: `grow ${key} of ${theGuest(guest)} from ${sizeText(before)} to ${sizeText(after)}`,
        state: lines,
        affected: [
          guest.type === 'qemu'
            ? 'The system inside sees a larger disk, and has to grow its partition and file system itself'
            : 'The file system grows along',
        ],
        risks: ['A disk never shrinks again', ...spaceRisks(storages, storage, after - before)],
        steps: [
          {
            title: 'Resize',
            call: {
              method: 'PUT',
              ...guestPath(guest, '/resize'),
              parameters: {
                disk: key,
                size: sizeText(after),
                ...(config.digest !== undefined && { digest: config.digest }),
              },
            },
            task: guestTask(guest, { qemu: 'resize', lxc: 'resize' }),
            effect: effect({
              reads: { config: readConfig(guest), volumes: readVolumes(node, storage, guest) },
              lacks(now) {
                const written = bytesOf(propertiesOf(now.config[key] ?? '').rest.size ?? '') ?? 0;
                if (written < after) return `the configuration gives ${key} ${sizeText(written)}`;
                const real = now.volumes.find(({ volid }) => volid === volume);
                if (real === undefined) return `the storage ${storage} has no volume ${volume}`;
                // Some storages don't say.
                const has = real.size ?? after;
                return has < after ? `the volume ${volume} has ${roughly(has)}` : undefined;
              },
              facts: (now) => ({
                after: bytesOf(propertiesOf(now.config[key] ?? '').rest.size ?? '') ?? after,
              }),
            }),
          },
        ],
        output,
        done: `${key} of ${theGuest(guest)} has ${sizeText(after)}${guest.type === 'qemu' ? '; the system inside has to grow its partition and file system itself' : ''}.`,
      };
    },
  },
);
