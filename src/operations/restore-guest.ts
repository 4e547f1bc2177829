import { z } from 'zod';
import {
  type ApiRead,
  type ApiStep,
  apiRead,
  defineApiChange,
  effect,
  type Refusal,
  refuse,
  undoBy,
} from './api-change.ts';
import {
  type ArchivedConfig,
  backUpStep,
  backupEstimate,
  type GuestArchive,
  type GuestArchives,
  heldOf,
  readArchivedConfig,
  readArchives,
} from './guest-backup.ts';
import {
  type GuestConfig,
  type GuestState,
  guestPath,
  guestTask,
  madeBy,
  marked,
  readConfigAsItRuns,
  readConfigIfAny,
  readState,
  refuseLocked,
  refuseManaged,
  TheGuest,
  theGuest,
  withoutMark,
} from './guest-config.ts';
import {
  bytesOf,
  disksOf,
  isUsable,
  type NodeStorage,
  propertiesOf,
  readStorages,
  refuseStorage,
  roughly,
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
import {
  lostBy,
  mappedDevices,
  notRestored,
  notRestoredFindings,
  passedDisks,
  refuseRootOnly,
  refuseSizeless,
  restoredDisks,
  volumesAnew,
} from './restored-volumes.ts';
import { said, some } from './said.ts';
import { chooseStorage, lackingDisks, readGuestVolumes, refuseFull, volumesIn } from './storages.ts';
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
      const path = `/nodes/*/${type}`;
      const steps: ApiStep[] = [
        ...(isOn && old !== undefined ? [stopStep(old)] : []),
        ...(safety === undefined ? [] : [safety]),
        {
          title: 'Restore',
          call: {
            method: 'POST',
            template: path,
            values: [node],
            parameters: {
              vmid: guest.vmid,
              ...(type === 'qemu' ? { archive } : { ostemplate: archive, restore: true }),
              ...(type === 'lxc'
                ? volumesAnew(disks, into)
                : input.storage === undefined
                  ? {}
                  : { storage: input.storage }),
              ...(old === undefined
                ? {
                    unique: true,
                    onboot: false,
                    [type === 'qemu' ? 'name' : 'hostname']: name,
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
              if (madeBy(made.description) !== run)
                return `the ${guestLabel(guest)} is not the one that this run restored`;
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
          undo:
            old === undefined
              ? undoNew(guest)
              : putBack(old, { config, before, safetyStorage: input.safetyStorage ?? from, node }),
        },
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
type Over = {
  readonly input: { readonly stopFirst: boolean };
  readonly config: GuestConfig;
  readonly state: Parameters<typeof refuseLocked>[1] &
    Parameters<typeof refuseManaged>[1] & { readonly status: string };
  readonly replication: readonly { readonly id: string; readonly guest: string }[];
  readonly type: GuestPlace['type'];
  readonly of: number;
};

/** Storage, kind and guest of an archive, by its volume id. */
function archiveIn(archive: string): {
  readonly storage: string;
  readonly type: GuestPlace['type'];
  readonly vmid: number;
} {
  const [, storage = '', file, fileVmid, kind, vmidOf] =
    /^([^:]+):backup\/(?:vzdump-(qemu|lxc)-(\d+)-|(?:ns\/.+\/)?(vm|ct)\/(\d+)\/)/.exec(archive) ?? [];
  return { storage, type: file === 'lxc' || kind === 'ct' ? 'lxc' : 'qemu', vmid: Number(fileVmid ?? vmidOf) };
}

function archiveText({ volid, size, verification }: GuestArchive): string {
  return `${volid} (${roughly(size)}, ${verification?.state === 'ok' ? 'verified' : 'not verified'})`;
}

/** Proxmox would make it on `local`, whatever its size. */
function refusePassed(type: GuestPlace['type'], saved: GuestConfig, storage: string | undefined): Refusal | undefined {
  const [passed] = storage === undefined ? passedDisks(type, saved) : [];
  if (passed === undefined) return undefined;
  return refuse(
    'invalid-input',
    `The archive has ${passed}, which was a disk of the node itself (${said(propertiesOf(saved[passed] ?? '').first, 100)}), and nothing was done`,
    'Give storage: all disks are made there, that one as a volume.',
    'storage',
  );
}

function refuseArchive(
  found: GuestArchive | undefined,
  {
    archive,
    archives,
    archived,
    node,
    of,
  }: {
    readonly archive: string;
    readonly archives: GuestArchives;
    readonly archived: ArchivedConfig | undefined;
    readonly node: string;
    readonly of: number;
  },
): Refusal | undefined {
  if (found === undefined) {
    const newest = archives.toSorted((a, b) => (b.ctime ?? 0) - (a.ctime ?? 0)).slice(0, 5);
    return refuse(
      'not-found',
      `${node} has no backup ${archive} that the API token may see, and nothing was done`,
      newest.length === 0
        ? `There is none of the guest ${of} on that storage, or the API token lacks VM.Backup on the guest or Datastore.AllocateSpace on the storage.`
        : `There are: ${newest.map(({ volid }) => said(volid)).join(', ')}.`,
      'archive',
    );
  }
  if (found.verification?.state !== undefined && found.verification.state !== 'ok') {
    return refuse(
      'conflict',
      `The backup server found ${archive} damaged, and nothing was done`,
      'Take another one; the next backup uploads again what is missing.',
      'archive',
    );
  }
  if (found.size <= 1 || archived === undefined || Object.keys(archived.config).length === 0) {
    return refuse(
      'conflict',
      `The archive ${archive} is empty or not finished, or its configuration can't be read, and nothing was done`,
      'Take another one.',
      'archive',
    );
  }
  return undefined;
}

/** Why a guest can't be replaced. */
function refuseOver(guest: GuestPlace, { input, config, state, replication, type, of }: Over): Refusal | undefined {
  if (guest.type !== type || guest.vmid !== of) {
    return refuse(
      'invalid-input',
      `The archive is one of the ${type === 'qemu' ? 'VM' : 'container'} ${of}, and not of the ${guestLabel(guest)}`,
      'Restore it into new, or name the guest that it is of.',
      'vmid',
    );
  }
  const kept = refuseLocked(guest, state) ?? refuseManaged(guest, state, 'stopped and replaced');
  if (kept) return kept;
  if (config.protection === '1') {
    return refuse(
      'forbidden',
      `${TheGuest(guest)} is protected (its option protection), so it is not replaced`,
      'Ask who has protected it and why; who may decide that takes it away (configure-guest, protection 0).',
    );
  }
  if (config.template === '1') {
    return refuse(
      'conflict',
      `${TheGuest(guest)} is a template, and clones may need its disks, so it is not replaced`,
      'Restore the archive into new.',
      'into',
    );
  }
  const job = replication.find((one) => one.guest === String(guest.vmid));
  if (job !== undefined) {
    return refuse(
      'conflict',
      `${TheGuest(guest)} is replicated (${job.id}), and its copies would not fit the restored disks`,
      'Delete the replication first (change-replication), and make it anew afterwards.',
    );
  }
  if (state.status === 'running' && !input.stopFirst) {
    return refuse(
      'conflict',
      `${TheGuest(guest)} is running, so it is not replaced`,
      'Shut it down first (control-guest), or give stopFirst, which pulls its plug.',
      'stopFirst',
    );
  }
  return undefined;
}

/** The backup of what is replaced, which has to hold all of it. */
function safetyOf(
  guest: GuestPlace,
  {
    input,
    config,
    before,
    storages,
    from,
    node,
  }: {
    readonly input: { readonly safetyStorage?: string | undefined };
    readonly config: GuestConfig;
    readonly before: GuestArchives;
    readonly storages: readonly NodeStorage[];
    readonly from: string;
    readonly node: string;
  },
): ApiStep | Refusal {
  const storage = chooseStorage(storages, {
    storage: input.safetyStorage ?? from,
    node,
    content: 'backup',
    field: 'safetyStorage',
  });
  if ('refused' in storage) return storage;
  const [lost] = heldOf(guest.type, config).left;
  if (lost !== undefined) {
    return refuse(
      'conflict',
      `${TheGuest(guest)} has ${lost.key}, which ${lost.why}: the safety copy would not hold it, and nothing would bring it back`,
      'Take it into backups, detach and move it to another guest, or remove it if nobody needs it; or restore into new.',
    );
  }
  const needed = backupEstimate(config, guest.type, before, (line) => bytesOf(propertiesOf(line).rest.size ?? '') ?? 0);
  const full = before.length > 0 ? refuseFull(storage, needed, 'safetyStorage') : undefined;
  if (full) return full;
  return backUpStep(
    guest,
    {
      storage: storage.storage,
      mode: 'snapshot',
      compress: 'zstd',
      notes: 'before a restore over it',
      isProtected: true,
    },
    { config, status: 'stopped', before },
    { title: 'Safety copy', isKept: true, facts: ({ volid }) => ({ safetyCopy: volid }) },
  );
}

/** What was replaced is restored from the safety copy that this run has made. */
function putBack(
  guest: GuestPlace,
  {
    config: was,
    before,
    safetyStorage,
    node,
  }: {
    readonly config: GuestConfig;
    /** Backups that there were already. */
    readonly before: GuestArchives;
    readonly safetyStorage: string;
    readonly node: string;
  },
) {
  const reads = {
    config: readConfigIfAny(guest),
    archives: readArchives(node, safetyStorage, guest.vmid),
  };
  const disks = disksOf(guest.type, was).map(({ key }) => key);
  return undoBy({
    says: `the ${guestLabel(guest)} is restored from its safety copy`,
    reads,
    plan({ config, archives }, run) {
      // Nothing of it was touched.
      if (config.digest !== undefined && config.digest === was.digest) return undefined;
      const copy = archives.find(
        ({ notes, volid }) => madeBy(notes) === run && !before.some((one) => one.volid === volid),
      );
      // A restore that was killed keeps it, and Proxmox would refuse.
      if (copy !== undefined && config.lock === 'create') {
        return {
          effect: effect({
            reads,
            lacks: (now) =>
              now.config.lock === 'create'
                ? `the ${guestLabel(guest)} is left locked (create), as by a restore that was killed: if none runs any more, unlock it on ${node} (${guest.type === 'qemu' ? 'qm' : 'pct'} unlock ${guest.vmid}), then answer this run to put it back`
                : `the ${guestLabel(guest)} is not put back yet: answer this run once more`,
          }),
        };
      }
      if (copy === undefined) {
        return {
          effect: effect({
            reads,
            lacks: (now) =>
              now.config.digest === was.digest
                ? undefined
                : `the ${guestLabel(guest)} is not as it was, and no safety copy on ${safetyStorage} bears the name of this run (${run})`,
          }),
        };
      }
      return {
        call: {
          method: 'POST' as const,
          template: `/nodes/*/${guest.type}`,
          values: [node],
          parameters: {
            vmid: guest.vmid,
            ...(guest.type === 'qemu'
              ? { archive: copy.volid }
              : { ostemplate: copy.volid, restore: true, ...volumesAnew(disksOf('lxc', was)) }),
            force: true,
          },
        },
        task: guestTask(guest, { qemu: 'qmrestore', lxc: 'vzrestore' }),
        effect: effect({
          reads: { config: reads.config },
          lacks(now) {
            if (madeBy(now.config.description) === run) return `the ${guestLabel(guest)} is still the restored one`;
            if (now.config.lock !== undefined) return `it is left locked (${now.config.lock})`;
            const missing = disks.find((key) => now.config[key] === undefined);
            return missing === undefined ? undefined : `the ${guestLabel(guest)} lacks its disk ${missing}`;
          },
          withinSeconds: 60,
        }),
      };
    },
  });
}

/** Sets the network cards, so that what is restored doesn't meet the one that it was. */
function configureStep(guest: GuestPlace, cards: Readonly<Record<string, string>>): ApiStep {
  return {
    title: 'Configure',
    call: { method: 'PUT', ...guestPath(guest, '/config'), parameters: cards },
    effect: effect({
      reads: { config: readConfigIfAny(guest) },
      lacks({ config }) {
        const lacking = Object.entries(cards).find(([card, line]) => {
          const wanted = propertiesOf(line).rest;
          const now = propertiesOf(config[card] ?? '').rest;
          return now.link_down !== wanted.link_down || now.bridge !== wanted.bridge;
        });
        return lacking === undefined ? undefined : `its network card ${lacking[0]} is not what was set`;
      },
    }),
  };
}

/** The network cards of an archive as they are to be; none where they stay. */
function networkOf(
  type: GuestPlace['type'],
  config: GuestConfig,
  {
    network,
    bridge,
    hasNewMac,
  }: { readonly network: 'unplugged' | 'kept'; readonly bridge: string | undefined; readonly hasNewMac: boolean },
): Readonly<Record<string, string>> {
  if (network === 'kept' && bridge === undefined) return {};
  const cards = Object.entries(config).filter(([key]) => /^net\d+$/.test(key));
  return Object.fromEntries(
    cards.map(([key, line]) => {
      const parts = line
        .split(',')
        .filter(
          (part) => !part.startsWith('link_down=') && !(hasNewMac && type === 'lxc' && part.startsWith('hwaddr=')),
        )
        // Proxmox makes a new address of a card without one.
        .map((part) =>
          hasNewMac && type === 'qemu' ? part.replace(/^(\w+)=(?:[0-9A-F]{2}:){5}[0-9A-F]{2}$/i, '$1') : part,
        )
        .map((part) => (bridge !== undefined && part.startsWith('bridge=') ? `bridge=${bridge}` : part));
      return [key, [...parts, ...(network === 'unplugged' ? ['link_down=1'] : [])].join(',')];
    }),
  );
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
