import { ApiFailure, invalidParameters } from '../answer.ts';
import type { Call } from '../router.ts';
import type { SimulatedGuest } from '../state.ts';
import { atOnce, type GuestType, guestAt, listOf, refuseRootOnly, requireAll } from './asked-guest.ts';
import { digestOf, isCdrom, isDiskOption, setOption } from './configuration.ts';
import { detach, freeOption, setDiskSize } from './disks.ts';
import { assertUnlocked, assertWritable, guestTask, takeTime } from './guest-tasks.ts';
import {
  allocate,
  free,
  freeBytes,
  parseProperties,
  parseSize,
  printProperties,
  storageAt,
  storageOf,
  usableStorage,
  volumeAt,
} from './volumes.ts';

/** PUT …/resize: a disk can only grow. Without a quorum its image does, and the configuration doesn't hear of it. */
export function resize(call: Call, type: GuestType): string {
  const { state, parameters } = call;
  const guest = guestAt(call, type);
  refuseRootOnly(call, ['skiplock']);
  const option = String(parameters.disk);
  const config = guest.config ?? {};
  if (type === 'lxc' && config[option] === undefined) {
    const missing = 'property is missing and it is not optional';
    throw new ApiFailure(500, 'format error', {
      errors: { volume: missing, ...(option.startsWith('mp') ? { mp: missing } : {}) },
    });
  }
  return guestTask(call, guest, 'resize', async (task) => {
    assertDigest(call, guest);
    assertUnlocked(guest);
    const value = config[option];
    if (value === undefined || !isDiskOption(type, option)) throw new Error(`disk '${option}' does not exist`);
    const { first } = parseProperties(String(value));
    if (isCdrom(String(value))) throw new Error(`you can't resize a cdrom`);
    const volume = volumeAt(state, guest.node, first);
    if (!volume) throw new Error(`volume '${first}' does not exist`);
    const asked = String(parameters.size);
    const bytes = parseSize(asked.replace(/^\+/, '')) ?? 0;
    const next = asked.startsWith('+') ? volume.size + bytes : bytes;
    if (next < volume.size) throw new Error('shrinking disks is not supported');
    const storage = storageAt(state, guest.node, volume.storage);
    if (next > volume.size && storage && freeBytes(storage) === 0) {
      throw new Error(`command '/usr/bin/qemu-img resize' failed: No space left on device`);
    }
    await takeTime(guest, task, 'resize');
    if (next > volume.size) {
      task.log('Image resized.');
      volume.size = next;
    }
    assertWritable(state, guest);
    setDiskSize(config, option, volume, next);
  });
}

function assertDigest({ parameters }: Pick<Call, 'parameters'>, guest: SimulatedGuest): void {
  if (parameters.digest === undefined || parameters.digest === digestOf(guest)) return;
  throw new Error(
    guest.type === 'qemu'
      ? 'checksum mismatch (file change by other user?)'
      : 'detected modified configuration - file changed by other user? Try again.',
  );
}

/** POST …/move_disk and …/move_volume: to another storage, or to another guest. */
export function moveDisk(call: Call, type: GuestType): string {
  const { state, parameters } = call;
  const guest = guestAt(call, type);
  const option = String(type === 'qemu' ? parameters.disk : parameters.volume);
  const what = type === 'qemu' ? 'disk' : 'volume';
  const target = parameters['target-vmid'];
  if (target !== undefined) return giveAway(call, guest, option);
  if (parameters.storage === undefined)
    throw invalidParameters({ storage: 'either "storage" or "target-vmid" must be set' });
  const storage = String(parameters.storage);
  atOnce(() => {
    assertDigest(call, guest);
    assertUnlocked(guest);
    const value = guest.config?.[option];
    if (value === undefined) throw new Error(`${what} '${option}' does not exist`);
    const { first } = parseProperties(String(value));
    if (isCdrom(String(value))) throw new Error(`you can't move a cdrom`);
    requireAll(call, `/storage/${storage}`, 'Datastore.AllocateSpace');
    usableStorage(state, guest.node, storage);
    const volume = volumeAt(state, guest.node, first);
    const isSame =
      storageOf(first) === storage && (parameters.format === undefined || parameters.format === volume?.format);
    if (isSame) {
      throw new Error(
        type === 'qemu'
          ? `you can't move to the same storage with same format`
          : `you can't move a volume to the same storage`,
      );
    }
    if (type === 'lxc' && guest.status === 'running') throw new Error('cannot move volumes of a running container');
    const isHeld = (guest.snapshots ?? []).some(({ config }) =>
      Object.values(config).some((one) => parseProperties(String(one)).first === first),
    );
    if (isHeld && parameters.delete) throw new Error(`you can't move a ${what} with snapshots and delete the source`);
  });
  return guestTask(call, guest, type === 'qemu' ? 'qmmove' : 'move_volume', async (task) => {
    assertUnlocked(guest);
    const config = guest.config ?? {};
    const { first, rest } = parseProperties(String(config[option]));
    const volume = volumeAt(state, guest.node, first);
    if (!volume) throw new Error(`volume '${first}' does not exist`);
    task.log(
      type === 'qemu'
        ? `create full clone of drive ${option} (${first})`
        : `moving volume '${first}' to storage '${storage}'`,
    );
    const { node, vmid } = guest;
    const format = parameters.format === undefined ? volume.format : String(parameters.format);
    const copy = allocate(state, { node, vmid, type, storage, size: volume.size, format, used: volume.used }, task.log);
    try {
      await takeTime(guest, task, type === 'qemu' ? 'qmmove' : 'move_volume');
      assertWritable(state, guest);
    } catch (error) {
      free(state, copy);
      throw new Error(`storage migration failed: ${error instanceof Error ? error.message : String(error)}`);
    }
    setOption(guest, option, printProperties({ first: copy.volid, rest }));
    if (parameters.delete) free(state, volume);
    else setOption(guest, freeOption(config, 'unused'), first);
  });
}

/** A disk becomes another guest's, on the same node. */
function giveAway(call: Call, guest: SimulatedGuest, option: string): string {
  const { state, parameters } = call;
  const type = guest.type;
  const other = state.guests.get(Number(parameters['target-vmid']));
  const key = String(parameters[type === 'qemu' ? 'target-disk' : 'target-volume'] ?? option);
  const what = type === 'qemu' ? 'disk' : 'volume';
  atOnce(() => {
    assertDigest(call, guest);
    assertUnlocked(guest);
    if (!other || other.type !== type || other.node !== guest.node) {
      throw new Error(`Both ${type === 'qemu' ? 'VMs' : 'containers'} need to be on the same node`);
    }
    requireAll(call, `/vms/${other.vmid}`, 'VM.Config.Disk');
    assertUnlocked(other);
    if (guest.config?.[option] === undefined)
      throw new Error(`${what} '${option}' for ${type === 'qemu' ? 'VM' : 'container'} '${guest.vmid}' does not exist`);
    if (other.config?.[key] !== undefined)
      throw new Error(`Target ${what} key '${key}' is already in use for '${other.vmid}'`);
    if (guest.status === 'running')
      throw new Error(`Cannot move ${what} of a running ${type === 'qemu' ? 'VM' : 'container'} to another one`);
  });
  return guestTask(call, guest, type === 'qemu' ? 'qmmove' : 'move_volume', async (task) => {
    const { first, rest } = parseProperties(String(guest.config?.[option]));
    const volume = volumeAt(state, guest.node, first);
    if (!volume || !other) throw new Error(`volume '${first}' does not exist`);
    await takeTime(guest, task, 'qmmove');
    assertWritable(state, guest);
    free(state, volume);
    const { storage, size, format, used } = volume;
    const next = allocate(state, { node: other.node, vmid: other.vmid, type, storage, size, format, used });
    setOption(guest, option, null);
    setOption(other, key, printProperties({ first: next.volid, rest }));
    task.log(`removing ${what} '${option}' from ${type === 'qemu' ? 'VM' : 'container'} '${guest.vmid}' config`);
  });
}

/** PUT …/unlink: disks are taken off, and with `force` their content is gone. */
export function unlink(call: Call): null {
  const guest = guestAt(call, 'qemu');
  atOnce(() => {
    assertUnlocked(guest);
    const options = listOf(call.parameters.idlist);
    const unknown = options.find((option) => !isDiskOption('qemu', option));
    if (unknown !== undefined) throw invalidParameters({ idlist: `unknown option '${unknown}'` });
    assertWritable(call.state, guest);
    for (const option of options) detach(call, guest, guest.config ?? {}, option, Boolean(call.parameters.force));
  });
  return null;
}
