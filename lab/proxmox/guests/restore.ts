import { randomUUID } from 'node:crypto';
import { ApiFailure, forbidden, invalidParameters } from '../answer.ts';
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

/**
 * POST …/qemu with an archive. What fails within the task leaves a configuration without anything, or with `memory: 128` alone,
 * which has the id.
 */
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
    fillMachine(call, guest, content, task);
    const overrides = Object.entries(optionsOf(parameters)).filter(([option]) => !isDiskOption('qemu', option));
    for (const [option, value] of overrides) setOption(guest, option, normalized('qemu', option, value));
    if (parameters.unique) {
      setOption(guest, 'smbios1', `uuid=${randomUUID()}`);
      setOption(guest, 'vmgenid', randomUUID());
    }
  });
}

/**
 * POST …/lxc with `restore`. Its volumes are made as they are named (`rootfs`, `mp0` …), else all that the archive has on ONE
 * storage, which is `local` where none is given. From then on one that was there before is lost when it fails.
 */
export function restoreContainer(call: Call, present: SimulatedGuest | undefined): string {
  const { state, parameters, caller } = call;
  const vmid = Number(parameters.vmid);
  const volid = String(parameters.ostemplate);
  if (present?.status === 'running') throw new ApiFailure(500, `unable to restore CT ${vmid} - container is running`);
  if (present?.protection) throw new ApiFailure(500, `unable to restore CT ${vmid} - protection mode enabled`);
  const named = namedVolumes(call, vmid);
  const guest = present ?? reserve(call, 'lxc', vmid);
  return restoreTask(call, guest, 'vzrestore', async (task) => {
    task.log(`recovering backed-up configuration from '${volid}'`);
    const archive = archiveAt(state, guest.node, volid);
    let isTouched = present === undefined;
    try {
      if (!archive) throw new Error(`volume '${volid}' does not exist`);
      if (archive.type !== 'lxc') throw new Error(`can't find configuration in archive '${volid}'`);
      const content = readArchive(state, archive);
      const bind = Object.entries(content.config).find(([option, value]) => isBind(option, String(value)));
      if (bind !== undefined && named === undefined && caller.id !== 'root@pam')
        throw new Error(`restoring '${bind[0]}' to bind mount is only possible for root`);
      isTouched = true;
      fillContainer(call, guest, { ...content, named }, task);
      task.log(`restoring '${volid}' now..`);
      task.log(`extracting archive '${pathOf(storageAt(state, guest.node, storageOf(volid)), volid)}'`);
      task.log(`Total bytes read: ${archive.size} (${(archive.size / 2 ** 20).toFixed(1)}MiB, 143MiB/s)`);
      task.log('merging backed-up and given configuration..');
      const overrides = Object.entries(optionsOf(parameters)).filter(([option]) => !isDiskOption('lxc', option));
      for (const [option, value] of overrides) setOption(guest, option, normalized('lxc', option, value));
    } catch (error) {
      if (isTouched) {
        for (const volume of state.volumes.filter((one) => one.vmid === vmid)) free(state, volume);
        state.guests.delete(vmid);
      }
      throw new Error(`unable to restore CT ${vmid} - ${error instanceof Error ? error.message : String(error)}`);
    }
  });
}

const isBind = (option: string, value: string) =>
  /^mp\d+$/.test(option) && parseProperties(value).first.startsWith('/');

type NamedVolumes = Readonly<Record<string, string>>;

/** The volumes that are named to a container's restore; none: all go to one storage. Their storages have to take containers. */
function namedVolumes(call: Call, vmid: number): NamedVolumes | undefined {
  const { state, parameters, caller, permissions } = call;
  const named = Object.fromEntries(
    Object.entries(parameters)
      .filter(([option]) => /^(rootfs|mp\d+)$/.test(option))
      .map(([option, value]) => [option, String(value)]),
  );
  const isNamed = Object.keys(named).length > 0;
  if (isNamed && named.rootfs === undefined)
    throw new ApiFailure(500, "mount points configured, but 'rootfs' not set - aborting");
  if (isNamed && caller.id !== 'root@pam' && !permissions.has(`/vms/${vmid}`, 'VM.Config.Disk'))
    throw forbidden(`/vms/${vmid}`, ['VM.Config.Disk']);
  const storages = isNamed
    ? Object.values(named).map((value) => storageOf(parseProperties(value).first))
    : [String(parameters.storage ?? 'local')];
  for (const storage of storages) {
    atOnce(() => {
      const { content } = usableStorage(state, nodeOf(call), storage);
      if (!content.split(',').includes('rootdir'))
        throw invalidParameters({ storage: `storage '${storage}' does not support container directories` });
      requireAll(call, `/storage/${storage}`, 'Datastore.AllocateSpace');
    });
  }
  return isNamed ? named : undefined;
}

/** A container's new volumes are made beside the old ones, which go then. A mount point of which the archive holds nothing is empty. */
function fillContainer(
  call: Call,
  guest: SimulatedGuest,
  { config, disks, named }: ReturnType<typeof readArchive> & { readonly named: NamedVolumes | undefined },
  task: TaskHandle,
): void {
  const { state, parameters, caller } = call;
  const { vmid, node } = guest;
  const before = state.volumes.filter((one) => one.vmid === vmid);
  const made: GuestConfig = Object.fromEntries(
    Object.entries(config).filter(
      ([option, value]) => !isDiskOption('lxc', option) || (named === undefined && isBind(option, String(value))),
    ),
  );
  if (caller.id !== 'root@pam') {
    for (const option of Object.keys(made).filter((one) => one.startsWith('lxc.'))) {
      task.warn(`skipping custom lxc options, restore manually as root:\n${option}: ${made[option]}`);
      delete made[option];
    }
  }
  const one = String(parameters.storage ?? 'local');
  const wanted: NamedVolumes =
    named ??
    Object.fromEntries(
      disks.map(({ option, size }) => {
        const { rest } = parseProperties(String(config[option] ?? ''));
        const { size: _, ...kept } = rest;
        return [option, printProperties({ first: `${one}:${size / 2 ** 30}`, rest: kept })];
      }),
    );
  for (const [option, value] of Object.entries(wanted)) {
    if (task.without('disk')) continue;
    const { first, rest } = parseProperties(value);
    const size = Number(first.slice(first.indexOf(':') + 1)) * 2 ** 30;
    const held = option === 'rootfs' || /(^|,)backup=1(,|$)/.test(String(config[option] ?? ''));
    const used = disks.find((disk) => disk.option === option)?.used;
    const volume = allocate(
      state,
      { vmid, node, type: 'lxc', storage: storageOf(first), size, ...(held && used !== undefined && { used }) },
      task.log,
    );
    for (const line of fileSystemLines(size)) task.log(line);
    made[option] = printProperties({ first: volume.volid, rest: { ...rest, size: formatSize(size) } });
  }
  for (const volume of before) free(state, volume);
  finishConfig(call, guest, made);
}

/** A VM's configuration as the archive has it, with disks made anew; those that it had before are gone first. */
function fillMachine(
  call: Call,
  guest: SimulatedGuest,
  { config, disks }: ReturnType<typeof readArchive>,
  task: TaskHandle,
): void {
  const { state, parameters } = call;
  const { vmid, node } = guest;
  const before = state.volumes.filter((one) => one.vmid === vmid);
  const target = (volid: string) => String(parameters.storage ?? (volid.startsWith('/') ? 'local' : storageOf(volid)));
  for (const { volid } of disks) {
    const storage = target(volid);
    atOnce(() => {
      if (!usableStorage(state, node, storage).content.split(',').includes('images'))
        throw new Error(`Content type 'images' is not available on storage '${storage}'`);
      requireAll(call, `/storage/${storage}`, 'Datastore.AllocateSpace');
    });
  }
  // What stands there until all is done, and after a failure for good.
  writeConfig(guest, { memory: '128', lock: 'create' });
  for (const volume of before) free(state, volume);
  // A disk that is kept out of backups becomes a comment.
  const made: GuestConfig = Object.fromEntries(
    Object.entries(config).filter(
      ([option, value]) => !(isDiskOption('qemu', option) && /(^|,)backup=0(,|$)/.test(String(value))),
    ),
  );
  try {
    for (const { option, volid, size, used } of disks) {
      if (task.without('disk')) {
        delete made[option];
        continue;
      }
      const storage = target(volid);
      const format = /\.(raw|qcow2|vmdk)$/.exec(volid)?.[1];
      const volume = allocate(state, { vmid, node, type: 'qemu', storage, size, used, format }, task.log);
      task.log(`new volume ID is '${volume.volid}'`);
      const { rest } = parseProperties(String(config[option] ?? ''));
      made[option] = printProperties({ first: volume.volid, rest: { ...rest, size: formatSize(size) } });
      task.log(`progress 100% (read ${size} bytes, duration 0 sec)`);
    }
    const raw = Object.entries(made).find(([option, value]) => isRawDevice(option, String(value)));
    if (raw !== undefined && call.caller.id !== 'root@pam')
      throw new Error(
        `only root can set '${raw[0]}' config for ${raw[0].startsWith('usb') ? 'real' : 'non-mapped'} devices`,
      );
  } catch (error) {
    for (const volume of state.volumes.filter((one) => one.vmid === vmid)) free(state, volume);
    throw error;
  }
  finishConfig(call, guest, made);
}

/** A device of the node itself, and no mapped one. */
function isRawDevice(option: string, value: string): boolean {
  if (!/^(usb|hostpci)\d+$/.test(option)) return false;
  const { first, rest } = parseProperties(value);
  const host = rest.host ?? first;
  return host !== '' && host.toLowerCase() !== 'spice';
}

function finishConfig({ parameters }: Call, guest: SimulatedGuest, made: GuestConfig): void {
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
