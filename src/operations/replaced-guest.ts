import { type ApiStep, effect, type Refusal, refuse, undoBy } from './api-change.ts';
import { backUpStep, backupEstimate, type GuestArchives, heldOf, readArchives } from './guest-backup.ts';
import {
  type GuestConfig,
  guestTask,
  madeBy,
  readConfigIfAny,
  refuseLocked,
  refuseManaged,
  TheGuest,
} from './guest-config.ts';
import { bytesOf, disksOf, type NodeStorage, propertiesOf } from './guest-disks.ts';
import { volumesAnew } from './restored-volumes.ts';
import { chooseStorage, refuseFull } from './storages.ts';
import { type GuestPlace, guestLabel } from './target.ts';

// The guest that a restore replaces: whether it may be, the copy of it that is made first, and how it is put back.

/** Why a guest can't be replaced. */
export function refuseOver(
  guest: GuestPlace,
  {
    input,
    config,
    state,
    replication,
    type,
    of,
  }: {
    readonly input: { readonly stopFirst: boolean };
    readonly config: GuestConfig;
    readonly state: Parameters<typeof refuseLocked>[1] &
      Parameters<typeof refuseManaged>[1] & { readonly status: string };
    readonly replication: readonly { readonly id: string; readonly guest: string }[];
    /** Kind of the guest that the archive is of. */
    readonly type: GuestPlace['type'];
    /** Number of the guest that the archive is of. */
    readonly of: number;
  },
): Refusal | undefined {
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
export function safetyOf(
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
export function putBack(
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
