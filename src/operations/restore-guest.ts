import { z } from 'zod';
import { type ApiRead, type ApiStep, type ApiUndo, apiRead, defineApiChange, effect } from './api-change.ts';
import {
  type ArchivedConfig,
  type GuestArchive,
  type GuestArchives,
  readArchivedConfig,
  readArchives,
} from './guest-backup.ts';
import {
  type GuestConfig,
  type GuestState,
  guestTask,
  madeBy,
  marked,
  readConfigAsItRuns,
  readConfigIfAny,
  readState,
  TheGuest,
  theGuest,
  withoutMark,
} from './guest-config.ts';
import {
  disksOf,
  type GuestDisk,
  isUsable,
  readStorages,
  refuseStorage,
  spaceRisks,
  storageName,
} from './guest-disks.ts';
import { answerStep, readAnswer, startNewStep, stopStep } from './guest-power.ts';
import { dryRun, hostName, vmid } from './inputs.ts';
import {
  bridgeName,
  guestName,
  newVmid,
  placeOf,
  poolName,
  readBridges,
  readGuests,
  readNextId,
  readPools,
  refuseBridge,
  refuseNew,
  undoNew,
  undoOfNew,
  waitSeconds,
} from './new-guest.ts';
import { putBack, refuseOver, safetyOf } from './replaced-guest.ts';
import { archiveIn, archiveText, refuseArchive } from './restored-archive.ts';
import { configureStep, networkOf } from './restored-network.ts';
import {
  lostBy,
  mappedDevices,
  notRestored,
  notRestoredFindings,
  refusePassed,
  refuseRootOnly,
  refuseSizeless,
  restoredDisks,
  volumesAnew,
} from './restored-volumes.ts';
import { some } from './said.ts';
import { lackingDisks, readGuestVolumes, volumesIn } from './storages.ts';
import { type GuestPlace, guestLabel } from './target.ts';

/** A guest's backup as a new guest beside the old one, or in its place. */
export const restoreGuest = defineApiChange(
  {
    name: 'restore-guest',
    title: 'Restore guest',
    summary:
      'Restore a VM or container from its backup, to a new number or over the old one, and see that it is there.',
    description:
      'Restore (bring back, recover) a VM or container from a backup: an archive of vzdump or a snapshot of a Proxmox Backup Server, by its volume id (list-backups, get_guest). into new: beside the old one, under a new number, with new MAC addresses and its network unplugged, so that nothing collides. into over: the guest vmid is replaced; what it is now is backed up first, and put back if the restore fails. Always needs an approval.',
    guide: 'qmrestore and pct restore by hand',
    target: 'host',
    mayNameGuest: true,
    sharesHost: true,
    risk: 'dangerous',
    alwaysAsks: true,
    needsDangerousCommands: { by: 'into', of: ['over'] },
    exposure: 'search',
    idempotent: false,
    api: {
      reads: [
        { privilege: 'VM.Audit', on: 'guest' },
        { privilege: 'Datastore.Audit', on: 'storage' },
        // Without it Proxmox leaves the guest's volumes out of a storage's list.
        { privilege: 'VM.Config.Disk', on: 'guest' },
        { privilege: 'Pool.Audit', on: 'pool', when: 'a pool is named' },
        { privilege: 'VM.GuestAgent.Audit', on: 'guest', when: 'an answer of the guest is waited for' },
      ],
      changes: [
        { privilege: 'VM.Backup', on: 'guest' },
        { privilege: 'VM.Allocate', on: 'guest' },
        { privilege: 'Datastore.AllocateSpace', on: 'storage' },
        { privilege: 'VM.Config.Options', on: 'guest' },
        { privilege: 'VM.Config.Network', on: 'guest', when: 'its network is not kept as it was' },
        { privilege: 'SDN.Use', on: 'network' },
        { privilege: 'VM.Config.Disk', on: 'guest', when: 'of a container: its volumes are named' },
        { privilege: 'VM.PowerMgmt', on: 'guest', when: 'start or stopFirst' },
        { privilege: 'Sys.Modify', on: 'root', when: 'of a privileged container' },
      ],
    },
    input: () =>
      z
        .object({
          host: hostName().describe('Where it is restored: a configured host; over: any host of the cluster'),
          into: z
            .enum(['new', 'over'])
            .default('new')
            .describe('new: beside what there is; over: in the place of vmid'),
          archive: z
            .string()
            .max(250)
            .regex(
              /^[A-Za-z][A-Za-z0-9._-]*:backup\/(vzdump-(qemu|lxc)-\d{3,9}-[0-9_-]+\.(vma|tar|tgz)[.a-z0-9]*|(ns\/[A-Za-z0-9._/-]+\/)?(vm|ct)\/\d{3,9}\/[0-9TZ:-]+)$/,
              'expected the volume id of a backup, e.g. local:backup/vzdump-qemu-100-2026_11_22-02_00_00.vma.zst',
            )
            .describe('Volume id of the backup, as list-backups has it'),
          vmid: vmid().optional().describe('over: the guest that is replaced'),
          newVmid: newVmid(),
          name: guestName().optional().describe("new: its name. Default: the old one's with -restored"),
          storage: storageName().optional().describe('For its disks. Default: where each of them was'),
          pool: poolName().optional().describe('new: pool for it'),
          network: z
            .enum(['unplugged', 'kept'])
            .optional()
            .describe('Its network cards. Default: unplugged for a new one, kept over the old one'),
          bridge: bridgeName()
            .optional()
            .describe('All its network cards go on this bridge instead, e.g. one of a test network'),
          start: z
            .boolean()
            .optional()
            .describe('Start it, and wait for an answer of its agent. Default: over, where it runs now'),
          waitSeconds: waitSeconds(),
          stopFirst: z.boolean().default(false).describe('over, of a guest that runs: its plug is pulled first'),
          safetyStorage: storageName()
            .optional()
            .describe('over: for the backup of what is replaced. Default: the storage of the archive'),
          bwlimitKiB: z.int().min(1).max(100_000_000).optional().describe('At most so many KiB a second'),
          dryRun: dryRun(),
        })
        .refine(({ into, vmid: over }) => (into === 'over') === (over !== undefined), {
          path: ['vmid'],
          message: 'expected the guest that is replaced with into "over", and none with into "new"',
        })
        .refine(({ into, newVmid: id, pool, name }) => into === 'new' || (id ?? pool ?? name) === undefined, {
          path: ['into'],
          message: 'expected into "new" with newVmid, name and pool: over the old one they stay as they are',
        }),
    output: () =>
      z.object({
        vmid: z.int(),
        name: z.string(),
        node: z.string(),
        type: z.enum(['qemu', 'lxc']),
        archive: z.string(),
        replaced: z.boolean(),
        disks: z.array(z.string()).describe('Its volumes; in a plan the storages that they would be on'),
        status: z.enum(['running', 'stopped']),
        answers: z.boolean().optional().describe('Whether something in it answered; absent where nobody asked'),
        safetyCopy: z.string().optional().describe('Backup of what was replaced'),
        madeBy: z.string().optional().describe('The run that its notes name; absent in a plan'),
      }),
    steps: ['Look', 'Stop', 'Safety copy', 'Restore', 'Configure', 'Start', 'Wait for an answer'],
    undo: {
      how: 'A new guest is deleted, as long as its notes name the run; what was replaced is restored from its safety copy.',
      reverse({ host }, output) {
        const { replaced, vmid: of, status, madeBy: run, safetyCopy } = output;
        if (!replaced) return undoOfNew.reverse({ host }, output);
        if (run === undefined || safetyCopy === undefined) return { why: 'It did not record a safety copy.' };
        return {
          input: { host, into: 'over', vmid: of, archive: safetyCopy, stopFirst: status === 'running' },
          expects: [
            { name: 'Made by', value: run },
            { name: 'State', value: status },
          ],
          asLongAs: 'its notes still name the run, and nobody has started or stopped it',
          remains: 'What was written in it since is in the safety copy of that run',
        };
      },
    },
  },
  {
    reads: ({ node, guest }) => ({
      next: readNextId(),
      guests: readGuests(),
      pools: readPools(),
      storages: readStorages(node),
      bridges: readBridges(node),
      ...(guest !== undefined && {
        config: readConfigAsItRuns(guest),
        state: readState(guest),
      }),
      replication: apiRead({
        template: '/cluster/replication',
        values: [],
        schema: z.array(z.object({ id: z.string(), guest: z.union([z.string(), z.number()]).transform(String) })),
        absent: [],
        absentOn: ['proxmox-permission'],
      }),
    }),
    more({ input, node, guest }, { storages, ...first }): Readonly<Record<string, ApiRead<z.ZodType<More>>>> {
      const { storage, vmid: of } = archiveIn(input.archive);
      const { state } = first as { readonly state?: GuestState };
      const isThere = (name: string) => storages.some((one) => one.storage === name && isUsable(one));
      const safety = input.safetyStorage ?? storage;
      return {
        ...(isThere(storage) && {
          archived: { ...readArchivedConfig(node, input.archive), absent: { config: {}, notes: '' } },
          archives: readArchives(node, storage, of),
        }),
        ...(guest !== undefined &&
          state?.status === 'running' && { answered: readAnswer(guest) as ApiRead<z.ZodType<More>> }),
        ...(guest !== undefined && isThere(safety) && { before: readArchives(node, safety, guest.vmid) }),
      };
    },
    plan({ input, node, guest: old }, seen, more) {
      const { next, guests, pools, storages, bridges, replication } = seen;
      // Of a new one there is nothing yet.
      const { config = {}, state = { status: 'stopped' } } = seen as {
        readonly config?: GuestConfig;
        readonly state?: GuestState;
      };
      const { archive, waitSeconds: wait } = input;
      const isOn = old !== undefined && state.status === 'running';
      const start = input.start ?? isOn;
      const { storage: from, type, vmid: of } = archiveIn(archive);
      const {
        archived,
        archives = [],
        before = [],
        answered = [],
      } = more as {
        readonly archived?: ArchivedConfig;
        readonly archives?: GuestArchives;
        readonly before?: GuestArchives;
        readonly answered?: readonly unknown[];
      };
      const found = archives.find(({ volid }) => volid === archive);
      const unfit = refuseArchive(found, { archive, archives, archived, node, of });
      if (unfit) return unfit;
      const archivedNow = archived as ArchivedConfig;
      const { config: saved, notes } = archivedNow;
      const missing = notRestored(type, archivedNow);
      const devices = mappedDevices(type, saved, config);
      const disks = restoredDisks(type, archivedNow, input.storage);
      const into = (own: string) => input.storage ?? own;
      const sizeless = refuseSizeless(type, disks, archive) ?? refusePassed(type, saved, input.storage);
      if (sizeless) return sizeless;
      for (const name of new Set(disks.map((disk) => into(disk.storage)))) {
        const bytes = sizeOn(name, disks, into);
        const full = refuseStorage(storages, {
          storage: name,
          node,
          content: type === 'qemu' ? 'images' : 'rootdir',
          bytes,
        });
        if (full) return full;
      }
      if (input.bridge !== undefined) {
        const away = refuseBridge(input.bridge, bridges, node);
        if (away) return away;
      }
      const network = input.network ?? (old === undefined ? 'unplugged' : 'kept');
      const name = input.name ?? old?.name ?? `${saved.name ?? saved.hostname ?? `guest-${of}`}-restored`;
      const guest = old ?? placeOf({ node, type, vmid: input.newVmid ?? next, name });
      const wrong =
        old === undefined
          ? refuseNew({ ...input, name }, guests, pools)
          : refuseOver(old, { input, config, state, replication, type, of });
      const beyond = wrong ?? refuseRootOnly(type, { saved, present: config, old });
      if (beyond) return beyond;

      const safety = old === undefined ? undefined : safetyOf(old, { input, config, before, storages, from, node });
      if (safety !== undefined && 'refused' in safety) return safety;
      const steps: ApiStep[] = [
        ...(isOn && old !== undefined ? [stopStep(old)] : []),
        ...(safety === undefined ? [] : [safety]),
        restoreStep(guest, {
          input: { ...input, name },
          node,
          isNew: old === undefined,
          disks,
          into,
          notes,
          undo:
            old === undefined
              ? undoNew(guest)
              : putBack(old, { config, before, safetyStorage: input.safetyStorage ?? from, node }),
        }),
      ];
      const cards = networkOf(type, saved, { network, bridge: input.bridge, hasNewMac: old === undefined });
      if (Object.keys(cards).length > 0) steps.push(configureStep(guest, cards));
      if (start) {
        steps.push(startNewStep(guest));
        if (wait > 0 && (type === 'lxc' || hasAgent(saved))) {
          steps.push(answerStep(guest, wait, { isNeeded: answered.length > 0 }));
        }
      }
      return {
        summary:
          old === undefined
            ? `restore ${archive} as the ${guestLabel(guest)} on ${node}${start ? ', and start it' : ''}`
            : `replace ${theGuest(old)} by ${archive}${start ? ', and start it' : ''}`,
        state: [
          { name: 'Node', value: node },
          { name: 'Archive', value: archiveText(found as GuestArchive) },
          { name: 'Disks', value: disks.map(({ key, storage }) => `${key} on ${into(storage)}`).join(', ') },
          ...(old === undefined
            ? [{ name: 'New number', value: String(guest.vmid) }]
            : [
                { name: 'State', value: state.status },
                { name: 'Made by', value: madeBy(config.description) ?? 'no run of this service' },
                {
                  name: 'Replaced',
                  value: disksOf(type, config)
                    .map(({ key, volume }) => `${key} ${volume}`)
                    .join(', '),
                },
              ]),
        ],
        affected: [
          ...(isOn ? [`${TheGuest(guest)} runs now, and its plug is pulled`] : []),
          ...(old === undefined
            ? []
            : [`What ${theGuest(old)} is now goes, with its snapshots; a backup of it is made first`]),
          ...(isOn && !start ? ['It runs now, and stays off afterwards'] : []),
          ...(network === 'unplugged' ? ['Its network cards are unplugged: plug them in when it may be seen'] : []),
        ],
        risks: [
          ...[...new Set(disks.map((disk) => into(disk.storage)))].flatMap((one) =>
            spaceRisks(storages, one, sizeOn(one, disks, into)),
          ),
          ...(found?.verification?.state === undefined ? ['Nobody has verified this archive'] : []),
          ...(type === 'lxc' && saved.unprivileged !== '1'
            ? ['It is a privileged container: its root is root of the node']
            : []),
          ...(start && network === 'kept' && old === undefined
            ? ['It comes up with the addresses and services of the old one']
            : []),
          ...missing,
          ...(old === undefined
            ? []
            : [
                'What was written in it since the archive is only in the safety copy',
                ...lostBy(old, config, archivedNow),
              ]),
          ...(devices.length === 0
            ? []
            : [
                `It has mapped devices (${some(devices)}): without Mapping.Use on them the API token can neither restore it nor put it back`,
              ]),
        ],
        steps,
        undo:
          old === undefined
            ? []
            : [
                'Its snapshots are gone for good, also where it is put back; a disk that only the restored one had stays with it, unused',
                'The safety copy stays, and is protected: remove it when nobody needs it',
              ],
        output: {
          vmid: guest.vmid,
          name,
          node,
          type,
          archive,
          replaced: old !== undefined,
          disks: disks.map((disk) => into(disk.storage)),
          status: 'stopped' as const,
        },
        done: `The ${guestLabel(guest)} on ${node} is restored from ${archive}${start ? ', and runs' : ''}.`,
        findings: [
          ...notRestoredFindings(missing),
          ...(start && wait > 0 && type === 'qemu' && !hasAgent(saved)
            ? [{ check: 'Answer', verdict: 'skipped' as const, summary: 'It has no guest agent that could answer' }]
            : []),
          ...(isOn && !start
            ? [{ check: 'State', verdict: 'skipped' as const, summary: 'It ran before, and is left off as was asked' }]
            : []),
        ],
      };
    },
  },
);

type More = ArchivedConfig | GuestArchives | readonly unknown[];

/** Makes it of the archive, and sees that it is that one, whole and with all its disks. */
function restoreStep(
  guest: GuestPlace,
  {
    input,
    node,
    isNew,
    disks,
    into,
    notes,
    undo,
  }: {
    readonly input: {
      readonly archive: string;
      readonly name: string;
      readonly storage?: string | undefined;
      readonly pool?: string | undefined;
      readonly bwlimitKiB?: number | undefined;
    };
    readonly node: string;
    readonly isNew: boolean;
    readonly disks: readonly GuestDisk[];
    /** Where a disk goes that was on that storage. */
    readonly into: (own: string) => string;
    readonly notes: string;
    readonly undo: ApiUndo;
  },
): ApiStep {
  const { type } = guest;
  return {
    title: 'Restore',
    call: {
      method: 'POST',
      template: `/nodes/*/${type}`,
      values: [node],
      parameters: {
        vmid: guest.vmid,
        ...(type === 'qemu' ? { archive: input.archive } : { ostemplate: input.archive, restore: true }),
        ...(type === 'lxc' ? volumesAnew(disks, into) : input.storage === undefined ? {} : { storage: input.storage }),
        ...(isNew
          ? {
              unique: true,
              onboot: false,
              [type === 'qemu' ? 'name' : 'hostname']: input.name,
              ...(input.pool === undefined ? {} : { pool: input.pool }),
            }
          : { force: true }),
        description: marked(withoutMark(notes)),
        ...(input.bwlimitKiB === undefined ? {} : { bwlimit: input.bwlimitKiB }),
      },
    },
    task: guestTask(guest, { qemu: 'qmrestore', lxc: 'vzrestore' }),
    effect: effect({
      reads: {
        config: readConfigIfAny(guest),
        ...(readGuestVolumes(
          node,
          guest.vmid,
          disks.map((disk) => into(disk.storage)),
        ) as object),
      },
      lacks(now, run) {
        const { config: made } = now;
        const options = Object.keys(made).filter((key) => key !== 'digest');
        if (options.length === 0) return `there is no ${guestLabel(guest)} on ${node}, or it is empty`;
        if (madeBy(made.description) !== run) return `the ${guestLabel(guest)} is not the one that this run restored`;
        if (made.lock !== undefined) return `it is left locked (${made.lock})`;
        const wanted = disks.map(({ key }) => key);
        return lackingDisks(wanted, disksOf(type, made), made, volumesIn(now));
      },
      facts: ({ config: made }, run) => ({
        madeBy: run,
        status: 'stopped',
        disks: disksOf(type, made).map(({ volume }) => volume),
      }),
      withinSeconds: 20,
    }),
    undo,
  };
}

function sizeOn(
  name: string,
  disks: readonly { readonly storage: string; readonly size?: number }[],
  into: (own: string) => string,
): number {
  return disks.filter((disk) => into(disk.storage) === name).reduce((sum, { size = 0 }) => sum + size, 0);
}

function hasAgent({ agent = '' }: GuestConfig): boolean {
  return /^(1|enabled=1)\b/.test(agent);
}
