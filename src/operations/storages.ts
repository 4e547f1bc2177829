import { z } from 'zod';
import { type ApiRead, apiRead, type Refusal, refuse, type Seen } from './api-change.ts';
import { type GuestConfig, refuseMissing } from './guest-config.ts';
import { type GuestDisk, type NodeStorage, refuseStorage, roughly } from './guest-disks.ts';
import { some } from './said.ts';

// What is on storages, and how what isn't named is chosen among it.

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
export function readContents(
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
export function readContentsAround(
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
    [...new Set(on)].map((storage) => [volumesOf + storage, readContents(node, storage, { vmid })]),
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
    const disk = disks.find((one) => one.key === option);
    if (disk === undefined) return `it has no disk ${option}${config[option] === undefined ? '' : ' of its own'}`;
    if (!there.includes(disk.volume)) return `the volume of its disk ${option} is not on ${disk.storage}`;
  }
  return undefined;
}

/** The storage that was named, or the only one that can hold it; else which there are to choose from. */
export function chooseStorage(
  all: readonly NodeStorage[],
  wanted: Omit<Parameters<typeof refuseStorage>[1], 'storage'> & { readonly storage?: string | undefined },
): NodeStorage | Refusal {
  const { storage: named, node, content, field = 'storage' } = wanted;
  const fit = all.filter(({ storage }) => refuseStorage(all, { node, content, storage }) === undefined);
  const [only, ...others] = fit;
  if (named === undefined) {
    if (only !== undefined && others.length > 0) {
      const names = fit.map(({ storage, avail }) =>
        avail === undefined ? storage : `${storage} (${roughly(avail)} free)`,
      );
      return refuse(
        'invalid-input',
        `${node} has several storages for that, and none was named`,
        `Give ${field}, one of: ${names.slice(0, 20).join(', ')}.`,
        field,
      );
    }
    if (only === undefined) {
      return refuse(
        'not-found',
        `${node} has no storage for that (content ${content}) that has room and that the API token may see`,
        'Allow a storage that content (Datacenter, Storage), or give the API token Datastore.AllocateSpace on one.',
        field,
      );
    }
  }
  const storage = named ?? only?.storage ?? '';
  return (
    refuseStorage(all, { ...wanted, storage }) ??
    all.find((one) => one.storage === storage) ??
    refuseMissing(`storage "${storage}" on ${node}`, field, [])
  );
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
    `Give ${field}, one of: ${some(ids, 20)}.`,
    field,
  );
}

/** What is certainly written at once, and doesn't fit. */
export function refuseFull({ storage, avail }: NodeStorage, bytes: number, field = 'storage'): Refusal | undefined {
  if (avail === undefined || bytes <= avail) return undefined;
  return refuse(
    'conflict',
    `The storage ${storage} has ${roughly(avail)} free, and ${roughly(bytes)} are needed, so nothing was done`,
    'Use another storage, or free space there.',
    field,
  );
}
