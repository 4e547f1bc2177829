import { ApiFailure } from '../answer.ts';
import type { Call } from '../router.ts';
import type { SimulatedGuest } from '../state.ts';
import type { TaskHandle } from '../tasks.ts';
import { atOnce, type GuestType, guestAt, refuseRootOnly, words } from './asked-guest.ts';
import { disksOf } from './configuration.ts';
import { assertUnlocked, assertWritable, guestTask, takeTime } from './guest-tasks.ts';
import { goOff } from './power.ts';
import { clonesOf, free, pathOf, storageAt, storageOf, volumeAt } from './volumes.ts';

/** DELETE of a guest: what forbids it is said at once, but for a VM's lock; its disks go first, its configuration last. */
export function destroyGuest(call: Call, type: GuestType): string {
  const { parameters, state } = call;
  const guest = guestAt(call, type);
  const { name, prefix } = words[type];
  const { vmid } = guest;
  refuseRootOnly(call, ['skiplock']);
  if (guest.protection) throw new ApiFailure(500, `can't remove ${name} ${vmid} - protection mode enabled`);
  if (guest.ha && !parameters.purge) {
    throw new ApiFailure(500, `unable to remove ${name} ${vmid} - used in HA resources and purge parameter not set.`);
  }
  const job = [...state.configuration.replication.values()].find((one) => one.guest === vmid);
  if (job && !parameters.purge) {
    throw new ApiFailure(500, `There is a replication job '${job.id}' for guest '${vmid}' - Please remove that first.`);
  }
  if (type === 'lxc') atOnce(() => assertUnlocked(guest));
  if (guest.status === 'running' && !(type === 'lxc' && parameters.force)) {
    throw new ApiFailure(
      500,
      type === 'qemu'
        ? `VM ${vmid} is running - destroy failed`
        : `unable to destroy CT ${vmid} - container is running`,
    );
  }
  return guestTask(call, guest, `${prefix}destroy`, async (task) => {
    assertUnlocked(guest);
    if (guest.status === 'running') {
      task.log('Stopping container before destruction..');
      goOff(guest);
    }
    await takeTime(guest, task, `${prefix}destroy`);
    removeDisks(call, guest, task);
    assertWritable(state, guest);
    if (parameters.purge) {
      task.log(`purging ${name} ${vmid} from related configurations..`);
      purge(call, guest);
    }
    state.firewalls.delete(`guest/${vmid}`);
    state.guests.delete(vmid);
  });
}

function removeDisks({ state, parameters }: Call, guest: SimulatedGuest, task: TaskHandle): void {
  const { vmid, node, type } = guest;
  const memory = (guest.snapshots ?? []).flatMap(({ vmstate }) => (vmstate === undefined ? [] : [vmstate]));
  const ofSnapshots = (guest.snapshots ?? []).flatMap(({ config }) => disksOf(type, config).map(({ volid }) => volid));
  const kept = guest.config?.vmstate === undefined ? [] : [String(guest.config.vmstate)];
  const own = new Set([
    ...disksOf(type, guest.config ?? {}).map(({ volid }) => volid),
    ...ofSnapshots,
    ...memory,
    ...kept,
  ]);
  for (const volid of own) {
    if (clonesOf(state, volid).length > 0) throw new Error(`base volume '${volid}' is still in use by linked cloned`);
  }
  for (const volid of own) {
    const volume = volumeAt(state, node, volid);
    if (volume?.vmid === vmid) free(state, volume);
    else if (!volume)
      task.log(`disk image '${pathOf(storageAt(state, node, storageOf(volid)), volid)}' does not exist`);
  }
  if (parameters['destroy-unreferenced-disks']) {
    for (const volume of state.volumes.filter((one) => one.vmid === vmid && one.node === node)) free(state, volume);
  }
}

/** From pools and rights of its own; replication and the HA stack let go of it, too. */
function purge({ state }: Pick<Call, 'state'>, guest: SimulatedGuest): void {
  const { replication } = state.configuration;
  for (const job of replication.values()) if (job.guest === guest.vmid) replication.delete(job.id);
  for (const pool of state.pools.values()) pool.vms.delete(guest.vmid);
  for (let at = state.acl.length - 1; at >= 0; at -= 1) {
    if (state.acl[at]?.path === `/vms/${guest.vmid}`) state.acl.splice(at, 1);
  }
  delete guest.ha;
}
