import { z } from 'zod';
import { type ApiRead, apiRead, type Refusal, refuse, type Seen } from './api-change.ts';
import { type GuestConfig, type GuestDisk, inGiB, plainLine, refuseMissing } from './guest-config.ts';

// What several declared operations read of storages, and how they choose one.

/** Proxmox's own rule for names of storages. */
export function storageName() {
  return z
    .string()
    .max(100)
    .regex(/^[A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9]$/, 'expected the id of a storage, e.g. local-lvm');
}

/** Proxmox's own rule for names of nodes. */
export function nodeName() {
  return z
    .string()
    .max(63)
    .regex(/^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$/, 'expected the name of a node, e.g. pve2');
}

const yes = () => z.union([z.number(), z.boolean(), z.string()]).transform((value) => Number(value) === 1);

const storages = () =>
  z.array(
    z.object({
      storage: z.string(),
      type: z.string(),
      content: z.string().transform((list) => list.split(',')),
      shared: yes().default(false),
      active: yes().default(false),
      enabled: yes().default(true),
      avail: z.number().default(0),
      total: z.number().default(0),
    }),
  );

export type Storages = z.output<ReturnType<typeof storages>>;
export type Storage = Storages[number];

/** The storages of a node that the API token may see; of a node that is away, none. */
export function readStorages(node: string): ApiRead<ReturnType<typeof storages>> {
  return {
    template: '/nodes/*/storage',
    values: [node],
    schema: storages(),
    absent: [],
    absentOn: ['proxmox-unavailable', 'timeout'],
  };
}

const volumes = () =>
  z.array(
    z.object({
      volid: z.string(),
      content: z.string().default(''),
      vmid: z.union([z.number(), z.string()]).transform(Number).optional(),
      size: z.number().default(0),
      ctime: z.number().optional(),
      parent: z.string().nullish(),
    }),
  );

export type Volumes = z.output<ReturnType<typeof volumes>>;

/** What is on a storage: of one kind (`import`, `vztmpl`, `iso`), or of one guest. */
export function readVolumes(
  node: string,
  storage: string,
  of: { readonly content: string } | { readonly vmid: number },
): ApiRead<ReturnType<typeof volumes>> {
  return apiRead({
    template: '/nodes/*/storage/*/content',
    values: [node, storage],
    parameters: { ...of },
    schema: volumes(),
  });
}

/** What is on a storage of a guest and of its backups; on request also what is made from its disks: linked clones. */
export function readVolumesAround(
  node: string,
  storage: string,
  vmid: number,
  { withClones }: { readonly withClones: boolean },
): ApiRead<z.ZodType<Volumes>> {
  const base = new RegExp(`\\bbase(vol)?-${vmid}-disk-`);
  const isAround = ({ vmid: of, volid, parent }: Volumes[number]) =>
    of === vmid || (withClones && (base.test(volid) || base.test(parent ?? '')));
  return apiRead({
    template: '/nodes/*/storage/*/content',
    values: [node, storage],
    ...(withClones ? {} : { parameters: { vmid } }),
    schema: volumes().transform((list) => list.filter(isAround)) as unknown as z.ZodType<Volumes>,
  });
}

const volumesOf = 'volumes on ';

/** Reads of all volumes of a guest, by the storages that they are on; {@link volumesIn} finds them again. */
export function readGuestVolumes(
  node: string,
  vmid: number,
  on: readonly string[],
): Readonly<Record<string, ApiRead<ReturnType<typeof volumes>>>> {
  return Object.fromEntries(
    [...new Set(on)].map((storage) => [volumesOf + storage, readVolumes(node, storage, { vmid })]),
  );
}

/** The volumes' ids that {@link readGuestVolumes} found. */
export function volumesIn(seen: Seen): readonly string[] {
  return Object.entries(seen)
    .filter(([name]) => name.startsWith(volumesOf))
    .flatMap(([, list]) => (list as Volumes).map(({ volid }) => volid));
}

/** Disks that the configuration names and that aren't on their storage, or not in the configuration, as text. */
export function lackingDisks(
  wanted: readonly string[],
  disks: readonly GuestDisk[],
  config: GuestConfig,
  there: readonly string[],
): string | undefined {
  for (const option of wanted) {
    const disk = disks.find((one) => one.option === option);
    if (disk === undefined) return `it has no disk ${option}${config[option] === undefined ? '' : ' of its own'}`;
    if (!there.includes(disk.volume)) return `the volume of its disk ${option} is not on ${disk.storage}`;
  }
  return undefined;
}

/** The storage that was named, or the only one that can hold it; else which there are to choose from. */
export function chooseStorage(
  all: Storages,
  {
    named,
    content,
    what,
    field,
    node,
  }: {
    readonly named: string | undefined;
    /** `images`, `rootdir` … */
    readonly content: string;
    /** `the disk` */
    readonly what: string;
    readonly field: string;
    readonly node: string;
  },
): Storage | Refusal {
  const fit = all.filter((one) => one.enabled && one.active && one.content.includes(content));
  const names = fit.map(({ storage, avail }) => `${storage} (${inGiB(avail)} free)`);
  if (named === undefined) {
    const [only, ...others] = fit;
    if (only !== undefined && others.length === 0) return only;
    return refuse(
      'invalid-input',
      fit.length === 0
        ? `${node} has no storage that can hold ${what} (content ${content}) and that the API token may see`
        : `${node} has several storages that can hold ${what}, and none was named`,
      fit.length === 0
        ? `Allow a storage that content (Datacenter, Storage), or give the API token Datastore.AllocateSpace on one.`
        : `Give ${field}, one of: ${names.join(', ')}.`,
      field,
    );
  }
  const found = all.find(({ storage }) => storage === named);
  if (found === undefined) return refuseMissing(`storage "${named}" on ${node}`, field, names);
  const wrong = !found.content.includes(content)
    ? `can't hold ${what}: its content is ${found.content.join(', ')}`
    : !found.enabled || !found.active
      ? `is not active on ${node}`
      : undefined;
  if (wrong === undefined) return found;
  return refuse(
    'conflict',
    `The storage ${named} ${wrong}, and nothing was done`,
    names.length === 0 ? 'No other one could hold it.' : `Use another one: ${names.join(', ')}.`,
    field,
  );
}

/** Storages that take all of a disk's space when it is made. */
const thick = new Set(['lvm', 'iscsi', 'iscsidirect']);

/**
 * Refuses what certainly doesn't fit.
 *
 * @param bytes the disks as large as they may become
 * @param written what is written at once
 */
export function refuseFull(
  { storage, type, avail }: Storage,
  bytes: number,
  written: number,
  field: string,
): Refusal | undefined {
  const needed = thick.has(type) ? bytes : written;
  if (needed <= avail) return undefined;
  return refuse(
    'conflict',
    `The storage ${storage} has ${inGiB(avail)} free, and ${inGiB(needed)} are needed, so nothing was done`,
    'Use another storage, make it smaller, or free space there.',
    field,
  );
}

/** That a storage may fill up later; nothing where there is room for all. */
export function riskOfFull({ storage, avail }: Storage, bytes: number): readonly string[] {
  if (bytes <= avail) return [];
  return [
    `The disks may grow to ${inGiB(bytes)}, and ${storage} has ${inGiB(avail)} free: when it is full, guests on it stop`,
  ];
}

/** The image or template that was named, or the only one that there is; else which there are to choose from. */
export function chooseVolume(
  all: Volumes,
  {
    named,
    what,
    field,
    node,
    how,
  }: {
    readonly named: string | undefined;
    /** `cloud image` */
    readonly what: string;
    readonly field: string;
    readonly node: string;
    /** Where none is there at all. */
    readonly how: string;
  },
): Volumes[number] | Refusal {
  const ids = all.map(({ volid }) => volid).toSorted();
  if (named !== undefined) {
    return all.find(({ volid }) => volid === named) ?? refuseMissing(`${what} "${named}" on ${node}`, field, ids);
  }
  const [only, ...others] = all;
  if (only === undefined) {
    return refuse('not-found', `${node} has no ${what} that the API token may see, and nothing was done`, how, field);
  }
  if (others.length === 0) return only;
  return refuse(
    'invalid-input',
    `${node} has ${all.length} volumes that could be the ${what}, and none was named`,
    `Give ${field}, one of: ${ids
      .slice(0, 20)
      .map((id) => plainLine(id, 120))
      .join(', ')}.`,
    field,
  );
}
