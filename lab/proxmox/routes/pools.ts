import type { Permissions } from '../access.ts';
import { ApiFailure } from '../answer.ts';
import { changeClusterFile } from '../cluster-files.ts';
import { listOf } from '../formats.ts';
import type { Parameters } from '../parameters.ts';
import type { Call, Route } from '../router.ts';
import type { SimulatedPool } from '../state/pools.ts';
import type { SimulatorState } from '../state.ts';
import { guestEntry, storageEntry } from './cluster.ts';

export const poolRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/pools',
    handle: ({ state, permissions, parameters }) => {
      const { poolid } = parameters;
      if (poolid !== undefined) {
        permissions.require(`/pool/${poolid}`, 'Pool.Audit');
        return { data: [withMembers(state, permissions, parameters)] };
      }
      const mine = [...state.pools].filter(([name]) => permissions.has(`/pool/${name}`, 'Pool.Audit'));
      return { data: mine.map(([name, pool]) => about(name, pool)) };
    },
  },
  {
    method: 'GET',
    path: '/pools/{poolid}',
    handle: ({ state, permissions, parameters }) => ({ data: withMembers(state, permissions, parameters) }),
  },
  {
    method: 'POST',
    path: '/pools',
    handle: async ({ state, parameters: { poolid, comment } }) => {
      const name = String(poolid);
      await changeClusterFile(state, 'user.cfg', 'create pool failed', () => {
        if (state.pools.has(name)) throw new ApiFailure(500, `pool '${name}' already exists`);
        const parent = name.slice(0, Math.max(0, name.lastIndexOf('/')));
        if (parent !== '') poolNamed(state, parent);
        const text = comment === undefined ? {} : { comment: String(comment) };
        state.pools.set(name, { vms: new Set(), storages: new Set(), ...text });
      });
      return { data: null };
    },
  },
  ...['/pools', '/pools/{poolid}'].flatMap((path): Route[] => [
    { method: 'PUT', path, handle: changePool },
    { method: 'DELETE', path, handle: deletePool },
  ]),
];

async function changePool({ state, permissions, parameters }: Call) {
  const { poolid, comment, vms, storage, delete: remove, 'allow-move': mayMove } = parameters;
  const name = String(poolid);
  await changeClusterFile(state, 'user.cfg', 'update pools failed', () => {
    const pool = poolNamed(state, name);
    if (comment !== undefined) pool.comment = String(comment);
    for (const vmid of listOf(vms).map(Number)) {
      permissions.require(`/vms/${vmid}`, 'Permissions.Modify', 'VM.Allocate');
      if (remove) takeOut(pool.vms, vmid, `VM ${vmid} is not a pool member`);
      else {
        if (pool.vms.has(vmid)) throw new ApiFailure(500, `VM ${vmid} is already a pool member`);
        leavePool(state, permissions, vmid, Boolean(mayMove));
        pool.vms.add(vmid);
      }
    }
    for (const one of listOf(storage)) {
      permissions.require(`/storage/${one}`, 'Permissions.Modify', 'Datastore.Allocate');
      if (remove) takeOut(pool.storages, one, `Storage '${one}' is not a pool member`);
      else if (pool.storages.has(one)) throw new ApiFailure(500, `Storage '${one}' is already a pool member`);
      else pool.storages.add(one);
    }
  });
  return { data: null };
}

/** A guest is in one pool at most. */
function leavePool(state: SimulatorState, permissions: Permissions, vmid: number, mayMove: boolean): void {
  const before = poolOf(state, vmid);
  if (before === undefined) return;
  if (!mayMove) {
    throw new ApiFailure(500, `VM ${vmid} belongs already to pool '${before}' and 'allow-move' is not set`);
  }
  permissions.require(`/pool/${before}`, 'Pool.Allocate');
  state.pools.get(before)?.vms.delete(vmid);
}

function takeOut<Member>(members: Set<Member>, member: Member, problem: string): void {
  if (!members.delete(member)) throw new ApiFailure(500, problem);
}

async function deletePool({ state, parameters }: Call) {
  const name = String(parameters.poolid);
  await changeClusterFile(state, 'user.cfg', 'delete pool failed', () => {
    const { vms, storages } = poolNamed(state, name);
    const below = [...state.pools.keys()].find((other) => other.startsWith(`${name}/`));
    const isThere = (storage: string) => state.storages.some((one) => one.storage === storage);
    const inside = [
      ...(below === undefined ? [] : [`pool '${below}'`]),
      ...[...vms].filter((vmid) => state.guests.has(vmid)).map((vmid) => `VM ${vmid}`),
      ...[...storages].filter(isThere).map((storage) => `storage '${storage}'`),
    ];
    if (inside.length > 0) throw new ApiFailure(500, `pool '${name}' is not empty (contains ${inside[0]})`);
    state.pools.delete(name);
    const left = state.acl.filter(({ path }) => path !== `/pool/${name}`);
    state.acl.splice(0, state.acl.length, ...left);
  });
  return { data: null };
}

/** The pool that a guest is in. */
export function poolOf(state: SimulatorState, vmid: number): string | undefined {
  return [...state.pools].find(([, { vms }]) => vms.has(vmid))?.[0];
}

function poolNamed(state: SimulatorState, name: string): SimulatedPool {
  const pool = state.pools.get(name);
  if (!pool) throw new ApiFailure(500, `pool '${name}' does not exist`);
  return pool;
}

function about(poolid: string, { comment }: SimulatedPool) {
  return { poolid, ...(comment === undefined ? {} : { comment }) };
}

function withMembers(state: SimulatorState, permissions: Permissions, { poolid, type }: Parameters) {
  const name = String(poolid);
  const pool = poolNamed(state, name);
  const guests = [...state.guests.values()]
    .filter(({ vmid }) => pool.vms.has(vmid) && permissions.has(`/vms/${vmid}`, 'VM.Audit'))
    .map((guest) => guestEntry(guest));
  const storages = [...pool.storages]
    .filter((storage) => permissions.has(`/storage/${storage}`, 'Datastore.Audit', 'Datastore.AllocateSpace'))
    .flatMap((storage) => state.storages.filter((one) => one.storage === storage).slice(0, 1))
    .map((storage) => storageEntry(storage));
  const members = [...guests, ...storages].filter((one) => type === undefined || one.type === type);
  return { ...about(name, pool), members };
}
