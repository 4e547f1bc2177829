import { randomUUID } from 'node:crypto';
import { ApiFailure } from '../answer.ts';
import type { Call } from '../router.ts';
import type { SimulatedGuest } from '../state.ts';
import type { TaskHandle } from '../tasks.ts';
import { atOnce, found, type GuestType, nodeOf, requireAll, words } from './asked-guest.ts';
import {
  disksOf,
  type GuestConfig,
  isCdrom,
  isCloudInit,
  isDiskOption,
  readConfig,
  setOption,
} from './configuration.ts';
import { existing, mayAllocate, reserve } from './create.ts';
import { normalized } from './disks.ts';
import { assertUnlocked, takeTime, withLockFile } from './guest-tasks.ts';
import {
  allocate,
  canSnapshot,
  formatSize,
  free,
  newMac,
  parseProperties,
  printProperties,
  type SimulatedVolume,
  storageOf,
  usableStorage,
  volumeAt,
} from './volumes.ts';

/** What a clone doesn't take from its origin. */
const notCopied =
  /^(lock|parent|vmstate|template|unused\d+|snapshots|protection|smbios1|vmgenid|name|hostname|description)$/;

/** POST …/clone: a whole copy, or of a template one that only keeps what differs. */
export function cloneGuest(call: Call, type: GuestType): string {
  const { state, parameters, permissions } = call;
  const { name, prefix } = words[type];
  const origin = found(call, type);
  const newid = Number(parameters.newid);
  const node = nodeOf(call);
  if (!state.cluster.quorate) throw new ApiFailure(500, 'cluster not ready - no quorum?');
  if (!origin)
    throw new ApiFailure(500, `unable to find configuration file for ${name} ${parameters.vmid} on node '${node}'`);
  requireAll(call, `/vms/${origin.vmid}`, 'VM.Clone');
  mayAllocate({ permissions, parameters }, newid);
  const target = String(parameters.target ?? node);
  if (!state.nodes.has(target)) throw new ApiFailure(500, `no such cluster node '${target}'`);
  const full = parameters.full === undefined ? !origin.template : Boolean(parameters.full);
  const source = atOnce(() => sourceOf(origin, parameters.snapname));
  const disks = disksOf(type, source).filter(({ option }) => !option.startsWith('unused'));
  atOnce(() => {
    assertUnlocked(origin);
    if (!full && (parameters.storage !== undefined || parameters.format !== undefined)) {
      throw new Error(
        `parameter '${parameters.storage === undefined ? 'format' : 'storage'}' not allowed for linked clones`,
      );
    }
    const isLocal = disks.some(
      ({ volid }) => !state.storages.some((one) => one.storage === storageOf(volid) && one.shared),
    );
    if (target !== node && isLocal)
      throw new Error(`can't clone ${name} to node '${target}' (${name} uses local storage)`);
    const present = state.guests.get(newid);
    if (present)
      throw new Error(type === 'qemu' ? `unable to create VM ${newid}: config file already exists` : existing(present));
    if (type === 'lxc' && full && origin.status === 'running' && parameters.snapname === undefined) {
      throw new Error('Cannot do full clones on a running container without snapshots');
    }
    for (const { volid, option, value } of disks) {
      if (full || isCloudInit(value)) continue;
      const isBase = origin.template || (parameters.snapname !== undefined && canSnapshot(state, node, volid, 'lxc'));
      if (!isBase) throw new Error(`Linked clone feature is not supported for '${volid}' (${option})`);
    }
    if (parameters.storage !== undefined) usableStorage(state, target, String(parameters.storage));
    for (const { volid } of disks) {
      const on = String(parameters.storage ?? storageOf(volid));
      requireAll(call, `/storage/${on}`, 'Datastore.AllocateSpace');
    }
  });
  const copy = reserve(call, type, newid, target);
  copy.lock = 'clone';
  const made: SimulatedVolume[] = [];
  const undo = () => {
    for (const volume of made) free(state, volume);
    if (state.guests.get(newid) === copy) state.guests.delete(newid);
  };
  const of = { node, id: String(origin.vmid), type: `${prefix}clone`, caller: call.caller, release: undo };
  return call.tasks.start(of, (task) =>
    withLockFile(state, origin, task, async () => {
      task.log(`creating a clone of ${type === 'qemu' ? 'VM' : 'container'} ${origin.vmid} with ID ${newid}`);
      try {
        // The copy has its options before its disks, and stays locked until both are there.
        copyOptions(call, origin, copy, source);
        await takeTime(origin, task, `${prefix}clone`);
        for (const disk of disks) {
          if (task.without('disk')) delete copy.config?.[disk.option];
          else copyDisk(call, origin, copy, disk, { full, made, task });
        }
      } catch (error) {
        undo();
        const text = error instanceof Error ? error.message : String(error);
        throw new Error(task.signal.aborted ? text : `clone failed: ${text}`);
      }
      delete copy.lock;
      if (parameters.pool !== undefined) state.pools.get(String(parameters.pool))?.vms.add(newid);
    }),
  );
}

function sourceOf(origin: SimulatedGuest, snapname: string | number | undefined): GuestConfig {
  if (snapname === undefined) return readConfig(origin);
  const one = origin.snapshots?.find(({ name }) => name === snapname);
  if (!one) throw new Error(`snapshot '${snapname}' does not exist`);
  return one.config;
}

function copyOptions({ parameters }: Call, origin: SimulatedGuest, copy: SimulatedGuest, source: GuestConfig): void {
  const { type, vmid } = origin;
  for (const [option, value] of Object.entries(source)) {
    if (notCopied.test(option)) continue;
    if (!/^net\d+$/.test(option)) setOption(copy, option, value);
    else setOption(copy, option, withNewAddress(String(value)));
  }
  // Who never had a name of its own gets none that says so.
  const given = type === 'qemu' ? parameters.name : parameters.hostname;
  const former = source[type === 'qemu' ? 'name' : 'hostname'];
  const fallback =
    type === 'qemu'
      ? former === undefined
        ? `Copy-of-VM-${vmid}`
        : `Copy-of-VM-${former}`
      : `Copy-of-CT-${former ?? vmid}`;
  setOption(copy, type === 'qemu' ? 'name' : 'hostname', given ?? fallback);
  if (parameters.description !== undefined)
    setOption(copy, 'description', normalized(type, 'description', parameters.description));
  if (type !== 'qemu') return;
  if (source.smbios1 !== undefined) setOption(copy, 'smbios1', `uuid=${randomUUID()}`);
  if (source.vmgenid !== undefined) setOption(copy, 'vmgenid', randomUUID());
}

/** The same card with an address of its own. */
export function withNewAddress(value: string): string {
  return value.replace(/(?<=[=])([0-9A-F]{2}:){5}[0-9A-F]{2}/i, newMac());
}

function copyDisk(
  { state, parameters }: Call,
  origin: SimulatedGuest,
  copy: SimulatedGuest,
  { option, value, volid }: { readonly option: string; readonly value: string; readonly volid: string },
  { full, made, task }: { readonly full: boolean; readonly made: SimulatedVolume[]; readonly task: TaskHandle },
): void {
  const { type, vmid, node } = copy;
  const { rest } = parseProperties(value);
  const volume = volumeAt(state, origin.node, volid);
  if (!volume) throw new Error(`volume '${volid}' does not exist`);
  const kind = type === 'qemu' ? 'drive' : 'mountpoint';
  const where = { vmid, type, node, size: volume.size, storage: String(parameters.storage ?? volume.storage) };
  const format = parameters.format === undefined ? volume.format : String(parameters.format);
  let next: SimulatedVolume;
  if (isCloudInit(value)) {
    next = allocate(state, { ...where, format: volume.format, role: 'cloudinit' }, task.log);
  } else if (full) {
    task.log(`create full clone of ${kind} ${option} (${volid})`);
    next = allocate(state, { ...where, format, used: volume.used }, task.log);
    if (type === 'qemu') {
      const size = `${(volume.size / 2 ** 30).toFixed(1)} GiB`;
      task.log(`transferred 0.0 B of ${size} (0.00%)`);
      task.log(`transferred ${size} of ${size} (100.00%)`);
    }
  } else {
    task.log(`create linked clone of ${kind} ${option} (${volid})`);
    const linked = { ...where, storage: volume.storage, format: volume.format, parent: volid };
    const lines: string[] = [];
    next = allocate(state, linked, (line) => lines.push(line));
    const [, base = ''] = volid.split(':');
    const name = next.volid.replace(/^.*\//, '');
    task.log(`clone ${base}: images, ${name}, ${vmid} to ${name} (base=../${base})`);
    for (const line of lines) task.log(line);
  }
  made.push(next);
  setOption(copy, option, printProperties({ first: next.volid, rest: { ...rest, size: formatSize(next.size) } }));
}

/** POST …/template: from now on it is only cloned. A VM's in a task, a container's at once. */
export function makeTemplate(call: Call, type: GuestType): string | null {
  const { state } = call;
  const guest = found(call, type);
  const { name } = words[type];
  const folder = words[type].folder;
  if (!guest)
    throw new ApiFailure(
      500,
      `Configuration file 'nodes/${nodeOf(call)}/${folder}/${call.parameters.vmid}.conf' does not exist`,
    );
  const thing = type === 'qemu' ? 'a VM' : 'a CT';
  if (!state.cluster.quorate) throw new ApiFailure(500, 'cluster not ready - no quorum?');
  atOnce(() => {
    assertUnlocked(guest);
    if ((guest.snapshots ?? []).length > 0)
      throw new Error(`unable to create template, because ${name} contains snapshots`);
    if (guest.template && call.parameters.disk === undefined)
      throw new Error(`you can't convert a template to a template`);
    if (guest.status === 'running') throw new Error(`you can't convert ${thing} to template if ${name} is running`);
  });
  if (type === 'lxc') {
    toBase(call, guest);
    return null;
  }
  return call.tasks.start(
    { node: guest.node, id: String(guest.vmid), type: 'qmtemplate', caller: call.caller },
    (task) =>
      withLockFile(state, guest, task, async () => {
        await takeTime(guest, task, 'qmtemplate');
        toBase(call, guest);
      }),
  );
}

function toBase({ state }: Pick<Call, 'state'>, guest: SimulatedGuest): void {
  for (const [option, value] of Object.entries(guest.config ?? {})) {
    if (!isDiskOption(guest.type, option) || option.startsWith('unused') || isCdrom(String(value))) continue;
    const { first, rest } = parseProperties(String(value));
    const volume = volumeAt(state, guest.node, first);
    if (!volume) continue;
    volume.volid = first.replace(
      /(?<=[:/])(vm|subvol)-(\d+-)(?=[^/]*$)/,
      (_, kind: string, id: string) => `${kind === 'vm' ? 'base' : 'basevol'}-${id}`,
    );
    setOption(guest, option, printProperties({ first: volume.volid, rest }));
  }
  guest.template = true;
}
