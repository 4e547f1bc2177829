import { createHash, randomUUID } from 'node:crypto';
import type { SimulatedGuest, SimulatedNode } from '../state.ts';
import { formatSize, parseProperties, parseSize, printProperties, type SimulatedVolume, storageOf } from './volumes.ts';

export type ConfigValue = string | number;
/** A guest's configuration by option, as the API names and types them. */
export type GuestConfig = Record<string, ConfigValue>;

/** A snapshot as the guest's configuration file holds it. */
export interface SimulatedSnapshot {
  readonly name: string;
  /** Unix seconds. */
  readonly snaptime: number;
  description: string;
  /** Another snapshot's name. */
  parent?: string;
  /** The volume with the memory, where that was saved. */
  readonly vmstate?: string;
  /** What the configuration was then. */
  readonly config: GuestConfig;
}

const mebibyte = 2 ** 20;
const machineDisk = /^(scsi\d+|virtio\d+|sata\d+|ide\d+|efidisk0|tpmstate0|unused\d+)$/;
const containerDisk = /^(rootfs|mp\d+|unused\d+)$/;

/** Whether an option names a volume of such a guest. */
export function isDiskOption(type: SimulatedGuest['type'], option: string): boolean {
  return (type === 'qemu' ? machineDisk : containerDisk).test(option);
}

/** The disks of a configuration, without CD drives that hold nothing of the guest's own. */
export function disksOf(
  type: SimulatedGuest['type'],
  config: GuestConfig,
): { readonly option: string; readonly volid: string; readonly value: string }[] {
  return Object.entries(config)
    .filter(([option]) => isDiskOption(type, option))
    .map(([option, value]) => ({ option, value: String(value), volid: parseProperties(String(value)).first }))
    .filter(({ volid, value }) => volid.includes(':') && (!isCdrom(value) || isCloudInit(value)));
}

/** A CD drive, with or without a disc. */
export function isCdrom(value: string): boolean {
  return parseProperties(value).rest.media === 'cdrom' || parseProperties(value).first === 'none';
}

/** The drive that Proxmox writes cloud-init's data on. */
export function isCloudInit(value: string): boolean {
  return /(^|[:/-])cloudinit(\.|$)/.test(parseProperties(value).first);
}

/** The option of the disk that the guest starts from. */
export function bootDisk(type: SimulatedGuest['type'], config: GuestConfig): string | undefined {
  if (type === 'lxc') return 'rootfs' in config ? 'rootfs' : undefined;
  const order = /(?:^|,)order=([^,]*)/.exec(String(config.boot ?? ''))?.[1]?.split(';') ?? [
    'scsi0',
    'virtio0',
    'sata0',
    'ide0',
  ];
  return order.find((option) => machineDisk.test(option) && option in config && !isCdrom(String(config[option])));
}

/** Where nothing is said, Proxmox's own. */
function memoryOf(config: GuestConfig): number {
  const given = config.memory === undefined ? undefined : parseProperties(String(config.memory));
  return Number(given?.rest.current ?? given?.first ?? 512) * mebibyte || 512 * mebibyte;
}

function diskOf(type: SimulatedGuest['type'], config: GuestConfig): number {
  const option = bootDisk(type, config);
  return option === undefined ? 0 : (parseSize(parseProperties(String(config[option])).rest.size ?? '') ?? 0);
}

/** The whole configuration as it is read over the API, but for its digest. */
export function readConfig(guest: SimulatedGuest): GuestConfig {
  const { lock, tags, protection, onboot, template, parent } = guest;
  return {
    ...guest.config,
    ...(lock === undefined ? {} : { lock }),
    ...(protection === undefined ? {} : { protection: protection ? 1 : 0 }),
    ...(onboot === undefined ? {} : { onboot: onboot ? 1 : 0 }),
    ...(template ? { template: 1 } : {}),
    ...(tags === undefined ? {} : { tags }),
    ...(parent === undefined ? {} : { parent }),
  };
}

/** Sets one option, or takes it away. */
export function setOption(guest: SimulatedGuest, option: string, value: ConfigValue | null): void {
  const config = guest.config ?? {};
  guest.config = config;
  switch (option) {
    case 'lock':
    case 'tags':
    case 'parent':
      if (value === null) delete guest[option];
      else guest[option] = String(value);
      return;
    case 'protection':
    case 'onboot':
      if (value === null) delete guest[option];
      else guest[option] = value !== 0 && value !== '0';
      return;
    case 'template':
      guest.template = value !== null && value !== 0 && value !== '0';
      return;
    default:
      if (value === null) delete config[option];
      else config[option] = value;
  }
}

/** Puts a whole configuration in the place of the present one. */
export function writeConfig(guest: SimulatedGuest, next: GuestConfig): void {
  for (const option of Object.keys(readConfig(guest))) if (!(option in next)) setOption(guest, option, null);
  for (const [option, value] of Object.entries(next)) setOption(guest, option, value);
}

/** The configuration as its file has it: options, what is pending, snapshots. */
export function configText(guest: SimulatedGuest): string {
  const section = (config: Readonly<Record<string, ConfigValue | null>>) =>
    Object.keys(config)
      .toSorted()
      .map((option) =>
        option === 'description'
          ? `#${encodeURIComponent(String(config[option]))}\n`
          : `${option}: ${config[option]}\n`,
      )
      .join('');
  const snapshots = (guest.snapshots ?? []).map(
    ({ name, config, snaptime, description, parent }) =>
      `\n[${name}]\n#${encodeURIComponent(description)}\n${section({ ...config, snaptime, ...(parent ? { parent } : {}) })}`,
  );
  const pending = Object.keys(guest.pending ?? {}).length > 0 ? `\n[PENDING]\n${section(guest.pending ?? {})}` : '';
  return section(readConfig(guest)) + pending + snapshots.join('');
}

/** Changes with every change of the configuration. */
export function digestOf(guest: SimulatedGuest): string {
  return createHash('sha1').update(configText(guest)).digest('hex');
}

/** What a guest has of which nobody said anything. */
function defaultConfig(guest: Pick<SimulatedGuest, 'vmid' | 'type'>): GuestConfig {
  const { vmid, type } = guest;
  const mac = `BC:24:11:${[vmid >> 16, vmid >> 8, vmid].map((part) => (part & 255).toString(16).padStart(2, '0').toUpperCase()).join(':')}`;
  if (type === 'qemu') {
    return {
      name: '',
      memory: '512',
      cores: 1,
      ostype: 'l26',
      boot: 'order=scsi0;net0',
      scsihw: 'virtio-scsi-single',
      scsi0: `local:${vmid}/vm-${vmid}-disk-0.qcow2,size=16G`,
      net0: `virtio=${mac},bridge=vmbr0`,
      smbios1: `uuid=${randomUUID()}`,
      vmgenid: randomUUID(),
    };
  }
  return {
    hostname: '',
    arch: 'amd64',
    memory: 512,
    swap: 512,
    ostype: 'unmanaged',
    unprivileged: 1,
    rootfs: `local:${vmid}/vm-${vmid}-disk-0.raw,size=16G`,
    net0: `name=eth0,bridge=vmbr0,hwaddr=${mac},ip=dhcp,type=veth`,
  };
}

/** What guests belong to. */
export interface GuestHouse {
  readonly nodes: ReadonlyMap<string, SimulatedNode>;
  readonly volumes: SimulatedVolume[];
  readonly storages: readonly { readonly storage: string; readonly shared: boolean }[];
}

const houses = new WeakMap<object, GuestHouse>();

/** The guests of a cluster. One that is put in gets its whole configuration and its disks. */
export class Guests extends Map<number, SimulatedGuest> {
  readonly #house: GuestHouse;

  constructor(house: GuestHouse) {
    super();
    this.#house = house;
  }

  override set(vmid: number, guest: SimulatedGuest): this {
    adopt(this.#house, guest);
    return super.set(vmid, guest);
  }

  override delete(vmid: number): boolean {
    const { volumes } = this.#house;
    for (let at = volumes.length - 1; at >= 0; at -= 1) if (volumes[at]?.vmid === vmid) volumes.splice(at, 1);
    return super.delete(vmid);
  }

  override clear(): void {
    for (const vmid of [...this.keys()]) this.delete(vmid);
  }
}

/**
 * Makes the figures of a guest (name, CPUs, memory, disk) views of its configuration: who changes the one has changed
 * the other. Its node takes its disks along, where they are on a storage of the node's own.
 */
function adopt(house: GuestHouse, guest: SimulatedGuest): void {
  const isKnown = houses.has(guest);
  houses.set(guest, house);
  if (!isKnown) {
    const { name, cpus, memory, disk, node, type } = guest;
    guest.config = guest.config === undefined ? defaultConfig(guest) : { ...guest.config };
    if (guest.snapshots) guest.snapshots = guest.snapshots.map((one) => ({ ...one }));
    if (guest.pending) guest.pending = { ...guest.pending };
    view(
      guest,
      'name',
      () =>
        String(
          guest.config?.[type === 'qemu' ? 'name' : 'hostname'] ??
            (type === 'qemu' ? `VM ${guest.vmid}` : `CT${guest.vmid}`),
        ),
      (value) => setOption(guest, type === 'qemu' ? 'name' : 'hostname', value),
    );
    view(
      guest,
      'cpus',
      () => cpusOf(guest),
      (value) => {
        setOption(guest, 'sockets', null);
        setOption(guest, 'cores', value);
      },
    );
    view(
      guest,
      'memory',
      () => memoryOf(guest.config ?? {}),
      (value) => {
        const figure = Math.max(1, Math.round(value / mebibyte));
        setOption(guest, 'memory', type === 'qemu' ? String(figure) : figure);
      },
    );
    view(
      guest,
      'disk',
      () => diskOf(type, guest.config ?? {}),
      (value) => resizeBootDisk(guest, value),
    );
    let where = node;
    view(
      guest,
      'node',
      () => where,
      (value) => {
        const { volumes, storages } = houses.get(guest) ?? house;
        const isShared = (volume: SimulatedVolume) =>
          storages.some(({ storage, shared }) => shared && storage === volume.storage);
        for (const volume of volumes) if (volume.vmid === guest.vmid && !isShared(volume)) volume.node = value;
        where = value;
      },
    );
    if (name !== undefined && guest.name !== name) guest.name = name;
    if (cpus !== undefined && guest.cpus !== cpus) guest.cpus = cpus;
    if (memory !== undefined && guest.memory !== memory) guest.memory = memory;
    if (disk !== undefined && guest.disk !== disk) guest.disk = disk;
  }
  for (const { volid, value } of disksOf(guest.type, guest.config ?? {})) {
    if (house.volumes.some((one) => one.volid === volid && one.node === guest.node)) continue;
    const size = parseSize(parseProperties(value).rest.size ?? '') ?? 0;
    house.volumes.push({
      storage: storageOf(volid),
      node: guest.node,
      volid,
      content: guest.type === 'qemu' ? 'images' : 'rootdir',
      format:
        /\.(raw|qcow2|vmdk)$/.exec(volid)?.[1] ?? (guest.type === 'lxc' && volid.includes('subvol') ? 'subvol' : 'raw'),
      size,
      used: Math.floor(size / 4),
      vmid: guest.vmid,
      ctime: Math.floor(Date.now() / 1000) - 86_400,
    });
  }
}

function view<Field extends 'name' | 'cpus' | 'memory' | 'disk' | 'node'>(
  guest: SimulatedGuest,
  field: Field,
  get: () => SimulatedGuest[Field],
  set: (value: SimulatedGuest[Field]) => void,
): void {
  Object.defineProperty(guest, field, { enumerable: true, configurable: true, get, set });
}

function cpusOf(guest: SimulatedGuest): number {
  const { cores, sockets = 1 } = guest.config ?? {};
  if (cores !== undefined) return Number(cores) * Number(sockets);
  // A container without a limit has those of its node.
  return guest.type === 'qemu' ? Number(sockets) : (houses.get(guest)?.nodes.get(guest.node)?.cpus ?? 1);
}

function resizeBootDisk(guest: SimulatedGuest, bytes: number): void {
  const option = bootDisk(guest.type, guest.config ?? {});
  if (option === undefined || !guest.config) return;
  const { first, rest } = parseProperties(String(guest.config[option]));
  guest.config[option] = printProperties({ first, rest: { ...rest, size: formatSize(bytes) } });
  const volume = houses.get(guest)?.volumes.find((one) => one.volid === first && one.vmid === guest.vmid);
  if (volume) volume.size = bytes;
}
