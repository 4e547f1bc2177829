import { ApiFailure, invalidParameters } from '../answer.ts';
import { changeClusterFile } from '../cluster-files.ts';
import { digestOf } from '../digest.ts';
import { listOf } from '../formats.ts';
import type { Parameters } from '../parameters.ts';
import type { Call, Route } from '../router.ts';
import type { SimulatedStorage, SimulatorState } from '../state.ts';

const mayLook = ['Datastore.Audit', 'Datastore.AllocateSpace'] as const;
const ofStorage = `content download-url file-restore import-metadata oci-registry-pull prunebackups rrd rrddata status
upload`.split(/\s+/);
const gibibyte = 2 ** 30;

/** Storages as the cluster defines them and as a node sees them. */
export const storageRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/storage',
    handle: ({ state, permissions, parameters: { type } }) => ({
      data: [...new Set(state.storages.map(({ storage }) => storage))]
        .filter((name) => permissions.has(`/storage/${name}`, ...mayLook))
        .map((name) => definition(state, name))
        .filter((one) => type === undefined || one.type === type),
    }),
  },
  {
    method: 'GET',
    path: '/storage/{storage}',
    handle: ({ state, parameters }) => ({ data: definition(state, String(parameters.storage)) }),
  },
  { method: 'POST', path: '/storage', handle: addStorage },
  { method: 'PUT', path: '/storage/{storage}', handle: changeStorage },
  {
    method: 'DELETE',
    path: '/storage/{storage}',
    handle: async ({ state, parameters }) => {
      const name = String(parameters.storage);
      await changeClusterFile(state, 'storage.cfg', 'delete storage failed', () => {
        entriesOf(state, name);
        const left = state.storages.filter(({ storage }) => storage !== name);
        state.storages.splice(0, state.storages.length, ...left);
        state.storageDefinitions.delete(name);
      });
      return { data: null };
    },
  },
  {
    method: 'GET',
    path: '/nodes/{node}/storage',
    handle: ({ state, permissions, parameters }) => ({
      data: state.storages
        .filter(({ storage, node }) => node === parameters.node && permissions.has(`/storage/${storage}`, ...mayLook))
        .filter(({ storage }) => parameters.storage === undefined || storage === parameters.storage)
        .filter(({ content }) => listOf(parameters.content).every((kind) => content.split(',').includes(kind)))
        .filter((one) => parameters.enabled !== 1 || isEnabled(state, one))
        .map((one) => ({ storage: one.storage, ...status(state, one, true) })),
    }),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/storage/{storage}',
    handle: () => ({ data: ofStorage.map((subdir) => ({ subdir })) }),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/storage/{storage}/status',
    handle: (call) => {
      const one = storageOn(call);
      if (!one) throw invalidParameters({ storage: 'No such storage.' });
      return { data: status(call.state, one, false) };
    },
  },
];

function storageOn({ state, parameters: { node, storage } }: Call): SimulatedStorage | undefined {
  return state.storages.find((one) => one.storage === storage && (one.node === node || one.shared));
}

/** The storage that a call is about, if it can be used on that node. */
export function storageFor(call: Call): SimulatedStorage {
  const name = call.parameters.storage;
  const one = storageOn(call);
  if (!one) throw new ApiFailure(500, `storage '${name}' does not exist`);
  if (one.disabled) throw new ApiFailure(500, `storage '${name}' is disabled`);
  if (!isFor(call.state, one)) {
    throw new ApiFailure(500, `storage '${name}' is not available on node '${call.parameters.node}'`);
  }
  if (one.status !== 'available') throw new ApiFailure(500, `storage '${name}' is not online`);
  return one;
}

/** The nodes that a storage is restricted to. */
function isFor(state: SimulatorState, { storage, node }: SimulatedStorage): boolean {
  const nodes = listOf(state.storageDefinitions.get(storage)?.nodes);
  return nodes.length === 0 || nodes.includes(node);
}

function isEnabled(state: SimulatorState, one: SimulatedStorage): boolean {
  return !one.disabled && isFor(state, one);
}

function status(state: SimulatorState, one: SimulatedStorage, withShare: boolean): Record<string, unknown> {
  const { plugin, content, shared, total, used } = one;
  const enabled = isEnabled(state, one);
  const active = one.status === 'available' && enabled;
  const share = withShare ? { used_fraction: used / total } : {};
  const sizes = active ? { total, used, avail: Math.max(0, total - used), ...share } : { total: 0, used: 0, avail: 0 };
  return {
    type: plugin,
    content,
    shared: shared ? 1 : 0,
    enabled: enabled ? 1 : 0,
    active: active ? 1 : 0,
    ...sizes,
  };
}

function entriesOf(state: SimulatorState, name: string): SimulatedStorage[] {
  const entries = state.storages.filter(({ storage }) => storage === name);
  if (entries.length === 0) throw new ApiFailure(500, `storage '${name}' does not exist`);
  return entries;
}

function definition(state: SimulatorState, name: string) {
  const [first] = entriesOf(state, name);
  const { plugin: type, content, shared, disabled } = first as SimulatedStorage;
  const all = [...state.storageDefinitions, ...state.storages.map((one) => [one.storage, one.content, one.disabled])];
  return {
    storage: name,
    type,
    content,
    ...(shared ? { shared: 1 } : {}),
    ...(disabled ? { disable: 1 } : {}),
    ...state.storageDefinitions.get(name),
    digest: digestOf(all),
  };
}

/** What has a parameter of its own in `storage.cfg` and isn't in the entries of `state.storages`. */
function optionsOf(parameters: Parameters): Record<string, string | number> {
  const elsewhere = ['storage', 'type', 'content', 'disable', 'shared', 'delete', 'digest', 'password'];
  const options = Object.entries(parameters).filter(([name]) => !elsewhere.includes(name));
  return Object.fromEntries(options.map(([name, value]) => [name, name === 'encryption-key' ? printOf(value) : value]));
}

/** The key itself goes into a file of its own; `storage.cfg` has its fingerprint, or 1 where it has none. */
function printOf(key: unknown): string | number {
  try {
    return (JSON.parse(String(key)) as { readonly fingerprint?: string }).fingerprint ?? 1;
  } catch {
    return 1;
  }
}

const required: Readonly<Record<string, string>> = {
  btrfs: 'path',
  cifs: 'server',
  dir: 'path',
  lvm: 'vgname',
  lvmthin: 'thinpool',
  nfs: 'export',
  pbs: 'datastore',
  zfspool: 'pool',
};

async function addStorage({ state, parameters }: Call) {
  const { storage, type, content = 'images,rootdir', shared, disable } = parameters;
  const name = String(storage);
  const option = required[String(type)];
  if (option !== undefined && parameters[option] === undefined) {
    throw new ApiFailure(500, `missing value for required option '${option}'`);
  }
  await changeClusterFile(state, 'storage.cfg', 'create storage failed', () => {
    if (state.storages.some((one) => one.storage === name)) {
      throw new ApiFailure(500, `storage ID '${name}' already defined`);
    }
    state.storageDefinitions.set(name, optionsOf(parameters));
    const isShared = shared === 1 || ['nfs', 'cifs', 'pbs', 'rbd', 'cephfs'].includes(String(type));
    for (const node of state.nodes.keys()) {
      state.storages.push({
        storage: name,
        node,
        plugin: String(type),
        content: String(content),
        shared: isShared,
        status: 'available',
        total: 100 * gibibyte,
        used: 0,
        ...(disable ? { disabled: true } : {}),
      });
    }
  });
  return { data: { storage: name, type } };
}

async function changeStorage({ state, parameters }: Call) {
  const name = String(parameters.storage);
  const unset = listOf(parameters.delete);
  const type = await changeClusterFile(state, 'storage.cfg', 'update storage failed', () => {
    const entries = entriesOf(state, name);
    const options = state.storageDefinitions.get(name) ?? {};
    Object.assign(options, optionsOf(parameters));
    for (const one of unset) delete options[one];
    state.storageDefinitions.set(name, options);
    for (const entry of entries) {
      if (parameters.disable !== undefined) entry.disabled = parameters.disable === 1;
      if (unset.includes('disable')) delete entry.disabled;
      if (parameters.content !== undefined) Object.assign(entry, { content: String(parameters.content) });
    }
    return entries[0]?.plugin;
  });
  return { data: { storage: name, type } };
}
