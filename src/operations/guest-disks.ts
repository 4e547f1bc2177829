import { z } from 'zod';
import { type ApiRead, apiRead, type Refusal } from './api-change.ts';
import type { GuestConfig } from './guest-config.ts';
import { said, some } from './said.ts';
import type { Place } from './target.ts';

// Disks of guests as their configuration has them, and the storages that they are on.

type GuestPlace = Extract<Place, { readonly kind: 'guest' }>;

/** A line of a configuration with parts: `local:100/vm-100-disk-0.qcow2,discard=on,size=16G`. */
export interface PropertyLine {
  /** What stands first without a name, or as `file=` or `volume=`: mostly the volume. */
  readonly first: string;
  readonly rest: Readonly<Record<string, string>>;
}

/** Takes a property line apart. */
export function propertiesOf(line: string): PropertyLine {
  let first = '';
  const rest: Record<string, string> = {};
  for (const part of line.split(',')) {
    const at = part.indexOf('=');
    const [name, value] = at === -1 ? ['', part] : [part.slice(0, at), part.slice(at + 1)];
    if (name === '' || name === 'file' || name === 'volume') first = value;
    else rest[name] = value;
  }
  return { first, rest };
}

const vmDisk = /^(?:scsi(?:[0-9]|[12][0-9]|30)|virtio(?:[0-9]|1[0-5])|sata[0-5]|ide[0-3]|efidisk0|tpmstate0)$/;
const containerDisk = /^(?:rootfs|mp(?:[0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))$/;
const unused = /^unused[0-9]{1,3}$/;

/** Whether a key of a configuration is that of a disk; a CD drive's is one, too. */
export function isDiskKey(type: GuestPlace['type'], key: string): boolean {
  return (type === 'qemu' ? vmDisk : containerDisk).test(key);
}

/** Whether a key names a volume that the guest has and doesn't use. */
export function isUnusedKey(key: string): boolean {
  return unused.test(key);
}

export function isCdrom(line: string): boolean {
  return propertiesOf(line).rest.media === 'cdrom' && !isCloudInit(line);
}

/** The drive on which Proxmox gives cloud-init its data. */
export function isCloudInit(line: string): boolean {
  return /(?:^|[:/-])cloudinit(?:\.[a-z0-9]+)?$/.test(propertiesOf(line).first);
}

/** One disk of a guest. */
export interface GuestDisk {
  /** `scsi0`, `rootfs` */
  readonly key: string;
  /** `local:100/vm-100-disk-0.qcow2` */
  readonly volume: string;
  readonly storage: string;
  /** Bytes; absent where the configuration doesn't say. */
  readonly size?: number;
  readonly line: string;
}

/** The disks of a guest, without CD drives and what isn't a volume. */
export function disksOf(type: GuestPlace['type'], config: GuestConfig): readonly GuestDisk[] {
  return Object.entries(config).flatMap(([key, line]) => {
    if (!isDiskKey(type, key) || isCdrom(line)) return [];
    const { first: volume, rest } = propertiesOf(line);
    const at = volume.indexOf(':');
    if (at < 1 || volume.startsWith('/')) return [];
    const size = rest.size === undefined ? undefined : bytesOf(rest.size);
    return [{ key, volume, storage: volume.slice(0, at), line, ...(size === undefined ? {} : { size }) }];
  });
}

/** The volumes that a guest has and doesn't use. */
export function unusedOf(config: GuestConfig): readonly GuestDisk[] {
  return Object.entries(config).flatMap(([key, line]) => {
    const { first: volume } = propertiesOf(line);
    return isUnusedKey(key) ? [{ key, volume, storage: volume.slice(0, volume.indexOf(':')), line }] : [];
  });
}

/** The disk, or why there is none of that key. */
export function findDisk(
  guest: GuestPlace,
  config: GuestConfig,
  key: string,
): { readonly disk: GuestDisk } | { readonly none: Refusal } {
  const disks = disksOf(guest.type, config);
  const disk = disks.find((one) => one.key === key);
  if (disk !== undefined) return { disk };
  const line = config[key];
  const why =
    line !== undefined && isCdrom(line)
      ? `${key} is a CD drive`
      : line === undefined
        ? `there is no ${said(key, 40)}`
        : `${key} is no volume of a storage`;
  return {
    none: {
      refused: {
        code: 'not-found',
        message: `The ${guest.type === 'qemu' ? 'VM' : 'container'} ${guest.vmid} has no such disk: ${why}, and nothing was done`,
        remedy: `Name one of its disks: ${some(disks.map((one) => one.key))}.`,
        field: 'disk',
      },
    },
  };
}

const units: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** `16G` in bytes; undefined for what is no size. */
export function bytesOf(size: string): number | undefined {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)([KMGT]?)$/.exec(size) ?? [];
  return number === undefined ? undefined : Math.round(Number(number) * (units[unit] ?? 1));
}

/** Bytes as Proxmox writes a size: in the biggest unit that leaves no rest. */
export function sizeText(bytes: number): string {
  const unit = ['T', 'G', 'M', 'K'].find((one) => bytes > 0 && bytes % (units[one] ?? 1) === 0) ?? '';
  return `${bytes / (units[unit] ?? 1)}${unit}`;
}

/** Bytes for people: `3.2 GiB`. */
export function roughly(bytes: number): string {
  const unit = ['T', 'G', 'M', 'K'].find((one) => bytes >= (units[one] ?? 1));
  if (unit === undefined) return `${bytes} bytes`;
  return `${Number((bytes / (units[unit] ?? 1)).toFixed(1))} ${unit}iB`;
}

/** Proxmox's rule for names of storages. */
export function storageName() {
  return z
    .string()
    .max(100)
    .regex(/^[a-zA-Z][a-zA-Z0-9._-]*[a-zA-Z0-9]$/, 'expected the name of a storage, e.g. local-lvm');
}

const flag = () => z.union([z.number(), z.boolean(), z.string()]).transform(Number);

const nodeStorages = () =>
  z.array(
    z.object({
      storage: z.string(),
      type: z.string().default(''),
      content: z.string().default(''),
      avail: z.number().optional(),
      active: flag().optional(),
      enabled: flag().optional(),
      shared: flag().optional(),
    }),
  );

export type NodeStorage = z.output<ReturnType<typeof nodeStorages>>[number];

/** The storages of a node with what is free; those that the API token may not see are missing. */
export function readStorages(node: string): ApiRead<ReturnType<typeof nodeStorages>> {
  return apiRead({ template: '/nodes/*/storage', values: [node], schema: nodeStorages() });
}

/** Kinds of content in the words of people. */
const contents = {
  images: 'disks of VMs',
  rootdir: 'disks of containers',
  iso: 'ISO images',
  vztmpl: 'container templates',
  import: 'images to import',
  backup: 'backups',
} as const;
export type Content = keyof typeof contents;

/** Why a storage of a node can't take something; undefined: it can. */
export function refuseStorage(
  storages: readonly NodeStorage[],
  {
    storage: name,
    node,
    content,
    bytes = 0,
    field = 'storage',
  }: {
    readonly storage: string;
    readonly node: string;
    readonly content: Content;
    /** What is to be put there. */
    readonly bytes?: number;
    readonly field?: string;
  },
): Refusal | undefined {
  const can = storages.filter((one) => isUsable(one) && one.content.split(',').includes(content));
  const found = storages.find(({ storage }) => storage === name);
  const free = ({ avail }: NodeStorage) => (avail === undefined ? '' : ` (${roughly(avail)} free)`);
  const named = can.slice(0, 10).map((one) => `${said(one.storage, 100)}${free(one)}`);
  const remedy = `Storages of ${node} for ${contents[content]}: ${named.join(', ') || 'none'}.`;
  const refuse = (code: Refusal['refused']['code'], why: string): Refusal => ({
    refused: { code, message: `${why}, and nothing was done`, remedy, field },
  });
  if (found === undefined) {
    return refuse('not-found', `${node} has no storage ${name}, or the API token may not see it`);
  }
  if (!isUsable(found)) return refuse('conflict', `The storage ${name} is off or away on ${node}`);
  if (!found.content.split(',').includes(content)) {
    return refuse('invalid-input', `The storage ${name} does not hold ${contents[content]}`);
  }
  if (found.avail === undefined) return undefined;
  // Only these take the whole size at once; of others a part may be enough.
  const wholeAtOnce = found.type === 'lvm' || content === 'iso' || content === 'vztmpl' || content === 'import';
  if (found.avail < Math.max(fullBelow, wholeAtOnce ? bytes : 0)) {
    return refuse(
      'conflict',
      `The storage ${name} has only ${roughly(found.avail)} free${bytes > 0 ? ` for ${roughly(bytes)}` : ''}`,
    );
  }
  return undefined;
}

/** Less than that is a full storage. */
const fullBelow = 32 * 2 ** 20;

/** For a plan's risks: a disk that may need more than there is. */
export function spaceRisks(storages: readonly NodeStorage[], name: string, bytes: number): string[] {
  const avail = storages.find(({ storage }) => storage === name)?.avail;
  if (avail === undefined || avail >= bytes) return [];
  return [`The storage ${name} has ${roughly(avail)} free, and the disk may grow to ${roughly(bytes)}`];
}

/** It is there, and not turned off. */
export function isUsable({ active, enabled }: NodeStorage): boolean {
  return active !== 0 && enabled !== 0;
}

const volumes = (wanted: (volume: string) => boolean) =>
  z
    .array(z.object({ volid: z.string(), size: z.number().optional(), format: z.string().optional() }))
    .transform((all) => all.filter(({ volid }) => wanted(volid)));

/** Of a storage the volumes of a guest. */
export function readVolumes(node: string, storage: string, guest: GuestPlace) {
  return apiRead({
    template: '/nodes/*/storage/*/content',
    values: [node, storage],
    parameters: { vmid: guest.vmid },
    schema: volumes(() => true),
    absent: [],
  });
}

/** Of a storage one volume, as a list of one or none. */
export function readVolume(node: string, storage: string, volume: string) {
  return apiRead({
    template: '/nodes/*/storage/*/content',
    values: [node, storage],
    schema: volumes((one) => one === volume),
    absent: [],
  });
}

/** How a disk is named: the key that it has in the configuration. */
export function diskKey() {
  return z
    .string()
    .regex(
      /^(?:(?:scsi|virtio|sata|ide|mp)\d{1,3}|efidisk0|tpmstate0|rootfs)$/,
      'expected the name of a disk, e.g. scsi0, virtio1, rootfs, mp0',
    )
    .describe("The disk's name in the configuration, e.g. scsi0, virtio1; of a container rootfs, mp0");
}

/** The same, or one of the disks that it has and doesn't use. */
export function diskName() {
  return z
    .string()
    .regex(
      /^(?:(?:scsi|virtio|sata|ide|mp|unused)\d{1,3}|efidisk0|tpmstate0|rootfs)$/,
      'expected the name of a disk, e.g. scsi1, mp0, unused0',
    )
    .describe("The disk's name in the configuration, e.g. scsi1, mp0, unused0");
}
