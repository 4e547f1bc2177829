import { z } from 'zod';
import { type ApiStep, defineApiChange, effect, type Refusal, refuse } from './api-change.ts';
import { guestPath, guestTask, madeBy, marked, readConfigIfAny } from './guest-config.ts';
import { disksOf, isUsable, readStorages, roughly, spaceRisks, storageName } from './guest-disks.ts';
import { addressStep, startNewStep } from './guest-power.ts';
import { dryRun, hostName } from './inputs.ts';
import {
  bridgeName,
  cloudInitOptions,
  gatewayIp,
  guestIp,
  guestName,
  ipOptions,
  lackingOption,
  newGuestOutput,
  newVmid,
  placeOf,
  poolName,
  readBridges,
  readGuests,
  readNextId,
  readPools,
  refuseAddress,
  refuseBridge,
  refuseNew,
  sshKeys,
  tag,
  undoNew,
  undoOfNew,
  waitSeconds,
} from './new-guest.ts';
import {
  chooseStorage,
  chooseVolume,
  lackingDisks,
  readContents,
  readGuestVolumes,
  refuseFull,
  type Volumes,
  volumesIn,
} from './storages.ts';
import { guestLabel } from './target.ts';

/** A VM that works: from a cloud image with its first login and address, or from an installer's ISO. */
export const createVm = defineApiChange(
  {
    name: 'create-vm',
    title: 'Create VM',
    summary: 'Make a new VM (virtual machine) from a cloud image or an ISO, start it, wait for its address.',
    description:
      'Create (make, deploy, provision) a new VM (virtual machine, QEMU) on a host: from a cloud image (Debian, Ubuntu …: content import of a storage, see download-image) with cloud-init for user, SSH keys and address, or from the ISO of an installer. What is not given is chosen sensibly: next free number, the only fitting image and storage, 2 cores, 2 GiB, vmbr0, dhcp. Ends with a running VM and its address.',
    guide: 'qm create by hand',
    target: 'host',
    sharesHost: true,
    risk: 'change',
    exposure: 'search',
    idempotent: false,
    api: {
      reads: [
        { privilege: 'VM.Audit', on: 'guest' },
        { privilege: 'Datastore.Audit', on: 'storage' },
        { privilege: 'Pool.Audit', on: 'pool', when: 'a pool is named' },
        { privilege: 'VM.GuestAgent.Audit', on: 'guest', when: 'its address is waited for' },
      ],
      changes: [
        { privilege: 'VM.Allocate', on: 'guest' },
        { privilege: 'Datastore.AllocateSpace', on: 'storage' },
        { privilege: 'SDN.Use', on: 'network' },
        ...['Disk', 'CDROM', 'CPU', 'Memory', 'Network', 'HWType', 'Options', 'Cloudinit'].map(
          (what) => ({ privilege: `VM.Config.${what}`, on: 'guest' }) as const,
        ),
        { privilege: 'VM.PowerMgmt', on: 'guest', when: 'start' },
      ],
    },
    input: () =>
      z.object({
        host: hostName(),
        name: guestName().describe('Its name, and its host name'),
        image: z
          .string()
          .max(250)
          .regex(
            /^[A-Za-z][A-Za-z0-9._-]*:(import\/[A-Za-z0-9._+=-]+\.(qcow2|raw|vmdk)|iso\/[A-Za-z0-9._+=-]+\.(iso|ISO))$/,
            'expected a cloud image (local:import/debian-13.qcow2) or an ISO (local:iso/debian-13.iso)',
          )
          .optional()
          .describe('Volume id of a cloud image or an ISO. Default: the only cloud image that there is'),
        storage: storageName().optional().describe('For its disk. Default: the only one that can hold it'),
        diskGiB: z.int().min(1).max(65_536).default(20).describe('Size of its disk; a cloud image grows to it'),
        cores: z.int().min(1).max(512).default(2),
        memoryMiB: z.int().min(64).max(16_777_216).default(2048),
        bridge: bridgeName().default('vmbr0').describe('What its network card is on'),
        vlan: z.int().min(1).max(4094).optional().describe('VLAN of its network card'),
        ip: guestIp().default('dhcp').describe('"dhcp", or e.g. 192.0.2.10/24'),
        gateway: gatewayIp().optional().describe('With an ip of its own'),
        user: z
          .string()
          .regex(/^[a-z_][a-z0-9_-]{0,31}$/, 'expected a user name, e.g. admin')
          .optional()
          .describe('Who logs in. Default: the user of the image'),
        sshKeys: sshKeys(),
        newVmid: newVmid(),
        pool: poolName().optional(),
        tags: z.array(tag()).max(30).default([]),
        notes: z.string().max(2000).default(''),
        start: z.boolean().default(true).describe('Start it, and wait for its address'),
        waitSeconds: waitSeconds(),
        dryRun: dryRun(),
      }),
    output: () => z.object({ ...newGuestOutput(), image: z.string() }),
    steps: ['Look', 'Create', 'Resize', 'Start', 'Wait for an address'],
    undo: undoOfNew,
  },
  {
    reads: ({ node }) => ({
      next: readNextId(),
      guests: readGuests(),
      pools: readPools(),
      storages: readStorages(node),
      bridges: readBridges(node),
    }),
    more({ input: { image }, node }, { storages }) {
      const content = image?.includes(':iso/') ? 'iso' : 'import';
      return Object.fromEntries(
        storages
          .filter((one) => isUsable(one) && one.content.split(',').includes(content))
          .filter(({ storage }) => image === undefined || image.startsWith(`${storage}:`))
          .map(({ storage }) => [storage, readContents(node, storage, { content })]),
      );
    },
    plan({ input, node }, { next, guests, pools, storages, bridges }, more: Readonly<Record<string, Volumes>>) {
      const wrong =
        refuseNew(input, guests, pools) ??
        refuseAddress(input.ip, input.gateway) ??
        refuseBridge(input.bridge, bridges, node);
      if (wrong) return wrong;
      const isIso = input.image?.includes(':iso/') ?? false;
      const image = chooseVolume(Object.values(more).flat().filter(isImage), {
        named: input.image,
        what: isIso ? 'ISO' : 'cloud image',
        field: 'image',
        node,
        how: 'Load one (download-image, or Datacenter, Storage, Import), or give the volume id of an ISO.',
      });
      if ('refused' in image) return image;
      const bytes = input.diskGiB * 2 ** 30;
      const storage = chooseStorage(storages, {
        storage: input.storage,
        node,
        content: 'images',
        bytes,
      });
      if ('refused' in storage) return storage;
      const full = isIso ? undefined : refuseFull(storage, image.size);
      if (full) return full;
      const foreign = isIso ? refuseCloudInit(input) : undefined;
      if (foreign) return foreign;
      const vm = placeOf({ node, type: 'qemu', vmid: input.newVmid ?? next, name: input.name });
      const login = isIso ? {} : cloudInitOptions({ ...input, ip: input.ip });
      const network = `virtio,bridge=${input.bridge}${input.vlan === undefined ? '' : `,tag=${input.vlan}`}`;
      const steps: ApiStep[] = [
        {
          title: 'Create',
          call: {
            method: 'POST',
            template: '/nodes/*/qemu',
            values: [node],
            parameters: {
              vmid: vm.vmid,
              name: input.name,
              description: marked(input.notes),
              ...(input.tags.length === 0 ? {} : { tags: input.tags.join(';') }),
              ...(input.pool === undefined ? {} : { pool: input.pool }),
              ostype: 'l26',
              machine: 'q35',
              cpu: 'x86-64-v2-AES',
              cores: input.cores,
              memory: input.memoryMiB,
              scsihw: 'virtio-scsi-single',
              scsi0: `${storage.storage}:${isIso ? input.diskGiB : `0,import-from=${image.volid}`},discard=on,iothread=1`,
              ide2: isIso ? `${image.volid},media=cdrom` : `${storage.storage}:cloudinit`,
              // The disk first: an empty one is passed over, and after the installation it is not.
              boot: isIso ? 'order=scsi0;ide2' : 'order=scsi0',
              net0: network,
              // Cloud images write their console there, and some don't start without.
              serial0: 'socket',
              agent: 'enabled=1',
              ...login,
            },
          },
          task: guestTask(vm, { qemu: 'qmcreate', lxc: '' }),
          effect: effect({
            reads: {
              config: readConfigIfAny(vm),
              ...(readGuestVolumes(node, vm.vmid, [storage.storage]) as object),
            },
            lacks(now, run) {
              const { config } = now;
              if (Object.keys(config).length === 0) return `there is no ${guestLabel(vm)} on ${node}`;
              if (madeBy(config.description) !== run) return `the ${guestLabel(vm)} is not the one that this run made`;
              if (config.lock !== undefined) return `it is left locked (${config.lock})`;
              const lacking = lackingOption(login, config);
              if (lacking !== undefined) return `its ${lacking} is not what was set`;
              return lackingDisks(['scsi0'], disksOf('qemu', config), config, volumesIn(now));
            },
            facts: ({ config }, run) => ({
              madeBy: run,
              disks: disksOf('qemu', config).map(({ volume }) => volume),
            }),
            withinSeconds: 20,
          }),
          undo: undoNew(vm),
        },
      ];
      if (!isIso) {
        steps.push({
          title: 'Resize',
          call: {
            method: 'PUT',
            ...guestPath(vm, '/resize'),
            parameters: { disk: 'scsi0', size: `${input.diskGiB}G` },
          },
          task: { node, id: String(vm.vmid), types: ['resize'] },
          effect: effect({
            reads: { config: readConfigIfAny(vm) },
            lacks({ config }) {
              const disk = disksOf('qemu', config).find(({ key }) => key === 'scsi0');
              const { size = 0 } = disk ?? {};
              return size >= bytes ? undefined : `its disk has ${roughly(size)}, not ${input.diskGiB} GiB`;
            },
          }),
        });
      }
      const isFixed = !isIso && input.ip !== 'dhcp';
      // An installer says no address, whoever waits for it.
      const waits = input.start && !isIso && !isFixed && input.waitSeconds > 0;
      if (input.start) steps.push(startNewStep(vm));
      if (waits) steps.push(addressStep(vm, input.waitSeconds));
      return {
        summary: `make the ${guestLabel(vm)} on ${node} from ${image.volid}, with ${input.cores} cores, ${input.memoryMiB} MiB and ${input.diskGiB} GiB on ${storage.storage}${input.start ? ', and start it' : ''}`,
        state: [
          { name: 'Node', value: node },
          { name: 'New number', value: String(vm.vmid) },
          { name: 'Image', value: `${image.volid} (${roughly(image.size)})` },
          { name: 'Storage', value: storage.storage },
        ],
        affected: [],
        risks: [
          ...spaceRisks(storages, storage.storage, bytes),
          ...(!isIso && input.sshKeys.length === 0
            ? ['Without sshKeys nobody can log in over the network: cloud images have no password']
            : []),
        ],
        steps,
        output: {
          vmid: vm.vmid,
          name: input.name,
          node,
          type: 'qemu' as const,
          disks: [storage.storage],
          status: 'stopped' as const,
          image: image.volid,
          ...(input.start && isFixed ? { address: input.ip.replace(/\/.*$/, '') } : {}),
        },
        done: `The ${guestLabel(vm)} is on ${node}${input.start ? ', and runs' : ''}${isIso ? ': install it from its console' : `, with ${ipOptions(input)}`}.`,
      };
    },
  },
);

/** What an API token can import, and what stands in a property line without becoming a part of it. */
function isImage({ volid }: Volumes[number]): boolean {
  return /:(import|iso)\/[A-Za-z0-9._+=-]+\.(qcow2|raw|vmdk|iso)$/i.test(volid);
}

function refuseCloudInit(input: {
  readonly ip: string;
  readonly user?: string | undefined;
  readonly sshKeys: readonly string[];
}): Refusal | undefined {
  const field =
    input.ip !== 'dhcp' ? 'ip' : input.user !== undefined ? 'user' : input.sshKeys.length > 0 ? 'sshKeys' : undefined;
  if (field === undefined) return undefined;
  return refuse(
    'invalid-input',
    `A VM from an ISO has no cloud-init: its installer asks for address, user and keys, so ${field} can't be set`,
    'Leave it away, or give a cloud image.',
    field,
  );
}
