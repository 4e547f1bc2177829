import { ApiFailure } from '../answer.ts';
import type { Call } from '../router.ts';
import { type SimulatedGuest, unixTime } from '../state.ts';
import type { TaskHandle } from '../tasks.ts';
import { atOnce, found, type GuestType, guestAt, noConfiguration, nodeOf, words } from './asked-guest.ts';
import { snapshotConfig } from './config-change.ts';
import {
  digestOf,
  disksOf,
  type GuestConfig,
  isCdrom,
  isCloudInit,
  readConfig,
  type SimulatedSnapshot,
  writeConfig,
} from './configuration.ts';
import { sizeOf } from './disks.ts';
import { assertUnlocked, assertWritable, takeTime, withLock, withLockFile } from './guest-tasks.ts';
import { comeUp, firstImageStorage, goOff, saveMemory, startGuest } from './power.ts';
import { canSnapshot, clonesOf, free, volumeAt } from './volumes.ts';

/** What a snapshot doesn't remember. */
const notKept = new Set(['lock', 'parent', 'vmstate', 'template', 'protection']);

/** A guest's snapshots, and last where it is now. */
export function listSnapshots(call: Call, type: GuestType): Record<string, unknown>[] {
  const guest = guestAt(call, type);
  const entries = (guest.snapshots ?? []).map(({ name, snaptime, description, parent, vmstate }) => ({
    name,
    snaptime,
    description: type === 'lxc' && description !== '' ? `${description.replace(/\n$/, '')}\n` : description,
    ...(parent === undefined ? {} : { parent }),
    ...(type === 'qemu' ? { vmstate: vmstate === undefined ? 0 : 1 } : {}),
  }));
  const here = {
    name: 'current',
    description: 'You are here!',
    digest: digestOf(guest),
    running: guest.status === 'running' ? 1 : 0,
    ...(guest.parent === undefined ? {} : { parent: guest.parent }),
  };
  return [...entries, here];
}

/** One snapshot's configuration. */
export function showSnapshot(call: Call, type: GuestType): Record<string, unknown> {
  return snapshotConfig(
    atOnce(() => named(guestAt(call, type), String(call.parameters.snapname))),
    type,
  );
}

/** Its description, the only thing that can be changed. */
export function describeSnapshot(call: Call, type: GuestType): null {
  const guest = guestAt(call, type);
  const { snapname, description } = call.parameters;
  atOnce(() => {
    assertUnlocked(guest);
    const one = named(guest, String(snapname));
    assertWritable(call.state, guest);
    if (description !== undefined) one.description = String(description);
  });
  return null;
}

function named({ snapshots = [] }: SimulatedGuest, name: string): SimulatedSnapshot {
  const one = snapshots.find((snapshot) => snapshot.name === name);
  if (!one) throw new Error(`snapshot '${name}' does not exist`);
  return one;
}

/** Starts a snapshot task; of a guest that isn't there a VM says so at once (when one is made) and a container in it. */
function snapshotTask(
  call: Call,
  type: GuestType,
  kind: 'snapshot' | 'delsnapshot' | 'rollback',
  work: (guest: SimulatedGuest, task: TaskHandle) => Promise<void>,
): string {
  const { state, tasks, caller } = call;
  const guest = found(call, type);
  if (!guest && type === 'qemu' && kind === 'snapshot') throw new ApiFailure(500, noConfiguration(call, type));
  const of = { node: nodeOf(call), id: String(call.parameters.vmid), type: `${words[type].prefix}${kind}`, caller };
  return tasks.start(of, async (task) => {
    if (!guest) throw new Error(noConfiguration(call, type));
    await withLockFile(state, guest, task, () => work(guest, task));
  });
}

/** Takes a snapshot of every disk, and of the memory where that is asked for and there is one. */
export function takeSnapshot(call: Call, type: GuestType): string {
  const { state, parameters } = call;
  const name = String(parameters.snapname);
  if (name === 'current') throw new ApiFailure(500, `unable to use snapshot name 'current' (reserved name)`);
  if (name === 'pending') throw new ApiFailure(500, `unable to use snapshot name 'pending' (reserved name)`);
  return snapshotTask(call, type, 'snapshot', async (guest, task) => {
    assertUnlocked(guest);
    if (guest.snapshots?.some((one) => one.name === name)) throw new Error(`snapshot name '${name}' already used`);
    if (guest.template) throw new Error("you can't take a snapshot if it's a template");
    if (!mayBeTaken(call, guest)) throw new Error('snapshot feature is not available');
    assertWritable(state, guest);
    await withLock(guest, 'snapshot', async () => {
      const config = remembered(guest);
      const withMemory = Boolean(parameters.vmstate) && guest.status === 'running' && !task.without('ram');
      const storage = String(guest.config?.vmstatestorage ?? firstImageStorage(call, guest));
      const vmstate = withMemory ? saveMemory(call, guest, storage, name, task) : undefined;
      for (const { option, volid } of lastingDisks(guest.type, config)) {
        if (type === 'lxc' || task.without('disk')) continue;
        task.log(`snapshotting 'drive-${option}' (${volid})`);
        if (guest.status === 'running' && volid.endsWith('.qcow2')) task.log('internal qemu snapshot');
      }
      await takeTime(guest, task, `${words[type].prefix}snapshot`);
      const one: SimulatedSnapshot = {
        name,
        snaptime: unixTime(),
        description: String(parameters.description ?? ''),
        ...(guest.parent === undefined ? {} : { parent: guest.parent }),
        ...(vmstate === undefined ? {} : { vmstate }),
        config,
      };
      guest.snapshots = [...(guest.snapshots ?? []), one];
      guest.parent = name;
    });
  });
}

function remembered(guest: SimulatedGuest): GuestConfig {
  return Object.fromEntries(Object.entries(readConfig(guest)).filter(([option]) => !notKept.has(option)));
}

function lastingDisks(type: GuestType, config: GuestConfig) {
  return disksOf(type, config).filter(
    ({ option, value }) => !option.startsWith('unused') && (!isCdrom(value) || isCloudInit(value)),
  );
}

function mayBeTaken({ state }: Pick<Call, 'state'>, guest: SimulatedGuest): boolean {
  return lastingDisks(guest.type, guest.config ?? {}).every(({ volid }) =>
    canSnapshot(state, guest.node, volid, guest.type),
  );
}

/** Puts the guest back to where the snapshot was; what came after is lost, other snapshots stay. */
export function rollBack(call: Call, type: GuestType): string {
  const { state, parameters } = call;
  return snapshotTask(call, type, 'rollback', async (guest, task) => {
    const one = named(guest, String(parameters.snapname));
    if (guest.template) throw new Error("you can't rollback if it's a template");
    assertUnlocked(guest);
    // A store that keeps snapshots in a row goes back to the last one only.
    const isRow = lastingDisks(type, one.config).some(({ volid }) => {
      const plugin = state.storages.find(({ storage }) => storage === volid.split(':')[0])?.plugin;
      return plugin === 'zfspool';
    });
    if (isRow && guest.snapshots?.at(-1) !== one) {
      throw new Error(
        `can't rollback, '${one.name}' is not most recent snapshot on '${lastingDisks(type, one.config)[0]?.volid}'`,
      );
    }
    assertWritable(state, guest);
    const had = guest.status === 'running';
    await withLock(guest, 'rollback', async () => {
      if (had) goOff(guest);
      await takeTime(guest, task, `${words[type].prefix}rollback`);
      const keep = readConfig(guest);
      writeConfig(guest, {
        ...one.config,
        ...(keep.protection === undefined ? {} : { protection: keep.protection }),
        lock: 'rollback',
      });
      for (const { volid, value } of lastingDisks(type, one.config)) {
        const volume = volumeAt(state, guest.node, volid);
        if (!volume) throw new Error(`volume '${volid}' does not exist`);
        volume.size = sizeOf(value);
      }
      delete guest.pending;
      guest.parent = one.name;
    });
    // With its memory a VM goes on where it was.
    if (one.vmstate !== undefined) comeUp(guest);
    else if (parameters.start) await startGuest(call, guest, task);
  });
}

/** Takes a snapshot away; the ones after it hang below the one before it. */
export function removeSnapshot(call: Call, type: GuestType): string {
  const { state, parameters } = call;
  return snapshotTask(call, type, 'delsnapshot', async (guest, task) => {
    const one = named(guest, String(parameters.snapname));
    assertUnlocked(guest);
    assertWritable(state, guest);
    const inUse = lastingDisks(type, one.config).find(
      ({ volid }) => clonesOf(state, `${volid}@${one.name}`).length > 0,
    );
    if (inUse) throw new Error(`base volume '${inUse.volid}' is still in use by linked cloned`);
    await withLock(guest, 'snapshot-delete', async () => {
      await takeTime(guest, task, `${words[type].prefix}delsnapshot`);
      const kept = one.vmstate === undefined ? undefined : volumeAt(state, guest.node, one.vmstate);
      if (kept) free(state, kept);
      guest.snapshots = (guest.snapshots ?? []).filter((other) => other !== one);
      for (const other of guest.snapshots) if (other.parent === one.name) relink(other, one.parent);
      if (guest.parent === one.name) relink(guest, one.parent);
    });
  });
}

function relink(one: { parent?: string }, parent: string | undefined): void {
  if (parent === undefined) delete one.parent;
  else one.parent = parent;
}

/** GET …/feature: whether something can be done with all of a guest's disks, and on which nodes. */
export function hasFeature(call: Call, type: GuestType): Record<string, unknown> {
  const { state, parameters } = call;
  const guest = guestAt(call, type);
  const { feature, snapname } = parameters;
  const config = snapname === undefined ? (guest.config ?? {}) : atOnce(() => named(guest, String(snapname))).config;
  const disks = lastingDisks(type, config);
  const has =
    feature === 'copy' ||
    (feature === 'snapshot' && disks.every(({ volid }) => canSnapshot(state, guest.node, volid, type))) ||
    (feature === 'clone' &&
      (guest.template || disks.every(({ volid }) => canSnapshot(state, guest.node, volid, type))));
  const isShared = disks.every(({ volid }) =>
    state.storages.some((one) => one.shared && volid.startsWith(`${one.storage}:`)),
  );
  const nodes = isShared ? [...state.nodes.keys()] : [guest.node];
  return { hasFeature: has ? 1 : 0, ...(type === 'qemu' ? { nodes } : {}) };
}
