import { setTimeout as sleep } from 'node:timers/promises';
import type { Permissions } from '../access.ts';
import { ApiFailure } from '../answer.ts';
import { archiveFormat, archiveVolid, removeArchive } from '../guests/archives.ts';
import { clonesOf, free, pathOf, type SimulatedVolume, volumeAt } from '../guests/volumes.ts';
import type { Call, Route } from '../router.ts';
import type { SimulatedArchive, SimulatedStorage } from '../state.ts';
import { storageFor } from './storages.ts';

const path = '/nodes/{node}/storage/{storage}/content/{volume}';
const block = 4096;

/** What is in a storage: backups, disks of guests, images, templates, ISOs. */
export const storageContentRoutes: readonly Route[] = [
  { method: 'GET', path: '/nodes/{node}/storage/{storage}/content', handle: (call) => ({ data: content(call) }) },
  { method: 'GET', path, handle: (call) => ({ data: volumeInfo(call) }) },
  {
    method: 'PUT',
    path,
    handle: (call) => {
      const { notes, protected: isProtected } = call.parameters;
      const volid = volidOf(call);
      requireAccess(call, volid);
      const archive = archiveNamed(call, volid);
      // Of a backup that isn't there it says nothing.
      if (archive && notes !== undefined) archive.notes = String(notes);
      if (archive && isProtected !== undefined) archive.protected = isProtected === 1;
      return { data: null };
    },
  },
  { method: 'DELETE', path, handle: remove },
];

function content(call: Call): Record<string, unknown>[] {
  const { state, permissions, parameters } = call;
  const { node, content: kind, vmid } = parameters;
  const storage = storageFor(call);
  const here = (one: { readonly storage: string; readonly node: string }) =>
    one.storage === storage.storage && (storage.shared || one.node === node);
  const backups = state.archives
    .filter((one) => here(one) && maySeeBackup(permissions, one))
    .toSorted((a, b) => a.takenAt - b.takenAt)
    .map((one) => archiveEntry(one, storage.plugin));
  const volumes = state.volumes
    .filter((one) => here(one) && maySeeVolume(permissions, one))
    .toSorted((a, b) => (a.volid < b.volid ? -1 : 1))
    .map(volumeEntry);
  return [...volumes, ...backups]
    .filter((one) => kind === undefined || one.content === kind)
    .filter((one) => vmid === undefined || one.vmid === vmid);
}

/** Archives that the caller could not restore are left out, and nothing says so. */
function maySeeBackup(permissions: Permissions, { storage, vmid }: SimulatedArchive): boolean {
  const on = `/storage/${storage}`;
  if (permissions.has(on, 'Datastore.Allocate')) return true;
  return permissions.has(on, 'Datastore.AllocateSpace') && permissions.has(`/vms/${vmid}`, 'VM.Backup');
}

function maySeeVolume(permissions: Permissions, { storage, vmid, content: kind }: SimulatedVolume): boolean {
  const on = `/storage/${storage}`;
  if (permissions.has(on, 'Datastore.Allocate')) return true;
  if (kind !== 'images' && kind !== 'rootdir') return permissions.has(on, 'Datastore.AllocateSpace', 'Datastore.Audit');
  return permissions.has(on, 'Datastore.Audit') && permissions.has(`/vms/${vmid}`, 'VM.Config.Disk');
}

function volumeEntry({ volid, content: kind, format, size, used, vmid, parent, ctime }: SimulatedVolume) {
  if (vmid === undefined) return { volid, content: kind, format, size, ctime };
  return { volid, content: kind, format, size, used, vmid, parent: parent ?? null, ctime };
}

/** As a list shows it: of notes only the first line. */
function archiveEntry(one: SimulatedArchive, plugin: string): Record<string, unknown> {
  const { vmid, type, takenAt, size, notes, protected: isProtected, verification, encrypted } = one;
  return {
    volid: archiveVolid(one, plugin),
    content: 'backup',
    format: archiveFormat(one, plugin),
    subtype: type,
    vmid,
    ctime: takenAt,
    size,
    ...(notes === undefined ? {} : { notes: notes.split('\n', 1)[0] }),
    ...(isProtected ? { protected: 1 } : {}),
    ...(verification === undefined ? {} : { verification: { state: verification, upid: '' } }),
    ...(encrypted === undefined ? {} : { encrypted }),
  };
}

/** With or without the storage before it. */
function volidOf({ parameters }: Call): string {
  const volume = String(parameters.volume);
  return volume.includes(':') ? volume : `${parameters.storage}:${volume}`;
}

function archiveNamed({ state, parameters }: Call, volid: string): SimulatedArchive | undefined {
  const plugin = pluginOf(state.storages, String(parameters.storage));
  return state.archives.find((one) => one.storage === parameters.storage && archiveVolid(one, plugin) === volid);
}

function pluginOf(storages: readonly SimulatedStorage[], name: string): string {
  return storages.find(({ storage }) => storage === name)?.plugin ?? '';
}

const backupName =
  /^[^:]+:backup\/(?:vzdump-(?:qemu|lxc)-(\d+)-\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d\.[\w.]+|(?:vm|ct)\/(\d+)\/[^/]+)$/;

/** Whose a volume is, by its name: also of one that isn't there. */
function ownerOf(volid: string): { kind: 'backup' | 'disk' | 'file'; vmid: number | undefined } {
  const volume = volid.slice(volid.indexOf(':') + 1);
  if (volume.startsWith('backup/')) {
    const [, file, snapshot] = backupName.exec(volid) ?? [];
    const vmid = file ?? snapshot;
    if (vmid === undefined) throw new ApiFailure(500, `unable to parse directory volume name '${volume}'`);
    return { kind: 'backup', vmid: Number(vmid) };
  }
  if (/^(iso|vztmpl|import|snippets)\//.test(volume)) return { kind: 'file', vmid: undefined };
  const vmid = /(?:vm|base|subvol)-(\d+)-/.exec(volume)?.[1];
  if (vmid === undefined) throw new ApiFailure(500, `unable to parse directory volume name '${volume}'`);
  return { kind: 'disk', vmid: Number(vmid) };
}

export function requireAccess({ permissions, parameters }: Call, volid: string): void {
  const on = `/storage/${parameters.storage}`;
  const { kind, vmid } = ownerOf(volid);
  if (permissions.has(on, 'Datastore.Allocate')) return;
  if (kind === 'file') permissions.require(on, 'Datastore.AllocateSpace', 'Datastore.Audit');
  else {
    permissions.require(on, kind === 'backup' ? 'Datastore.AllocateSpace' : 'Datastore.Audit');
    permissions.require(`/vms/${vmid}`, kind === 'backup' ? 'VM.Backup' : 'VM.Config.Disk');
  }
}

function volumeInfo(call: Call): Record<string, unknown> {
  const { state, parameters } = call;
  const volid = volidOf(call);
  requireAccess(call, volid);
  const storage = storageFor(call);
  const located = pathOf(storage, volid);
  const archive = archiveNamed(call, volid);
  if (archive) {
    const { size, notes = '', protected: isProtected } = archive;
    const used = Math.ceil(size / block) * block;
    const whole = Math.ceil(size / 512) * 512;
    return { path: located, size: whole, used, format: 'raw', notes, protected: isProtected ? 1 : 0 };
  }
  const volume = volumeAt(state, String(parameters.node), volid);
  if (!volume) throw new ApiFailure(500, `volume_size_info on '${volid}' failed - no format`);
  const { size, used, format } = volume;
  return { path: located, size, used, format: volume.vmid === undefined ? 'raw' : format };
}

async function remove(call: Call) {
  const { state, tasks, caller, permissions, parameters } = call;
  const volid = volidOf(call);
  const { kind, vmid } = ownerOf(volid);
  const name = String(parameters.storage);
  if (kind === 'backup') {
    permissions.require(`/storage/${name}`, 'Datastore.AllocateSpace');
    permissions.require(`/vms/${vmid}`, 'VM.Backup');
  } else permissions.require(`/storage/${name}`, 'Datastore.Allocate');
  const id = vmid === undefined ? name : `${vmid}@${name}`;
  const upid = tasks.start({ node: String(parameters.node), type: 'imgdel', id, caller }, async (task) => {
    const storage = storageFor(call);
    const archive = archiveNamed(call, volid);
    const volume = volumeAt(state, String(parameters.node), volid);
    if (archive?.protected) {
      throw new Error(`cannot remove protected volume '${volid.slice(name.length + 1)}' on '${name}'`);
    }
    if (volume && clonesOf(state, volid).length > 0) {
      throw new Error(`base volume '${volid.slice(name.length + 1)}' is still in use by linked cloned`);
    }
    if (archive) removeArchive(state, archive);
    else if (volume) free(state, volume);
    else task.log(`disk image '${pathOf(storage, volid)}' does not exist`);
    task.log(`Removed volume '${volid}'`);
  });
  const delay = Number(parameters.delay ?? 0) * 1000;
  const until = Date.now() + delay;
  while (Date.now() < until) {
    const { exitstatus } = state.tasks.get(upid) ?? {};
    if (exitstatus === 'OK') return { data: null };
    if (exitstatus !== undefined) throw new ApiFailure(500, exitstatus);
    await sleep(5);
  }
  return { data: upid };
}
