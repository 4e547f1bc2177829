import { z } from 'zod';
import { defineApiChange, effect, type Refusal, undoBy } from './api-change.ts';
import { guestPath, readConfig, readState, refuseLocked, TheGuest, theGuest } from './guest-config.ts';
import {
  diskKey,
  isDiskKey,
  propertiesOf,
  readStorages,
  readVolume,
  readVolumes,
  refuseStorage,
  roughly,
  spaceRisks,
  storageName,
} from './guest-disks.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';
import { said } from './said.ts';

const gibibyte = 2 ** 30;

/** A VM gets one more disk: empty, or with what an image holds. */
export const addDisk = defineApiChange(
  {
    name: 'add-disk',
    title: 'Add disk',
    summary: 'Give a VM one more disk, empty or imported from a disk image, and see that it is there.',
    description:
      "Add (attach, create) a disk to a VM: a new empty one of sizeGiB, or import a disk image (image): a qcow2, raw or vmdk of a storage's import content such as local:import/debian-12.qcow2, which download-image brings, or a copy of another VM's disk. Takes the next free scsi slot, or slot.",
    guide: 'qm importdisk and qm set by hand',
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
        storage: storageName().describe('Where the new disk is to be, e.g. local-lvm'),
        image: z
          .string()
          .max(250)
          .regex(
            /^[a-zA-Z][a-zA-Z0-9._-]*:[a-zA-Z0-9][a-zA-Z0-9._+/-]*$/,
            'expected a volume such as local:import/debian-12.qcow2',
          )
          .refine((volume) => !volume.includes('..'), 'expected a volume such as local:import/debian-12.qcow2')
          .optional()
          .describe('Volume whose content it gets: local:import/debian-12.qcow2'),
        sizeGiB: z.int().min(1).max(131_072).optional().describe('In place of image: an empty disk of so many GiB'),
        slot: diskKey().optional().describe('Its name in the configuration, e.g. scsi1; by itself the next free scsi'),
        format: z
          .enum(['raw', 'qcow2', 'vmdk'])
          .optional()
          .describe('On a storage of files; by itself that of the storage'),
        dryRun: dryRun(),
      }),
    output: () =>
      z.object({
        vmid: z.int(),
        node: z.string(),
        slot: z.string(),
        volume: z.string().optional().describe('Absent in a plan'),
        size: z.int().optional().describe('Bytes; absent in a plan of an import'),
      }),
    steps: ['Look', 'Add'],
    undo: {
      how: 'The disk is detached, and stays as an unused disk of the VM with what was written on it.',
      reverse({ host, vmid: of }, { slot, volume }) {
        if (volume === undefined) return { why: 'No disk was added.' };
        return {
          operation: 'remove-disk',
          input: { host, vmid: of, disk: slot, action: 'detach' },
          expects: [{ name: slot, value: said(volume) }],
          asLongAs: 'it still is in its slot',
          remains: 'The volume stays as an unused disk; remove-disk deletes it.',
        };
      },
    },
  },
  {
    reads: ({ guest, node, input }) => ({
      state: readState(guest),
      config: readConfig(guest),
      storages: readStorages(node),
      image: readVolume(node, input.image?.split(':')[0] ?? input.storage, input.image ?? ''),
    }),
    plan({ input, guest, node }, { state, config, storages, image: found }) {
      const { storage, image, sizeGiB, format } = input;
      const refuse = (code: Refusal['refused']['code'], why: string, remedy: string, field: string): Refusal => ({
        refused: { code, message: `${why}, and nothing was done`, remedy, field },
      });
      if (guest.type === 'lxc') {
        return refuse(
          'invalid-input',
          `${TheGuest(guest)} is no VM, and a mount point of a container needs a path`,
          'An administrator gives it one on the node (pct set, mp0), or use change-api.',
          'vmid',
        );
      }
      if ((image === undefined) === (sizeGiB === undefined)) {
        return refuse(
          'invalid-input',
          image === undefined ? 'Neither image nor sizeGiB is given' : 'Both image and sizeGiB are given',
          'Give image for what an image holds, or sizeGiB for an empty disk.',
          'image',
        );
      }
      const slot = input.slot ?? freeSlot(config);
      if (slot === undefined || !isDiskKey('qemu', slot)) {
        return refuse('invalid-input', `A VM has no ${slot ?? 'free scsi slot'}`, 'Give a slot such as scsi1.', 'slot');
      }
      if (config[slot] !== undefined) {
        return refuse(
          'already-exists',
          `${TheGuest(guest)} has a ${slot} already (${said(propertiesOf(config[slot]).first, 120)})`,
          `Give another slot${freeSlot(config) === undefined ? '' : `, e.g. ${freeSlot(config)}`}.`,
          'slot',
        );
      }
      const [source] = found;
      const isInOva = image !== undefined && /\.ova\/[^/]+$/.test(image);
      if (image !== undefined && source === undefined && !isInOva) {
        return refuse(
          'not-found',
          `${node} has no volume ${said(image)}, or the API token may not see it`,
          'Name a volume of a storage of that node (read_cluster or get_guest shows them); download-image brings one.',
          'image',
        );
      }
      const size = sizeGiB === undefined ? source?.size : sizeGiB * gibibyte;
      const refused =
        refuseLocked(guest, state) ??
        refuseStorage(storages, { storage, node, content: 'images', ...(size !== undefined && { bytes: size }) });
      if (refused) return refused;
      const reads = { config: readConfig(guest), volumes: readVolumes(node, storage, guest) };
      const volumeNow = (line: string | undefined) => propertiesOf(line ?? '').first;
      /** Of this VM before; what isn't among them is new. */
      const before = new Set(Object.values(config).map((line) => propertiesOf(line).first));
      const isNew = (line: string | undefined) =>
        line !== undefined && volumeNow(line).startsWith(`${storage}:`) && !before.has(volumeNow(line));
      return {
        summary: `give ${theGuest(guest)} ${image === undefined ? `an empty disk of ${sizeGiB} GiB` : `a disk from ${said(image)}`} as ${slot} on ${storage}`,
        state: [
          { name: 'Node', value: node },
          { name: 'State', value: state.status },
          { name: slot, value: 'not set' },
          ...(image === undefined
            ? []
            : [{ name: 'Image', value: source?.size === undefined ? image : `${image}, ${roughly(source.size)}` }]),
        ],
        affected: [],
        risks: [
          ...spaceRisks(storages, storage, size ?? 0),
          ...(image !== undefined && /(^|[:/])(vm|base)-\d+-/.test(image)
            ? ['It is a disk of a guest: what that guest writes meanwhile may be missing or torn']
            : []),
        ],
        steps: [
          {
            title: 'Add',
            call: {
              method: 'POST',
              ...guestPath(guest, '/config'),
              parameters: {
                [slot]: `${storage}:${sizeGiB ?? 0}${image === undefined ? '' : `,import-from=${image}`}${format === undefined ? '' : `,format=${format}`}`,
                ...(config.digest !== undefined && { digest: config.digest }),
              },
            },
            task: { node, id: String(guest.vmid), types: ['qmconfig'] },
            effect: effect({
              reads,
              lacks(now) {
                const line = now.config[slot];
                if (!isNew(line)) return `${slot} is ${line === undefined ? 'not set' : said(volumeNow(line))}`;
                const made = now.volumes.find(({ volid }) => volid === volumeNow(line));
                if (made === undefined) return `the storage ${storage} has no volume ${volumeNow(line)}`;
                return sizeGiB !== undefined && made.size !== undefined && made.size < sizeGiB * gibibyte
                  ? `the volume ${volumeNow(line)} has only ${roughly(made.size)}`
                  : undefined;
              },
              facts(now) {
                const volume = volumeNow(now.config[slot]);
                const made = now.volumes.find(({ volid }) => volid === volume)?.size;
                return { volume, ...(made !== undefined && { size: made }) };
              },
            }),
            undo: undoBy({
              says: 'the new disk is deleted',
              reads: { config: readConfig(guest) },
              plan(now) {
                const line = now.config[slot];
                if (!isNew(line)) return undefined;
                const volume = volumeNow(line);
                return {
                  call: {
                    method: 'PUT',
                    ...guestPath(guest, '/config'),
                    parameters: {
                      delete: slot,
                      force: true,
                      ...(now.config.digest !== undefined && { digest: now.config.digest }),
                    },
                  },
                  effect: effect({
                    reads,
                    withinSeconds: 30,
                    lacks(then) {
                      if (then.config[slot] !== undefined) return `${slot} is still there`;
                      return then.volumes.some(({ volid }) => volid === volume)
                        ? `the volume ${volume} is still there`
                        : undefined;
                    },
                  }),
                };
              },
            }),
          },
        ],
        output: { vmid: guest.vmid, node, slot, ...(sizeGiB !== undefined && { size: sizeGiB * gibibyte }) },
        done: `${TheGuest(guest)} has the disk ${slot} on ${storage}.`,
      };
    },
  },
);

function freeSlot(config: Readonly<Record<string, string>>): string | undefined {
  return Array.from({ length: 31 }, (_, at) => `scsi${at}`).find((key) => config[key] === undefined);
}
