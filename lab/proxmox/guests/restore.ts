import { randomUUID } from 'node:crypto';
import { ApiFailure } from '../answer.ts';
import type { Call } from '../router.ts';
import type { SimulatedGuest } from '../state.ts';
import type { TaskHandle } from '../tasks.ts';
import { archiveAt, readArchive } from './archives.ts';
import { atOnce, nodeOf, requireAll, words } from './asked-guest.ts';
import { withNewAddress } from './clone.ts';
import { type GuestConfig, isDiskOption, setOption, writeConfig } from './configuration.ts';
import { existing, optionsOf, reserve, startOwn } from './create.ts';
import { normalized } from './disks.ts';
import { later, takeTime, withLockFile } from './guest-tasks.ts';
import {
  allocate,
  fileSystemLines,
  formatSize,
  free,
  parseProperties,
  pathOf,
  printProperties,
  storageAt,
  storageOf,
  usableStorage,
} from './volumes.ts';

/** POST …/qemu with an archive. What fails within the task leaves an empty configuration, which has the id. */
export function restoreMachine(call: Call, present: SimulatedGuest | undefined): string {
  const { state, parameters } = call;
  const vmid = Number(parameters.vmid);
  const volid = String(parameters.archive);
  if (!state.cluster.quorate) throw new ApiFailure(500, 'cluster not ready - no quorum?');
  if (present && !(parameters.force && present.type === 'qemu')) {
    const file = `/etc/pve/nodes/${nodeOf(call)}/qemu-server/${vmid}.conf`;
    const taken =
      present.type === 'lxc' && parameters.force
        ? `close (rename) atomic file '${file}' failed: File exists`
        : existing(present);
    throw new ApiFailure(500, `unable to restore VM ${vmid} - ${taken}`);
  }
  if (present?.protection) throw new ApiFailure(500, `unable to restore VM ${vmid} - protection mode enabled`);
  const archive = archiveAt(state, nodeOf(call), volid);
  if (!archive) throw new ApiFailure(500, `volume '${volid}' does not exist`);
  const guest = present ?? reserve(call, 'qemu', vmid);
  if (!present) guest.lock = 'create';
  return restoreTask(call, guest, 'qmrestore', async (task) => {
    if (present && guest.status === 'running') {
      task.log(
        `error before or during data restore, some or all disks were not completely restored. VM ${vmid} state is NOT cleaned up.`,
      );
      throw new Error(`unable to restore VM ${vmid} - vm is running`);
    }
    const path = pathOf(storageAt(state, guest.node, storageOf(volid)), volid);
    if (archive.type !== 'qemu') {
      for (const option of ['hostname', 'rootfs', 'swap', 'unprivileged']) {
        task.log(`vm ${vmid} - unable to parse value of '${option}' - unknown setting '${option}'`);
      }
      task.log(
        `error before or during data restore, some or all disks were not completely restored. VM ${vmid} state is NOT cleaned up.`,
      );
      writeConfig(guest, {});
      throw new Error(`ERROR: file '${path}' does not look like a QemuServer vzdump backup`);
    }
    task.log(
      `restore vma archive: zstd -q -d -c ${path} | vma extract -v -r /var/tmp/vzdumptmp2668.fifo - /var/tmp/vzdumptmp2668`,
    );
    const content = readArchive(state, archive);
    fill(call, guest, content, task);
    const overrides = Object.entries(optionsOf(parameters)).filter(([option]) => !isDiskOption('qemu', option));
    for (const [option, value] of overrides) setOption(guest, option, normalized('qemu', option, value));
    if (parameters.unique) {
      setOption(guest, 'smbios1', `uuid=${randomUUID()}`);
      setOption(guest, 'vmgenid', randomUUID());
    }
  });
}

/** POST …/lxc with `restore`. One that was there before is lost when it fails; a new one leaves nothing. */
export function restoreContainer(call: Call, present: SimulatedGuest | undefined): string {
  const { state, parameters } = call;
  const vmid = Number(parameters.vmid);
  const volid = String(parameters.ostemplate);
  if (present?.status === 'running') throw new ApiFailure(500, `unable to restore CT ${vmid} - container is running`);
  if (present?.protection) throw new ApiFailure(500, `unable to restore CT ${vmid} - protection mode enabled`);
  const guest = present ?? reserve(call, 'lxc', vmid);
  return restoreTask(call, guest, 'vzrestore', async (task) => {
    task.log(`recovering backed-up configuration from '${volid}'`);
    const archive = archiveAt(state, guest.node, volid);
    try {
      if (!archive) throw new Error(`volume '${volid}' does not exist`);
      if (archive.type !== 'lxc') throw new Error(`can't find configuration in archive '${volid}'`);
      const content = readArchive(state, archive);
      fill(call, guest, content, task);
      task.log(`restoring '${volid}' now..`);
      task.log(`extracting archive '${pathOf(storageAt(state, guest.node, storageOf(volid)), volid)}'`);
      task.log(`Total bytes read: ${archive.size} (${(archive.size / 2 ** 20).toFixed(1)}MiB, 143MiB/s)`);
      task.log('merging backed-up and given configuration..');
      const overrides = Object.entries(optionsOf(parameters)).filter(([option]) => !isDiskOption('lxc', option));
      for (const [option, value] of overrides) setOption(guest, option, normalized('lxc', option, value));
    } catch (error) {
      for (const volume of state.volumes.filter((one) => one.vmid === vmid)) free(state, volume);
      if (!present) state.guests.delete(vmid);
      throw new Error(`unable to restore CT ${vmid} - ${error instanceof Error ? error.message : String(error)}`);
    }
  });
}

/** The archive's configuration, with disks made anew; those that the guest had before are gone. */
function fill(
  call: Call,
  guest: SimulatedGuest,
  { config, disks }: ReturnType<typeof readArchive>,
  task: TaskHandle,
): void {
  const { state, parameters } = call;
  const { vmid, node, type } = guest;
  const before = state.volumes.filter((one) => one.vmid === vmid);
  // A VM's make room first; a container's stay until the new ones are there.
  if (type === 'qemu') for (const volume of before) free(state, volume);
  const made: GuestConfig = { ...config };
  for (const { option, volid, size, used } of disks) {
    if (task.without('disk')) {
      delete made[option];
      continue;
    }
    const storage = String(parameters.storage ?? storageOf(volid));
    atOnce(() => {
      usableStorage(state, node, storage);
      requireAll(call, `/storage/${storage}`, 'Datastore.AllocateSpace');
    });
    const format = /\.(raw|qcow2|vmdk)$/.exec(volid)?.[1];
    const volume = allocate(state, { vmid, node, type, storage, size, used, format }, task.log);
    if (type === 'qemu') task.log(`new volume ID is '${volume.volid}'`);
    else for (const line of fileSystemLines(size)) task.log(line);
    const { rest } = parseProperties(String(config[option] ?? ''));
    made[option] = printProperties({ first: volume.volid, rest: { ...rest, size: formatSize(size) } });
    if (type === 'qemu') task.log(`progress 100% (read ${size} bytes, duration 0 sec)`);
  }
  if (type === 'lxc') for (const volume of before) free(state, volume);
  if (parameters.unique) {
    for (const [option, value] of Object.entries(made))
      if (/^net\d+$/.test(option)) made[option] = withNewAddress(String(value));
  }
  delete made.parent;
  delete guest.snapshots;
  delete guest.pending;
  writeConfig(guest, { ...made, lock: 'create' });
}

function restoreTask(
  call: Call,
  guest: SimulatedGuest,
  type: string,
  work: (task: TaskHandle) => Promise<void>,
): string {
  const { state, tasks, caller, parameters } = call;
  const { vmid } = guest;
  const wasThere = guest.lock !== 'create';
  const release = () => {
    if (!wasThere) state.guests.delete(vmid);
  };
  const of = { node: guest.node, id: String(vmid), type, caller, release };
  return tasks.start(of, (task) =>
    withLockFile(state, guest, task, async () => {
      if (wasThere && guest.lock !== undefined) throw new Error(`${words[guest.type].name} is locked (${guest.lock})`);
      try {
        await takeTime(guest, task, type);
        await work(task);
      } finally {
        if (guest.lock === 'create') delete guest.lock;
      }
      if (parameters.pool !== undefined) state.pools.get(String(parameters.pool))?.vms.add(vmid);
      if (parameters.start) later(1, () => startOwn(call, guest));
    }),
  );
}
