import { z } from 'zod';
import { type ApiStep, apiRead, defineApiChange, effect, refuse } from './api-change.ts';
import { nodeName, readNodes, refuseNode } from './cluster-places.ts';
import {
  guestConfig,
  guestPath,
  guestTask,
  madeBy,
  marked,
  readConfigIfAny,
  readSnapshots,
  readState,
  refuseLocked,
  refuseMissing,
  TheGuest,
  theGuest,
  withoutMark,
} from './guest-config.ts';
import { disksOf, isCloudInit, readStorages, refuseStorage, spaceRisks, storageName } from './guest-disks.ts';
import { addressStep, startNewStep } from './guest-power.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';
import {
  cloudInitOptions,
  gatewayIp,
  guestIp,
  guestName,
  lackingOption,
  newGuestOutput,
  newVmid,
  placeOf,
  poolName,
  readGuests,
  readNextId,
  readPools,
  refuseAddress,
  refuseNew,
  sshKeys,
  undoNew,
  undoOfNew,
  waitSeconds,
} from './new-guest.ts';
import { snapshotName } from './snapshot-guest.ts';
import { lackingDisks, readGuestVolumes, volumesIn } from './storages.ts';
import { guestLabel } from './target.ts';

/** A copy of a guest or of a template, its first login and its start in one run. */
export const cloneGuest = defineApiChange(
  {
    name: 'clone-guest',
    title: 'Clone guest',
    summary: 'Copy a VM, container or template to a new guest, set its first login, start it, wait for its address.',
    description:
      'Clone (copy, duplicate, deploy from a template) a VM or container: linked, where the source is a template (quick, shares its disks), or full. Optional: another node, storage, pool, a snapshot as the source; of a VM with cloud-init its address, user and SSH keys; then start it and wait for its address. The new guest bears the run in its notes: a clone that fails is deleted by that only.',
    guide: 'qm clone and pct clone by hand',
    target: 'guest',
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
        { privilege: 'VM.GuestAgent.Audit', on: 'guest', when: 'the address of a VM is waited for' },
      ],
      changes: [
        { privilege: 'VM.Clone', on: 'guest' },
        { privilege: 'VM.Allocate', on: 'guest' },
        { privilege: 'Datastore.AllocateSpace', on: 'storage' },
        { privilege: 'SDN.Use', on: 'network' },
        { privilege: 'VM.Config.Cloudinit', on: 'guest', when: 'address, user or keys are given' },
        { privilege: 'VM.Config.Network', on: 'guest', when: 'an address is given' },
        { privilege: 'VM.PowerMgmt', on: 'guest', when: 'start' },
      ],
    },
    input: () =>
      z.object({
        host: hostOfCluster(),
        vmid: vmid().describe('Number of the guest or template that is copied'),
        name: guestName().describe('Name of the new guest'),
        newVmid: newVmid(),
        full: z
          .boolean()
          .optional()
          .describe('true: with disks of its own; false: linked to its template. Default: linked, where that can be'),
        targetNode: nodeName().optional().describe('Default: the same; another one only with shared storage'),
        storage: storageName().optional().describe('For the disks of a full clone. Default: as the source'),
        snapshot: snapshotName().optional().describe('Of the source, instead of its present state'),
        pool: poolName().optional().describe('Pool for the new guest'),
        notes: z.string().max(2000).optional().describe('Default: those of the source'),
        ip: guestIp().optional().describe('cloud-init: "dhcp", or e.g. 192.0.2.10/24'),
        gateway: gatewayIp().optional().describe('cloud-init: with an ip of its own'),
        user: z
          .string()
          .regex(/^[a-z_][a-z0-9_-]{0,31}$/, 'expected a user name, e.g. admin')
          .optional()
          .describe('cloud-init: who logs in'),
        sshKeys: sshKeys(),
        start: z.boolean().default(false).describe('Start it, and wait for its address'),
        waitSeconds: waitSeconds(),
        dryRun: dryRun(),
      }),
    output: () => z.object({ ...newGuestOutput(), from: z.int(), linked: z.boolean() }),
    steps: ['Look', 'Clone', 'Configure', 'Start', 'Wait for an address'],
    undo: undoOfNew,
  },
  {
    reads: ({ guest, node, input: { targetNode, snapshot } }) => ({
      state: readState(guest),
      config: apiRead({
        ...guestPath(guest, '/config'),
        ...(snapshot === undefined ? {} : { parameters: { snapshot }, absent: {} }),
        schema: guestConfig(),
      }),
      snapshots: readSnapshots(guest),
      next: readNextId(),
      guests: readGuests(),
      nodes: readNodes(),
      pools: readPools(),
      // Of a node that is away there are none; which that is, is said of the node itself.
      storages: {
        ...readStorages(targetNode ?? node),
        absent: [],
        absentOn: ['proxmox-unavailable', 'timeout'] as const,
      },
    }),
    plan({ input, guest, node }, { state, config, snapshots, next, guests, nodes, pools, storages }) {
      const { targetNode = node, snapshot, storage, start } = input;
      const locked = refuseLocked(guest, state);
      if (locked) return locked;
      const names = snapshots.map(({ name }) => name).filter((name) => name !== 'current');
      if (snapshot !== undefined && !names.includes(snapshot)) {
        return refuseMissing(`snapshot "${snapshot}" of the ${guestLabel(guest)}`, 'snapshot', names);
      }
      const away = refuseNode(nodes, targetNode, 'targetNode');
      if (away) return away;
      const wrong = refuseNew(input, guests, pools) ?? refuseAddress(input.ip, input.gateway);
      if (wrong) return wrong;
      const isTemplate = state.template === 1 || config.template === '1';
      const linked = input.full === undefined ? isTemplate && storage === undefined : !input.full;
      if (linked && !isTemplate) {
        return refuse(
          'conflict',
          `${TheGuest(guest)} is no template, so nothing can be linked to it`,
          'Leave full away or give full: true; or make it a template first (convert-to-template).',
          'full',
        );
      }
      if (linked && storage !== undefined) {
        return refuse(
          'invalid-input',
          'A linked clone shares the disks of its template, so it has no storage of its own',
          'Leave storage away, or give full: true.',
          'storage',
        );
      }
      if (guest.type === 'lxc' && state.status === 'running' && snapshot === undefined) {
        return refuse(
          'conflict',
          `${TheGuest(guest)} is running, and a running container is only copied from a snapshot`,
          `Shut it down (control-guest), or give the name of a snapshot${names.length === 0 ? ' (snapshot-guest)' : `: ${names.join(', ')}`}.`,
          'snapshot',
        );
      }
      const disks = disksOf(guest.type, config);
      const login = cloudInitOptions(input);
      if (Object.keys(login).length > 0 && !disks.some(({ line }) => isCloudInit(line))) {
        const field = input.ip !== undefined ? 'ip' : input.user !== undefined ? 'user' : 'sshKeys';
        return refuse(
          'conflict',
          guest.type === 'lxc'
            ? `${TheGuest(guest)} is a container, which has no cloud-init: its address and keys are the source's own`
            : `${TheGuest(guest)} has no cloud-init drive, so address, user and keys can't be set that way`,
          'Leave ip, user and sshKeys away, or clone a template that has a cloud-init drive.',
          field,
        );
      }
      const into = (own: string) => storage ?? own;
      const risks: string[] = [];
      for (const name of new Set(disks.map((disk) => into(disk.storage)))) {
        const bytes = disks.filter((disk) => into(disk.storage) === name).reduce((sum, { size = 0 }) => sum + size, 0);
        const unfit = refuseStorage(storages, {
          storage: name,
          node: targetNode,
          content: guest.type === 'qemu' ? 'images' : 'rootdir',
          bytes: linked ? 0 : bytes,
          field: storage === undefined ? 'targetNode' : 'storage',
        });
        if (unfit) return unfit;
        if (!linked) risks.push(...spaceRisks(storages, name, bytes));
      }
      const own = disks.find((disk) => !storages.some((one) => one.storage === disk.storage && one.shared === 1));
      if (targetNode !== node && own !== undefined) {
        return refuse(
          'conflict',
          `${TheGuest(guest)} has its disk ${own.key} on ${own.storage}, which only ${node} has, so it can't be cloned to ${targetNode}`,
          'Clone it on its own node, and migrate the clone afterwards (migrate-guest).',
          'targetNode',
        );
      }
      const copy = placeOf({ node: targetNode, type: guest.type, vmid: input.newVmid ?? next, name: input.name });
      const options = disks.map(({ key }) => key);
      const stored = disks.filter(({ line }) => !isCloudInit(line));
      const steps: ApiStep[] = [
        {
          title: 'Clone',
          call: {
            method: 'POST',
            ...guestPath(guest, '/clone'),
            parameters: {
              newid: copy.vmid,
              [guest.type === 'qemu' ? 'name' : 'hostname']: input.name,
              description: marked(input.notes ?? withoutMark(config.description ?? '')),
              full: !linked,
              ...(targetNode === node ? {} : { target: targetNode }),
              ...(storage === undefined ? {} : { storage }),
              ...(snapshot === undefined ? {} : { snapname: snapshot }),
              ...(input.pool === undefined ? {} : { pool: input.pool }),
            },
          },
          task: guestTask(guest, { qemu: 'qmclone', lxc: 'vzclone' }),
          effect: effect({
            reads: {
              config: readConfigIfAny(copy),
              ...(readGuestVolumes(
                targetNode,
                copy.vmid,
                stored.map((disk) => into(disk.storage)),
              ) as object),
            },
            lacks(now, run) {
              const { config: made } = now;
              if (Object.keys(made).length === 0) return `there is no ${guestLabel(copy)} on ${targetNode}`;
              if (madeBy(made.description) !== run) return `the ${guestLabel(copy)} is not the one that this run made`;
              if (made.lock !== undefined) return `it is left locked (${made.lock})`;
              const there = [
                ...volumesIn(now),
                // What cloud-init reads is made anew at each start.
                ...disksOf(copy.type, made).flatMap(({ line, volume }) => (isCloudInit(line) ? [volume] : [])),
              ];
              return lackingDisks(options, disksOf(copy.type, made), made, there);
            },
            facts: ({ config: made }, run) => ({
              madeBy: run,
              disks: disksOf(copy.type, made).map(({ volume }) => volume),
            }),
            withinSeconds: 20,
          }),
          undo: undoNew(copy),
        },
      ];
      if (Object.keys(login).length > 0) {
        steps.push({
          title: 'Configure',
          call: { method: 'PUT', ...guestPath(copy, '/config'), parameters: login },
          effect: effect({
            reads: { config: readConfigIfAny(copy) },
            lacks(now) {
              const lacking = lackingOption(login, now.config);
              return lacking === undefined ? undefined : `its ${lacking} is not what was set`;
            },
          }),
        });
      }
      const isFixed = input.ip !== undefined && input.ip !== 'dhcp';
      if (start) {
        steps.push(startNewStep(copy));
        if (!isFixed && input.waitSeconds > 0) steps.push(addressStep(copy, input.waitSeconds));
      }
      return {
        summary: `clone ${theGuest(guest)} ${linked ? 'linked' : 'with disks of its own'} to ${guestLabel(copy)}${targetNode === node ? '' : ` on ${targetNode}`}${start ? ', and start it' : ''}`,
        state: [
          { name: 'State', value: state.status },
          { name: 'Node', value: node },
          { name: 'Template', value: isTemplate ? 'yes' : 'no' },
          { name: 'Disks', value: disks.map(({ key, volume }) => `${key} ${volume}`).join(', ') || 'none' },
          { name: 'New number', value: String(copy.vmid) },
        ],
        affected: [
          ...(state.status === 'running'
            ? [`${TheGuest(guest)} runs meanwhile: the copy is as after a power cut`]
            : []),
          ...(linked ? [`${TheGuest(guest)} can't be deleted as long as the clone is there`] : []),
        ],
        risks: [
          ...risks,
          ...(guest.type === 'lxc' || !disks.some(({ line }) => isCloudInit(line))
            ? ['The copy has the host keys, machine id and fixed addresses of its source']
            : []),
        ],
        steps,
        output: {
          vmid: copy.vmid,
          name: input.name,
          node: targetNode,
          type: guest.type,
          disks: stored.map((disk) => into(disk.storage)),
          status: 'stopped' as const,
          from: guest.vmid,
          linked,
          ...(start && isFixed ? { address: input.ip?.replace(/\/.*$/, '') } : {}),
        },
        done: `The ${guestLabel(copy)} on ${targetNode} is a ${linked ? 'linked' : 'full'} clone of the ${guestLabel(guest)}${start ? ', and runs' : ''}.`,
      };
    },
  },
);
