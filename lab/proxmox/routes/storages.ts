import type { Permissions } from '../access.ts';
import { ApiFailure, invalidParameters } from '../answer.ts';
import { vmidFormat } from '../parameters.ts';
import type { Call, Route } from '../router.ts';
import type { SimulatedArchive, SimulatedStorage } from '../state.ts';

const mayLook = ['Datastore.Audit', 'Datastore.AllocateSpace'] as const;
const kinds = ['backup', 'images', 'import', 'iso', 'none', 'rootdir', 'snippets', 'vztmpl'];

/** Storages as one node sees them, and the backups that they hold. Other content isn't there. */
export const storageRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/nodes/{node}/storage',
    onNode: true,
    parameters: { content: { type: 'string' }, enabled: { type: 'boolean' }, storage: { type: 'string' } },
    handle: ({ state, permissions, parameters }) => ({
      data: state.storages
        .filter(({ storage, node }) => node === parameters.node && permissions.has(`/storage/${storage}`, ...mayLook))
        .filter(({ content }) => parameters.content === undefined || holds(content, String(parameters.content)))
        .filter(({ disabled }) => !disabled || parameters.enabled !== 1)
        .map(entry),
    }),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/storage/{storage}/content',
    permission: { path: '/storage/{storage}', anyOf: mayLook },
    onNode: true,
    parameters: {
      content: {
        type: 'string',
        format: (value) => (kinds.includes(value) ? undefined : `invalid content type '${value}'`),
      },
      vmid: { type: 'integer', format: vmidFormat },
    },
    handle: (call) => ({ data: content(call) }),
  },
];

function holds(content: string, kind: string): boolean {
  return content.split(',').includes(kind);
}

function entry({ storage, plugin, content, shared, disabled, status, total, used }: SimulatedStorage) {
  const active = status === 'available' && !disabled;
  const sizes = active
    ? { total, used, avail: total - used, used_fraction: used / total }
    : { total: 0, used: 0, avail: 0 };
  return {
    storage,
    type: plugin,
    content,
    shared: shared ? 1 : 0,
    enabled: disabled ? 0 : 1,
    active: active ? 1 : 0,
    ...sizes,
  };
}

function content({ state, permissions, parameters }: Call): Record<string, unknown>[] {
  const { node, storage: name, content: kind, vmid } = parameters;
  const storage = state.storages.find((one) => one.storage === name && (one.node === node || one.shared));
  if (!storage) throw new ApiFailure(500, `storage '${name}' does not exist`);
  if (storage.disabled) throw new ApiFailure(500, `storage '${name}' is disabled`);
  if (storage.status !== 'available') throw new ApiFailure(500, `storage '${name}' is not online`);
  if (kind !== undefined && kind !== 'backup') throw invalidParameters({ content: 'not simulated' });
  return state.archives
    .filter((one) => one.storage === name && (storage.shared || one.node === node))
    .filter((one) => vmid === undefined || one.vmid === vmid)
    .filter((one) => mayRestore(permissions, one))
    .toSorted((a, b) => a.takenAt - b.takenAt)
    .map((one) => archive(one, storage.plugin));
}

/** Archives that the caller could not restore are left out, and nothing says so. */
function mayRestore(permissions: Permissions, { storage, vmid }: SimulatedArchive): boolean {
  const on = `/storage/${storage}`;
  if (permissions.has(on, 'Datastore.Allocate')) return true;
  return permissions.has(on, 'Datastore.AllocateSpace') && permissions.has(`/vms/${vmid}`, 'VM.Backup');
}

function archive(one: SimulatedArchive, plugin: string): Record<string, unknown> {
  const { storage, vmid, type, takenAt, size, notes, protected: isProtected, verification } = one;
  const when = new Date(takenAt * 1000).toISOString();
  const isServer = plugin === 'pbs';
  const format = isServer ? `pbs-${type === 'qemu' ? 'vm' : 'ct'}` : type === 'qemu' ? 'vma.zst' : 'tar.zst';
  const [day = '', clock = ''] = when.slice(0, 19).split('T');
  const file = `vzdump-${type}-${vmid}-${day.replaceAll('-', '_')}-${clock.replaceAll(':', '_')}.${format}`;
  return {
    volid: `${storage}:backup/${isServer ? `${type === 'qemu' ? 'vm' : 'ct'}/${vmid}/${when.replace('.000', '')}` : file}`,
    content: 'backup',
    format,
    subtype: type,
    vmid,
    ctime: takenAt,
    size,
    ...(notes === undefined ? {} : { notes }),
    ...(isProtected ? { protected: 1 } : {}),
    ...(verification === undefined ? {} : { verification: { state: verification, upid: '' } }),
  };
}
