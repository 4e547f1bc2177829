import { z } from 'zod';
import { type ApiStep, defineApiChange, effect } from './api-change.ts';
import { guestTask, madeBy, marked, readConfigIfAny } from './guest-config.ts';
import { disksOf, isUsable, readStorages, roughly, spaceRisks, storageName } from './guest-disks.ts';
import { addressStep, startNewStep } from './guest-power.ts';
import { dryRun, hostName } from './inputs.ts';
import {
  bridgeName,
  gatewayIp,
  guestIp,
  guestName,
  ipOptions,
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
import { said } from './said.ts';
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

/** A container that works: from a template, with its network and who may log in. */
export const createContainer = defineApiChange(
  {
    name: 'create-container',
    title: 'Create container',
    summary: 'Make a new container from a template, start it, wait for its address.',
    description:
      'Create (make, deploy, provision) a new container (CT, LXC) on a host from an OS template (content vztmpl of a storage, see download-image), unprivileged unless said otherwise, with SSH keys of root and its address. What is not given is chosen sensibly: next free number, the only fitting template and storage, 1 core, 512 MiB, 8 GiB, vmbr0, dhcp. Ends with a running container and its address.',
    guide: 'pct create by hand',
    target: 'host',
    sharesHost: true,
    risk: 'change',
    exposure: 'search',
    idempotent: false,
    api: {
      reads: [
        { privilege: 'VM.Audit', on: 'guest' },
        { privilege: 'Datastore.Audit', on: 'storage' },
        // Without it Proxmox leaves the guest's volumes out of a storage's list.
        { privilege: 'VM.Config.Disk', on: 'guest' },
        { privilege: 'Pool.Audit', on: 'pool', when: 'a pool is named' },
      ],
      changes: [
        { privilege: 'VM.Allocate', on: 'guest' },
        { privilege: 'Datastore.AllocateSpace', on: 'storage' },
        { privilege: 'SDN.Use', on: 'network' },
        ...['CPU', 'Memory', 'Network', 'Options'].map(
          (what) => ({ privilege: `VM.Config.${what}`, on: 'guest' }) as const,
        ),
        { privilege: 'VM.PowerMgmt', on: 'guest', when: 'start' },
        { privilege: 'Sys.Modify', on: 'root', when: 'of a privileged container' },
      ],
    },
    input: () =>
      z.object({
        host: hostName(),
        name: guestName().describe('Its host name'),
        template: z
          .string()
          .max(250)
          .regex(
            /^[A-Za-z][A-Za-z0-9._-]*:vztmpl\/[A-Za-z0-9._+=-]+\.tar(\.(gz|xz|zst|bz2))?$/,
            'expected the volume id of a template, e.g. local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst',
          )
          .optional()
          .describe('Volume id of a container template. Default: the only one that there is'),
        storage: storageName().optional().describe('For its disk. Default: the only one that can hold it'),
        diskGiB: z.int().min(1).max(65_536).default(8),
        cores: z.int().min(1).max(8192).default(1),
        memoryMiB: z.int().min(16).max(16_777_216).default(512),
        swapMiB: z.int().min(0).max(16_777_216).default(512),
        unprivileged: z
          .boolean()
          .default(true)
          .describe('false: root in it is root on the host, which needs wide rights'),
        bridge: bridgeName().default('vmbr0').describe('What its network card is on'),
        vlan: z.int().min(1).max(4094).optional().describe('VLAN of its network card'),
        ip: guestIp().default('dhcp').describe('"dhcp", or e.g. 192.0.2.10/24'),
        gateway: gatewayIp().optional().describe('With an ip of its own'),
        sshKeys: sshKeys(),
        newVmid: newVmid(),
        pool: poolName().optional(),
        tags: z.array(tag()).max(30).default([]),
        notes: z.string().max(2000).default(''),
        start: z.boolean().default(true).describe('Start it, and wait for its address'),
        waitSeconds: waitSeconds(),
        dryRun: dryRun(),
      }),
    output: () => z.object({ ...newGuestOutput(), template: z.string() }),
    steps: ['Look', 'Create', 'Start', 'Wait for an address'],
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
    more: ({ input: { template }, node }, { storages }) =>
      Object.fromEntries(
        storages
          .filter((one) => isUsable(one) && one.content.split(',').includes('vztmpl'))
          .filter(({ storage }) => template === undefined || template.startsWith(`${storage}:`))
          .map(({ storage }) => [storage, readContents(node, storage, { content: 'vztmpl' })]),
      ),
    plan({ input, node }, { next, guests, pools, storages, bridges }, more: Readonly<Record<string, Volumes>>) {
      const wrong =
        refuseNew(input, guests, pools) ??
        refuseAddress(input.ip, input.gateway) ??
        refuseBridge(input.bridge, bridges, node);
      if (wrong) return wrong;
      const template = chooseVolume(Object.values(more).flat(), {
        named: input.template,
        what: 'container template',
        field: 'template',
        node,
        how: 'Load one (download-image, or pveam download on the node).',
      });
      if ('refused' in template) return template;
      const bytes = input.diskGiB * 2 ** 30;
      const storage = chooseStorage(storages, {
        storage: input.storage,
        node,
        content: 'rootdir',
        bytes,
      });
      if ('refused' in storage) return storage;
      const full = refuseFull(storage, template.size);
      if (full) return full;
      const container = placeOf({ node, type: 'lxc', vmid: input.newVmid ?? next, name: input.name });
      const tagged = input.vlan === undefined ? '' : `,tag=${input.vlan}`;
      const steps: ApiStep[] = [
        {
          title: 'Create',
          call: {
            method: 'POST',
            template: '/nodes/*/lxc',
            values: [node],
            parameters: {
              vmid: container.vmid,
              hostname: input.name,
              ostemplate: template.volid,
              description: marked(input.notes),
              ...(input.tags.length === 0 ? {} : { tags: input.tags.join(';') }),
              ...(input.pool === undefined ? {} : { pool: input.pool }),
              rootfs: `${storage.storage}:${input.diskGiB}`,
              cores: input.cores,
              memory: input.memoryMiB,
              swap: input.swapMiB,
              unprivileged: input.unprivileged,
              // Of an unprivileged one as Proxmox's own form has it: systemd of today wants it.
              ...(input.unprivileged ? { features: 'nesting=1' } : {}),
              net0: `name=eth0,bridge=${input.bridge}${tagged},${ipOptions(input)}`,
              ...(input.sshKeys.length === 0 ? {} : { 'ssh-public-keys': input.sshKeys.join('\n') }),
            },
          },
          task: guestTask(container, { qemu: '', lxc: 'vzcreate' }),
          effect: effect({
            reads: {
              config: readConfigIfAny(container),
              ...(readGuestVolumes(node, container.vmid, [storage.storage]) as object),
            },
            lacks(now, run) {
              const { config } = now;
              if (Object.keys(config).length === 0) return `there is no ${guestLabel(container)} on ${node}`;
              if (madeBy(config.description) !== run) {
                return `the ${guestLabel(container)} is not the one that this run made`;
              }
              if (config.lock !== undefined) return `it is left locked (${config.lock})`;
              if (input.unprivileged && config.unprivileged !== '1') return 'it is privileged, which was not asked for';
              return lackingDisks(['rootfs'], disksOf('lxc', config), config, volumesIn(now));
            },
            facts: ({ config }, run) => ({
              madeBy: run,
              disks: disksOf('lxc', config).map(({ volume }) => volume),
            }),
            withinSeconds: 20,
          }),
          undo: undoNew(container),
        },
      ];
      const isFixed = input.ip !== 'dhcp';
      if (input.start) {
        steps.push(startNewStep(container));
        if (!isFixed && input.waitSeconds > 0) steps.push(addressStep(container, input.waitSeconds));
      }
      return {
        summary: `make the ${guestLabel(container)} on ${node} from ${said(template.volid)}, with ${input.memoryMiB} MiB and ${input.diskGiB} GiB on ${storage.storage}${input.start ? ', and start it' : ''}`,
        state: [
          { name: 'Node', value: node },
          { name: 'New number', value: String(container.vmid) },
          { name: 'Template', value: `${said(template.volid)} (${roughly(template.size)})` },
          { name: 'Storage', value: storage.storage },
        ],
        affected: [],
        risks: [
          ...spaceRisks(storages, storage.storage, bytes),
          ...(input.unprivileged ? [] : ['It is privileged: who is root in it and breaks out is root on the host']),
          ...(input.sshKeys.length === 0
            ? ['Without sshKeys nobody can log in over the network: root has no password']
            : []),
        ],
        steps,
        output: {
          vmid: container.vmid,
          name: input.name,
          node,
          type: 'lxc' as const,
          disks: [storage.storage],
          status: 'stopped' as const,
          template: template.volid,
          ...(input.start && isFixed ? { address: input.ip.replace(/\/.*$/, '') } : {}),
        },
        done: `The ${guestLabel(container)} is on ${node}${input.start ? ', and runs' : ''}, with ${ipOptions(input)}.`,
      };
    },
  },
);
