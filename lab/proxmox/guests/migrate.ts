import { ApiFailure, invalidParameters } from '../answer.ts';
import type { Call } from '../router.ts';
import type { SimulatedGuest } from '../state.ts';
import type { TaskHandle } from '../tasks.ts';
import { atOnce, type GuestType, guestAt, requireAll, root, words } from './asked-guest.ts';
import { disksOf, isCdrom, isCloudInit, isDiskOption, setOption } from './configuration.ts';
import { assertUnlocked, assertWritable, later, takeTime, withLockFile } from './guest-tasks.ts';
import { comeUp, shutDown, startGuest } from './power.ts';
import { parseProperties, printProperties, type SimulatedVolume, storageAt, storageOf, volumeAt } from './volumes.ts';

interface LocalDisk {
  readonly option: string;
  readonly volume: SimulatedVolume;
  readonly value: string;
}

/** GET …/migrate: where it could go, and what would have to go with it. */
export function migrationChecks(call: Call, type: GuestType): Record<string, unknown> {
  const { state, parameters } = call;
  const guest = guestAt(call, type);
  const isRunning = guest.status === 'running' ? 1 : 0;
  const disks = disksOf(type, guest.config ?? {});
  const others = [...state.nodes.values()].filter(({ name, online }) => name !== guest.node && online);
  const unavailable = (node: string) =>
    [...new Set(disks.map(({ volid }) => storageOf(volid)))].filter((storage) => !storageAt(state, node, storage));
  const allowed = others.filter(({ name }) => unavailable(name).length === 0).map(({ name }) => name);
  if (type === 'lxc') {
    const refused = others.filter(({ name }) => unavailable(name).length > 0);
    return {
      running: isRunning,
      'allowed-nodes': allowed,
      'not-allowed-nodes': Object.fromEntries(
        refused.map(({ name }) => [name, { 'unavailable-storages': unavailable(name) }]),
      ),
    };
  }
  const considered = parameters.target === undefined ? others : others.filter(({ name }) => name === parameters.target);
  return {
    running: isRunning,
    // Of one that runs only the migration itself finds out.
    ...(isRunning
      ? {}
      : {
          allowed_nodes: allowed,
          not_allowed_nodes: Object.fromEntries(
            considered.map(({ name }) => [
              name,
              unavailable(name).length > 0 ? { unavailable_storages: unavailable(name) } : {},
            ]),
          ),
        }),
    local_disks: localDisks(call, guest).map(({ option, volume, value }) => ({
      volid: volume.volid,
      size: volume.size,
      drivename: option,
      cdrom: isCdrom(value) ? 1 : 0,
      is_cloudinit: isCloudInit(value) ? 1 : 0,
      is_unused: option.startsWith('unused') ? 1 : 0,
      is_vmstate: 0,
      is_tpmstate: option === 'tpmstate0' ? 1 : 0,
      is_attached: option.startsWith('unused') ? 0 : 1,
      replicate: 1,
      shared: 0,
      ...heldBy(guest, volume.volid),
    })),
    local_resources: Object.keys(guest.config ?? {}).filter((option) =>
      /^(hostpci|usb|serial|parallel)\d+$/.test(option),
    ),
    'mapped-resources': [],
    'mapped-resource-info': {},
    'has-dbus-vmstate': 1,
  };
}

/** The snapshots that have the volume, too. */
function heldBy({ snapshots = [] }: SimulatedGuest, volid: string): Record<string, unknown> {
  const names = snapshots
    .filter(({ config }) => Object.values(config).some((value) => parseProperties(String(value)).first === volid))
    .map(({ name }) => [name, 1]);
  return names.length === 0 ? {} : { referenced_in_snapshot: Object.fromEntries(names) };
}

/** Its disks on storages of the node's own; a disc in a drive is one, too. */
function localDisks({ state }: Pick<Call, 'state'>, guest: SimulatedGuest): LocalDisk[] {
  return Object.entries(guest.config ?? {}).flatMap(([option, given]) => {
    const value = String(given);
    if (!isDiskOption(guest.type, option)) return [];
    const volume = volumeAt(state, guest.node, parseProperties(value).first);
    const isShared = volume && state.storages.some((one) => one.storage === volume.storage && one.shared);
    return volume && !isShared ? [{ option, volume, value }] : [];
  });
}

/** POST …/migrate. Whatever goes wrong on the way, the guest is where it was, and runs if it ran. */
export function migrate(call: Call, type: GuestType): string {
  const { state, parameters, caller, tasks } = call;
  const target = String(parameters.target);
  const guest = guestAt(call, type);
  const { name, prefix } = words[type];
  const from = guest.node;
  if (target === from) throw invalidParameters({ target: 'target is local node.' });
  if (!state.cluster.quorate) throw new ApiFailure(500, 'cluster not ready - no quorum?');
  const node = state.nodes.get(target);
  if (!node) throw new ApiFailure(500, `no such cluster node '${target}'`);
  const isRunning = guest.status === 'running';
  const storageMap = String(parameters[type === 'qemu' ? 'targetstorage' : 'target-storage'] ?? '');
  atOnce(() => {
    if (isRunning && type === 'qemu' && !parameters.online)
      throw new Error(`can't migrate running VM without --online`);
    for (const { volume } of localDisks(call, guest)) {
      const onTarget = mapped(storageMap, volume.storage);
      requireAll(call, `/storage/${onTarget}`, 'Datastore.AllocateSpace');
      const there = storageAt(state, target, onTarget);
      if (!there || there.disabled) throw new Error(`storage '${onTarget}' is not available on node '${target}'`);
    }
  });
  const of = { id: String(guest.vmid), caller };
  if (guest.ha) {
    return tasks.start({ ...of, node: from, type: 'hamigrate' }, async (task) => {
      task.log(`Requesting HA migration for ${name} ${guest.vmid} to node ${target}`);
      later(guest.behaviour?.haMs, () => {
        const own = { ...of, node: from, type: `${prefix === 'qm' ? 'qmigrate' : 'vzmigrate'}`, caller: root };
        tasks.start(own, (later) =>
          withLockFile(state, guest, later, () => move(call, guest, target, storageMap, later)),
        );
      });
    });
  }
  const kind = type === 'qemu' ? 'qmigrate' : 'vzmigrate';
  return tasks.start({ ...of, node: from, type: kind }, (task) =>
    withLockFile(state, guest, task, () => move(call, guest, target, storageMap, task)),
  );
}

/** `local:fast,1`: where volumes of a storage go. A name alone is for all. */
function mapped(map: string, storage: string): string {
  const pairs = map.split(',').filter((one) => one !== '' && one !== '1');
  const own = pairs.find((one) => one.startsWith(`${storage}:`));
  if (own) return own.slice(storage.length + 1);
  return pairs.find((one) => !one.includes(':')) ?? storage;
}

async function move(
  call: Call,
  guest: SimulatedGuest,
  target: string,
  storageMap: string,
  task: TaskHandle,
): Promise<void> {
  const { state, parameters } = call;
  const { name } = words[guest.type];
  const from = guest.node;
  const began = Date.now();
  const wasRunning = guest.status === 'running';
  const log = (line: string) => task.log(`${new Date().toISOString().slice(0, 19).replace('T', ' ')} ${line}`);
  const lasted = () => new Date(Date.now() - began).toISOString().slice(11, 19);
  try {
    assertUnlocked(guest);
    assertWritable(state, guest);
    const node = state.nodes.get(target);
    log(`starting migration of ${name} ${guest.vmid} to node '${target}' (${node?.ip})`);
    if (!node?.online || node.api !== 'up') throw new Error(`Can't connect to destination address using public key`);
    const local = localDisks(call, guest);
    for (const { volume } of local) {
      log(
        guest.type === 'qemu'
          ? `found local disk '${volume.volid}' (attached)`
          : `found local volume '${volume.volid}' (in current VM config)`,
      );
    }
    if (
      guest.type === 'qemu' &&
      wasRunning &&
      local.some(({ value }) => !isCdrom(value)) &&
      !parameters['with-local-disks']
    ) {
      throw new Error(`can't live migrate attached local disks without with-local-disks option`);
    }
    if (guest.type === 'lxc' && wasRunning && !parameters.restart)
      throw new Error('lxc live migration is currently not implemented');
    guest.lock = 'migrate';
    if (guest.type === 'lxc' && wasRunning) {
      log(`shutdown CT ${guest.vmid}`);
      const timeoutMs = Number(parameters.timeout ?? 180) * state.pace.secondMs;
      if (!(await shutDown(guest, timeoutMs, task.signal))) throw new Error('container did not stop');
    }
    try {
      carry(call, guest, { local, target, storageMap, log });
      await takeTime(guest, task, guest.type === 'qemu' ? 'qmigrate' : 'vzmigrate', 40);
    } finally {
      if (guest.lock === 'migrate') delete guest.lock;
    }
    if (guest.type === 'qemu' && wasRunning)
      log(`migration active, transferred ${Math.floor(guest.memory / 2 ** 20)}.0 MiB VM-state`);
    // The space is that of the storage over there from now on.
    for (const { volume } of local.filter(({ volume }) => volume.vmid === guest.vmid)) {
      const [here, there] = [
        storageAt(state, from, volume.storage),
        storageAt(state, target, mapped(storageMap, volume.storage)),
      ];
      if (here) here.used = Math.max(0, here.used - volume.used);
      if (there) there.used += volume.used;
    }
    guest.node = target;
    place(state, guest, storageMap);
    if (guest.type === 'lxc' && wasRunning) {
      log(`start container on target node`);
      await startGuest(call, guest, task);
    }
    if (guest.type === 'lxc') log('start final cleanup');
    log(`migration finished successfully (duration ${lasted()})`);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    if (guest.type === 'lxc' && wasRunning && guest.status === 'stopped' && guest.node === from) {
      log('start final cleanup');
      log('start container on source node');
      comeUp(guest);
    }
    if (task.signal.aborted) throw error;
    log(`ERROR: migration aborted (duration ${lasted()}): ${text}`);
    throw new Error('migration aborted');
  }
}

/** Looks whether the disks find room over there. */
function carry(
  { state }: Pick<Call, 'state'>,
  guest: SimulatedGuest,
  {
    local,
    target,
    storageMap,
    log,
  }: {
    readonly local: readonly LocalDisk[];
    readonly target: string;
    readonly storageMap: string;
    readonly log: (line: string) => void;
  },
): void {
  if (guest.type === 'qemu' && local.length > 0) log('copying local disk images');
  for (const { volume } of local) {
    const there = storageAt(state, target, mapped(storageMap, volume.storage));
    if (!there) throw new Error(`storage '${volume.storage}' is not available on node '${target}'`);
    if (volume.vmid !== guest.vmid) continue;
    if (there.total - there.used < volume.used) {
      throw new Error(
        `storage migration for '${volume.volid}' to storage '${there.storage}' failed - No space left on device`,
      );
    }
    log(`successfully imported '${volume.volid}'`);
    log(`volume '${volume.volid}' is '${volume.volid}' on the target`);
  }
}

/** The volumes have moved with their guest, some to a storage of another name. */
function place(state: Call['state'], guest: SimulatedGuest, storageMap: string): void {
  for (const [option, value] of Object.entries(guest.config ?? {})) {
    if (!isDiskOption(guest.type, option)) continue;
    const { first, rest } = parseProperties(String(value));
    const volume = volumeAt(state, guest.node, first);
    const next = mapped(storageMap, storageOf(first));
    if (!volume || volume.vmid !== guest.vmid || next === volume.storage) continue;
    volume.volid = `${next}:${first.slice(first.indexOf(':') + 1)}`;
    Object.assign(volume, { storage: next });
    setOption(guest, option, printProperties({ first: volume.volid, rest }));
  }
}
