import { randomBytes, randomUUID } from 'node:crypto';
import type { SimulatedStorage, SimulatorState } from '../state.ts';

/** A volume of a storage, but for backups: a disk of a guest, an image, a template, an ISO. */
export interface SimulatedVolume {
  readonly storage: string;
  /** Of a storage that isn't shared: where it is. */
  node: string;
  /** `local:100/vm-100-disk-0.qcow2` */
  volid: string;
  readonly content: 'images' | 'rootdir' | 'iso' | 'vztmpl' | 'import' | 'snippets';
  readonly format: string;
  /** Bytes that it may hold; what its guest sees. */
  size: number;
  /** Bytes that it takes of its storage. */
  used: number;
  /** Whose disk it is. */
  readonly vmid?: number;
  /** The base that a linked clone needs: its volid. */
  readonly parent?: string;
  /** Unix seconds. */
  readonly ctime: number;
}

/** One line of a configuration that is a property string: `local:100/vm-100-disk-0.qcow2,size=16G`. */
export interface PropertyString {
  /** What comes first without a name: a volume, or a network card's model with its address. */
  readonly first: string;
  readonly rest: Readonly<Record<string, string>>;
}

/** Storages whose volumes aren't files in a folder of the guest. */
const blockPlugins = new Set(['zfspool', 'lvm', 'lvmthin', 'rbd', 'zfs', 'iscsidirect']);
/** Storages that make snapshots themselves, so that the format doesn't matter. */
const snapshotPlugins = new Set(['zfspool', 'lvmthin', 'rbd', 'btrfs', 'cephfs']);

/** Reads a property string; `file=` and `volume=` are the first value, as Proxmox has them. */
export function parseProperties(value: string): PropertyString {
  let first = '';
  const rest: Record<string, string> = {};
  for (const part of value.split(',')) {
    const [, name, given] = /^([\w-]+)=(.*)$/s.exec(part) ?? [];
    if (name === undefined || given === undefined) first = part;
    else if (name === 'file' || name === 'volume') first = given;
    else rest[name] = given;
  }
  return { first, rest };
}

/** The other way round; without a first value only the named ones. */
export function printProperties({ first, rest }: PropertyString): string {
  const named = Object.entries(rest).map(([name, value]) => `${name}=${value}`);
  return [...(first === '' ? [] : [first]), ...named].join(',');
}

const units: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** `16G` in bytes; undefined for what is no size. */
export function parseSize(text: string): number | undefined {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)([KMGT])?$/.exec(text) ?? [];
  return number === undefined ? undefined : Math.round(Number(number) * (units[unit] ?? 1));
}

/** Bytes as Proxmox writes a disk's size: in the biggest unit that leaves no rest. */
export function formatSize(bytes: number): string {
  for (const unit of ['T', 'G', 'M', 'K']) {
    const factor = units[unit] ?? 1;
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return String(bytes);
}

/** A network card's address in Proxmox's own range. */
export function newMac(): string {
  return ['BC', '24', '11', ...(randomBytes(3).toString('hex').toUpperCase().match(/../g) ?? [])].join(':');
}

/** `local` of `local:100/vm-100-disk-0.qcow2`. */
export function storageOf(volid: string): string {
  return volid.slice(0, volid.indexOf(':'));
}

/** The storage as that node has it. */
export function storageAt(
  state: Pick<SimulatorState, 'storages'>,
  node: string,
  name: string,
): SimulatedStorage | undefined {
  return state.storages.find((one) => one.storage === name && (one.node === node || one.shared));
}

/** The storage, or the error that Proxmox has when it can't be used on that node. */
export function usableStorage(state: Pick<SimulatorState, 'storages'>, node: string, name: string): SimulatedStorage {
  const storage = storageAt(state, node, name);
  if (!storage) {
    const elsewhere = state.storages.some((one) => one.storage === name);
    throw new Error(
      elsewhere ? `storage '${name}' is not available on node '${node}'` : `storage '${name}' does not exist`,
    );
  }
  if (storage.disabled) throw new Error(`storage '${name}' is disabled`);
  if (storage.status !== 'available') throw new Error(`storage '${name}' is not online`);
  return storage;
}

/** A volume that a node can reach. */
export function volumeAt(
  state: Pick<SimulatorState, 'storages' | 'volumes'>,
  node: string,
  volid: string,
): SimulatedVolume | undefined {
  const isShared = state.storages.some((one) => one.storage === storageOf(volid) && one.shared);
  return state.volumes.find((one) => one.volid === volid && (isShared || one.node === node));
}

/** Whether a snapshot of that volume can be made. */
export function canSnapshot(
  state: Pick<SimulatorState, 'storages' | 'volumes'>,
  node: string,
  volid: string,
  type: 'qemu' | 'lxc',
): boolean {
  const plugin = storageAt(state, node, storageOf(volid))?.plugin ?? '';
  return snapshotPlugins.has(plugin) || (type === 'qemu' && volid.endsWith('.qcow2'));
}

/** Whether the volumes of a storage are files, and of which format they are when nobody asks for another. */
export function defaultFormat(storage: SimulatedStorage, type: 'qemu' | 'lxc'): string {
  return type === 'lxc' && storage.plugin === 'zfspool' ? 'subvol' : 'raw';
}

/** What a storage still has; without a word for one that can't say. */
export function freeBytes(storage: SimulatedStorage): number {
  return Math.max(0, storage.total - storage.used);
}

/** Where a file of a directory storage lies on its node. */
export function pathOf(storage: SimulatedStorage | undefined, volid: string): string {
  const [name = '', volume = ''] = volid.split(/:(.*)/s);
  if (storage && blockPlugins.has(storage.plugin)) return `/dev/${name}/${volume}`;
  const root =
    storage?.plugin === 'btrfs' ? '/var/lib/pve-btrfs' : name === 'local' ? '/var/lib/vz' : `/mnt/pve/${name}`;
  const folder = /^(iso|vztmpl|import|snippets|backup)\//.exec(volume)?.[1];
  const folders: Readonly<Record<string, string>> = {
    iso: 'template/iso',
    vztmpl: 'template/cache',
    import: 'import',
    snippets: 'snippets',
    backup: 'dump',
  };
  if (folder) return `${root}/${folders[folder]}/${volume.slice(folder.length + 1)}`;
  return `${root}/images/${volume}`;
}

/** What is asked of a storage. */
export interface NewVolume {
  readonly node: string;
  readonly vmid: number;
  readonly type: 'qemu' | 'lxc';
  readonly storage: string;
  readonly size: number;
  readonly format?: string | undefined;
  /** `disk` for `vm-100-disk-0`; else the whole end of the name: `cloudinit`, `state-before`. */
  readonly role?: string;
  /** Bytes that are written at once. Default: next to nothing, it is sparse. */
  readonly used?: number;
  readonly parent?: string;
}

const emptyImage = 4096;

/** Makes a volume of a guest, or fails as a storage does that is full or can't hold it. */
export function allocate(
  state: SimulatorState,
  wanted: NewVolume,
  log: (line: string) => void = () => undefined,
): SimulatedVolume {
  const { node, vmid, type, role = 'disk', parent, used = emptyImage, size } = wanted;
  const storage = usableStorage(state, node, wanted.storage);
  const content = type === 'qemu' ? 'images' : 'rootdir';
  if (!storage.content.split(',').includes(content)) {
    throw new Error(`storage '${storage.storage}' does not support content-type '${content}'`);
  }
  const isBlock = blockPlugins.has(storage.plugin);
  const format = isBlock ? defaultFormat(storage, type) : (wanted.format ?? defaultFormat(storage, type));
  const name = nameOf(state, { node, vmid, storage: storage.storage, role, format, isBlock });
  const base = parent === undefined ? '' : `${parent.slice(storage.storage.length + 1)}/`;
  const volid = `${storage.storage}:${base}${isBlock ? name : `${vmid}/${name}`}`;
  const path = pathOf(storage, `${storage.storage}:${isBlock ? name : `${vmid}/${name}`}`);
  if (!isBlock && storage.plugin !== 'btrfs') {
    log(`Formatting '${path}', fmt=${format} ${imageOptions(format, size, parent)}`);
  }
  // What ext4 can hold in one file.
  if (!isBlock && size > 16 * 2 ** 40) {
    throw new Error(
      `unable to create image: qemu-img: ${path}: The image size is too large for file format '${format}'`,
    );
  }
  if (used > freeBytes(storage)) throw new Error(`unable to create image: ${path}: No space left on device`);
  const volume: SimulatedVolume = {
    storage: storage.storage,
    node,
    volid,
    content,
    format,
    size,
    used,
    vmid,
    ...(parent === undefined ? {} : { parent }),
    ctime: Math.floor(Date.now() / 1000),
  };
  state.volumes.push(volume);
  storage.used += used;
  return volume;
}

/** What `qemu-img` says of the image that it makes. */
function imageOptions(format: string, size: number, parent: string | undefined): string {
  if (format !== 'qcow2') return `size=${size} preallocation=off`;
  const cluster = parent === undefined ? 'cluster_size=65536 extended_l2=off' : 'cluster_size=131072 extended_l2=on';
  const base = parent === undefined ? '' : ` backing_file=../${parent.split(':')[1]} backing_fmt=qcow2`;
  const rest = 'lazy_refcounts=off refcount_bits=16';
  return `${cluster} preallocation=metadata compression_type=zlib size=${size}${base} ${rest}`;
}

/** What `mkfs` says of a container's new file system. */
export function fileSystemLines(size: number): string[] {
  const block = size < 512 * 2 ** 20 ? 1024 : 4096;
  const blocks = size / block;
  const group = block === 1024 ? 8192 : 32_768;
  const backups = [1, 3, 5, 7, 9, 25, 27, 49].map((index) => index * group + (block === 1024 ? 1 : 0));
  const inodes = Math.ceil(blocks / 4 / 16) * 16 + (blocks % group === 0 ? 0 : 112);
  return [
    `Creating filesystem with ${blocks} ${block / 1024}k blocks and ${inodes} inodes`,
    `Filesystem UUID: ${randomUUID()}`,
    'Superblock backups stored on blocks: ',
    `\t${backups.filter((at) => at < blocks).join(', ')}`,
  ];
}

function nameOf(
  state: SimulatorState,
  {
    node,
    vmid,
    storage,
    role,
    format,
    isBlock,
  }: { node: string; vmid: number; storage: string; role: string; format: string; isBlock: boolean },
): string {
  const end = isBlock ? '' : `.${format}`;
  const kind = format === 'subvol' ? 'subvol' : 'vm';
  if (role !== 'disk') return `${kind}-${vmid}-${role}${end}`;
  const taken = state.volumes.filter((one) => one.storage === storage && one.vmid === vmid && one.node === node);
  for (let number = 0; ; number += 1) {
    const stem = new RegExp(`-${vmid}-disk-${number}(\\.|$)`);
    if (!taken.some(({ volid }) => stem.test(volid))) return `${kind}-${vmid}-disk-${number}${end}`;
  }
}

/** Takes a volume away and gives its space back. */
export function free(state: SimulatorState, volume: SimulatedVolume): void {
  const at = state.volumes.indexOf(volume);
  if (at === -1) return;
  state.volumes.splice(at, 1);
  const storage = storageAt(state, volume.node, volume.storage);
  if (storage) storage.used = Math.max(0, storage.used - volume.used);
}

/** The linked clones of a base volume. */
export function clonesOf(state: Pick<SimulatorState, 'volumes'>, volid: string): readonly SimulatedVolume[] {
  return state.volumes.filter(({ parent }) => parent === volid);
}
