import { z } from 'zod';
import { apiRead, defineApiChange, effect, refuse } from './api-change.ts';
import {
  type GuestConfig,
  guestPath,
  guestTask,
  madeBy,
  readConfig,
  readConfigIfAny,
  readSnapshots,
  readState,
  refuseLocked,
  TheGuest,
  theGuest,
} from './guest-config.ts';
import { disksOf, type GuestDisk, isUsable, readStorages, roughly, unusedOf } from './guest-disks.ts';
import { stopStep } from './guest-power.ts';
import { dryRun, hostOfCluster, vmid } from './inputs.ts';
import { said } from './said.ts';
import { readContentsAround, readGuestVolumes, volumesIn } from './storages.ts';
import { type GuestPlace, guestLabel } from './target.ts';

/** Those that it doesn't use, too. */
function ownDisks(type: GuestPlace['type'], config: GuestConfig): readonly GuestDisk[] {
  return [...disksOf(type, config), ...unusedOf(config)];
}

const ids = () => z.union([z.string(), z.number()]).transform(String);

/** A guest with all that is its own; its backups stay. */
export const deleteGuest = defineApiChange(
  {
    name: 'delete-guest',
    title: 'Delete guest',
    summary: 'Delete (destroy) a VM or container with its disks and snapshots, for good, and see that it is gone.',
    description:
      'Delete (destroy, remove, purge) a VM or container for good: its disks, its snapshots, and its place in backup jobs, HA, replication, pools and the firewall. The plan names all that goes and the backups that stay. A guest with protection is refused; one that runs is too, unless stopFirst. Nothing brings it back but a backup.',
    guide: 'qm destroy and pct destroy by hand',
    target: 'guest',
    risk: 'dangerous',
    needsDangerousCommands: true,
    exposure: 'search',
    idempotent: false,
    api: {
      reads: [
        { privilege: 'VM.Audit', on: 'guest' },
        { privilege: 'Datastore.Audit', on: 'storage' },
        // Without it Proxmox leaves the guest's volumes out of a storage's list.
        { privilege: 'VM.Config.Disk', on: 'guest' },
        { privilege: 'Sys.Audit', on: 'root', when: 'the plan is to name backup jobs and to look for a quorum' },
      ],
      changes: [
        { privilege: 'VM.Allocate', on: 'guest' },
        { privilege: 'VM.PowerMgmt', on: 'guest', when: 'stopFirst' },
      ],
    },
    input: () =>
      z.object({
        host: hostOfCluster(),
        vmid: vmid(),
        stopFirst: z.boolean().default(false).describe('Of one that runs: its plug is pulled first'),
        dryRun: dryRun(),
      }),
    output: () =>
      z.object({
        vmid: z.int(),
        name: z.string(),
        node: z.string(),
        type: z.enum(['qemu', 'lxc']),
        disks: z.array(z.string()).describe('Volumes that are gone'),
        snapshots: z.array(z.string()).describe('Snapshots that are gone'),
        backups: z.array(z.string()).describe('Backups that stay'),
      }),
    steps: ['Look', 'Stop', 'Delete'],
    undo: {
      how: 'Not at all; a backup of the guest can be restored.',
      reverse: (_, { vmid: of, backups }) => ({
        why: `The guest ${of} is gone for good. ${
          backups.length === 0
            ? 'There is no backup of it that is known here.'
            : `Its backups stay: ${backups.slice(0, 3).join(', ')}.`
        }`,
      }),
    },
  },
  {
    reads: ({ guest, node }) => ({
      state: readState(guest),
      config: readConfig(guest),
      snapshots: readSnapshots(guest),
      storages: readStorages(node),
      jobs: apiRead({
        template: '/cluster/backup',
        values: [],
        schema: z.array(z.object({ id: z.string(), vmid: ids().optional() })),
        absent: [],
        absentOn: ['proxmox-permission'],
      }),
      replication: apiRead({
        template: '/cluster/replication',
        values: [],
        schema: z.array(z.object({ id: z.string(), guest: ids(), target: z.string().optional() })),
        absent: [],
        absentOn: ['proxmox-permission'],
      }),
      rules: apiRead({
        ...guestPath(guest, '/firewall/rules'),
        schema: z.array(z.object({ pos: z.number() })),
        absent: [],
        absentOn: ['proxmox-permission'],
      }),
      cluster: apiRead({
        template: '/cluster/status',
        values: [],
        schema: z.array(z.object({ type: z.string(), quorate: z.number().optional() })),
        absent: [],
        absentOn: ['proxmox-permission'],
      }),
    }),
    more({ guest, node }, { config, storages }) {
      const own = new Set(ownDisks(guest.type, config).map(({ storage }) => storage));
      return Object.fromEntries(
        storages
          .filter((one) => isUsable(one) && (own.has(one.storage) || one.content.includes('backup')))
          .map(({ storage }) => [
            storage,
            {
              ...readContentsAround(node, storage, guest.vmid, {
                withClones: config.template === '1' && own.has(storage),
              }),
              // Backups that the API token may not see are only not named.
              ...(own.has(storage)
                ? {}
                : { absent: [], absentOn: ['proxmox-permission', 'proxmox-unavailable', 'timeout'] as const }),
            },
          ]),
      );
    },
    plan({ input, guest, node }, { state, config, snapshots, storages, jobs, replication, rules, cluster }, more) {
      const locked = refuseLocked(guest, state);
      if (locked) return locked;
      if (config.protection === '1') {
        return refuse(
          'forbidden',
          `${TheGuest(guest)} is protected (its option protection), so it is not deleted`,
          'Ask who has protected it and why. Who may decide that takes the protection away (configure-guest, protection 0), and then starts this again.',
        );
      }
      if (cluster.some(({ type, quorate }) => type === 'cluster' && quorate === 0)) {
        return refuse(
          'conflict',
          `The cluster of ${theGuest(guest)} has no quorum: its disks would go and its configuration would stay`,
          'Bring the other nodes back (pvecm status), then start it again.',
        );
      }
      const isOn = state.status === 'running';
      if (isOn && !input.stopFirst) {
        return refuse(
          'conflict',
          `${TheGuest(guest)} is running, so it is not deleted`,
          'Shut it down first (control-guest), or give stopFirst, which pulls its plug.',
          'stopFirst',
        );
      }
      const disks = ownDisks(guest.type, config);
      const away = disks.find(({ storage }) => !storages.some((one) => one.storage === storage && isUsable(one)));
      if (away !== undefined) {
        return refuse(
          'conflict',
          `${TheGuest(guest)} has a disk on ${away.storage} (${away.key}), which is not active on ${node} or which the API token may not see`,
          'Bring the storage back, or give the API token Datastore.Audit on it: else the disk would stay behind.',
        );
      }
      const volumes = Object.values(more).flat();
      const clones = volumes.filter((one) => one.content !== 'backup' && one.vmid !== guest.vmid);
      if (clones.length > 0) {
        const of = [...new Set(clones.map((one) => one.vmid))].join(', ');
        return refuse(
          'conflict',
          `${TheGuest(guest)} is a template from which linked clones are made, which need its disks: ${of}`,
          'Delete those first, or give them disks of their own (move-disk).',
        );
      }
      const backups = volumes
        .filter(({ content }) => content === 'backup')
        .toSorted((a, b) => (b.ctime ?? 0) - (a.ctime ?? 0));
      const names = snapshots.map(({ name }) => name).filter((name) => name !== 'current');
      const inJobs = jobs.filter(({ vmid: list }) => list?.split(',').includes(String(guest.vmid)));
      const replicated = replication.filter((one) => one.guest === String(guest.vmid));
      const sizeOf = ({ volume, size }: GuestDisk) => {
        const found = volumes.find(({ volid }) => volid === volume)?.size;
        return found || size ? roughly(found || size || 0) : 'size unknown';
      };
      const readVolumesNow = readGuestVolumes(
        node,
        guest.vmid,
        disks.map(({ storage }) => storage),
      );
      return {
        summary: `delete ${theGuest(guest)} for good, with ${disks.length} disks and ${names.length} snapshots`,
        state: [
          { name: 'State', value: state.status },
          { name: 'Node', value: node },
          { name: 'Made by', value: madeBy(config.description) ?? 'no run of this service' },
          { name: 'Disks', value: disks.map(({ key, volume }) => `${key} ${volume}`).join(', ') || 'none' },
          { name: 'Snapshots', value: names.join(', ') || 'none' },
        ],
        affected: [
          ...(isOn ? [`${TheGuest(guest)} runs now, and its plug is pulled`] : []),
          ...disks.map((disk) => `The disk ${disk.key} goes: ${disk.volume} (${sizeOf(disk)})`),
          ...(names.length === 0 ? [] : [`Its snapshots go: ${names.join(', ')}`]),
          ...inJobs.map(({ id }) => `The backup job ${said(id, 60)} names it, and forgets it`),
          ...(state.ha?.managed === 1 ? ['The HA stack manages it, and forgets it'] : []),
          ...replicated.map(
            ({ id, target }) => `The replication job ${id}${target ? ` to ${target}` : ''} goes, with its copy`,
          ),
          ...(rules.length === 0 ? [] : [`Its ${rules.length} firewall rules go`]),
          ...(guest.pool === undefined ? [] : [`It leaves the pool ${guest.pool}`]),
          ...(config.description?.trim() ? [`Its notes go: ${said(config.description, 200)}`] : []),
          ...backups.slice(0, 10).map(({ volid }) => `Its backup stays: ${said(volid)}`),
          ...(backups.length > 10 ? [`${backups.length - 10} more backups stay`] : []),
        ],
        risks: [
          ...disks
            .filter(({ volume }) => !volumes.some(({ volid }) => volid === volume))
            .map(
              ({ volume }) =>
                `The API token does not see ${volume} (VM.Config.Disk on the guest), or it is gone already: that it goes can't be looked at`,
            ),
          ...(backups.length === 0 ? ['No backup of it is known here: nothing brings it back'] : []),
          'Rights that were given on it alone are gone, and whoever gets its number next starts without them',
        ],
        steps: [
          ...(isOn ? [stopStep(guest)] : []),
          {
            title: 'Delete',
            call: { method: 'DELETE', ...guestPath(guest, ''), parameters: { purge: true } },
            task: guestTask(guest, { qemu: 'qmdestroy', lxc: 'vzdestroy' }),
            effect: effect({
              reads: {
                config: readConfigIfAny(guest),
                guests: apiRead({
                  template: '/cluster/resources',
                  values: [],
                  parameters: { type: 'vm' },
                  schema: z.array(z.object({ vmid: z.number().optional() })),
                }),
                ...(readVolumesNow as object),
              },
              lacks(now) {
                if (Object.keys(now.config).length > 0) return `the ${guestLabel(guest)} still has a configuration`;
                if (now.guests.some((one) => one.vmid === guest.vmid))
                  return `the ${guestLabel(guest)} is still listed`;
                const there = volumesIn(now);
                const left = disks.find(({ volume }) => there.includes(volume));
                return left === undefined ? undefined : `its disk ${left.volume} is still there`;
              },
              withinSeconds: 30,
            }),
          },
        ],
        undo: ['What is deleted does not come back; a backup can be restored'],
        output: {
          vmid: guest.vmid,
          name: guest.name,
          node,
          type: guest.type,
          disks: disks.map(({ volume }) => volume),
          snapshots: names,
          backups: backups.slice(0, 50).map(({ volid }) => volid),
        },
        done: `${TheGuest(guest)} is gone, and so ${disks.length === 1 ? 'is its disk' : `are its ${disks.length} disks`}.`,
      };
    },
  },
);
