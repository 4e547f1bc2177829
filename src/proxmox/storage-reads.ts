import { z } from 'zod';
import { ServiceError } from '../errors.ts';
import { cleanLine } from '../reports/clean.ts';
import type { ProxmoxClient } from './client.ts';
import { listing, type Page, pageOf, percent, type Reading, size, timeOf, usedOf } from './listing.ts';
import { figure, flag, storagesSchema } from './schemas.ts';
import type { CallOptions } from './transport.ts';

/** What a storage can hold. */
export const contents = ['backup', 'images', 'rootdir', 'iso', 'vztmpl', 'snippets', 'import'] as const;
export type Content = (typeof contents)[number];

const volumes = z.array(
  z.looseObject({
    volid: z.string(),
    content: z.string().optional(),
    format: z.string().optional(),
    vmid: figure.nullish(),
    /** Bytes. */
    size: figure.nullish(),
    used: figure.nullish(),
    /** Unix seconds. */
    ctime: figure.nullish(),
    /** The first line. */
    notes: z.string().optional(),
    protected: flag.optional(),
    /** Only of a Proxmox Backup Server that has verified it. */
    verification: z.looseObject({ state: z.string() }).optional(),
  }),
);
export type Volume = z.infer<typeof volumes>[number];

const clusterStorages = z.array(
  z.looseObject({
    storage: z.string(),
    node: z.string(),
    plugintype: z.string().optional(),
    content: z.string().optional(),
    shared: flag.optional(),
    status: z.string().optional(),
    disk: figure.optional(),
    maxdisk: figure.optional(),
  }),
);

/** Which volumes of a node's storages. */
export interface VolumeFilter {
  /** Only of this one. */
  readonly storage?: string | undefined;
  readonly content?: Content | undefined;
  /** Only of this guest. */
  readonly vmid?: number | undefined;
}

/**
 * What a node's storages hold. One that is away or may not be read is named in the notes, and doesn't hide the others.
 *
 * @throws ServiceError where the only storage that was asked for can't be read
 */
export async function readVolumes(
  client: ProxmoxClient,
  node: string,
  { storage: only, content, vmid }: VolumeFilter,
  options: CallOptions = {},
): Promise<{
  readonly volumes: readonly Volume[];
  /** Those that were read. */
  readonly storages: readonly string[];
  readonly notes: readonly string[];
}> {
  const parameters = { content, vmid };
  const read = (storage: string) =>
    client.read(volumes, '/nodes/*/storage/*/content', [node, storage], parameters, options);
  if (only !== undefined) return { volumes: await read(only), storages: [only], notes: [] };
  const listed = await client.read(storagesSchema, '/nodes/*/storage', [node], undefined, options);
  const holding = listed.filter((one) => content === undefined || one.content.split(',').includes(content));
  const seen = await Promise.all(
    holding.map(async ({ storage, enabled, active }) => {
      const without = (why: string) => ({
        volumes: [] as Volume[],
        read: [] as string[],
        note: [`${cleanLine(storage, 60)} was not read: ${why}`],
      });
      if (!enabled) return without('it is switched off.');
      if (!active) return without('it is not active on this node.');
      try {
        return { volumes: await read(storage), read: [storage], note: [] };
      } catch (error) {
        if (!(error instanceof ServiceError) || error.code === 'cancelled') throw error;
        return without(`${cleanLine(error.message, 300)} ${cleanLine(error.remedy, 200)}`);
      }
    }),
  );
  return {
    volumes: seen.flatMap((one) => one.volumes),
    storages: seen.flatMap((one) => one.read),
    notes: seen.flatMap(({ note }) => note),
  };
}

/**
 * What keeps backups out of lists without a word: an API token sees only those that it may restore.
 *
 * @param vmid of which guest; default: of any
 */
export async function hidingArchives(
  client: ProxmoxClient,
  storages: readonly string[],
  vmid: number | undefined,
  options: CallOptions = {},
): Promise<readonly string[]> {
  const guest = vmid === undefined ? '/vms' : `/vms/${vmid}`;
  const asked = [guest, ...storages.map((storage) => `/storage/${storage}`)];
  const held = await Promise.all(asked.map(async (path) => (await client.permissions(path, options))[path] ?? {}));
  const [ofGuest = {}, ...ofStorages] = held;
  const mayBackUp = vmid === undefined ? ofGuest['VM.Backup'] === true : ofGuest['VM.Backup'] !== undefined;
  return storages.flatMap((storage, index) => {
    const own = ofStorages[index] ?? {};
    if (own['Datastore.Allocate'] !== undefined) return [];
    const lacks = [
      ...(own['Datastore.AllocateSpace'] === undefined ? [`Datastore.AllocateSpace on /storage/${storage}`] : []),
      ...(mayBackUp ? [] : [`VM.Backup on ${guest}`]),
    ];
    if (lacks.length === 0) return [];
    return [
      `Backups in ${cleanLine(storage, 60)} may be missing here: the API token ${client.token} sees only those that it may restore, and lacks ${lacks.join(' and ')}.`,
    ];
  });
}

/** The contents of a node's storages, or of one. */
export async function volumeReading(
  client: ProxmoxClient,
  node: string,
  filter: VolumeFilter,
  page: Page,
  options: CallOptions,
): Promise<Reading> {
  const found = await readVolumes(client, node, filter, options);
  const isOfBackups = filter.content === undefined || filter.content === 'backup';
  const hidden = isOfBackups ? await hidingArchives(client, found.storages, filter.vmid, options) : [];
  const sorted = found.volumes.toSorted((a, b) => (b.ctime ?? 0) - (a.ctime ?? 0) || (a.volid < b.volid ? -1 : 1));
  const { shown, cursor, notes = [] } = pageOf(sorted, page);
  const all = [...notes, ...found.notes, ...hidden];
  return {
    facts: { volumes: sorted.length, bytes: size(sorted.reduce((sum, one) => sum + (one.size ?? 0), 0)) },
    ...listing(shown, {
      volume: ({ volid }) => volid,
      content: ({ content }) => content,
      guest: ({ vmid }) => vmid ?? undefined,
      size: (one) => size(one.size ?? undefined),
      used: ({ used }) => size(used ?? undefined),
      made: ({ ctime }) => timeOf(ctime ?? undefined),
      format: ({ format }) => format,
      protected: (one) => one.protected,
      verified: ({ verification }) => verification?.state,
      notes: (one) => one.notes,
    }),
    ...(all.length > 0 && { notes: all }),
    ...(cursor !== undefined && { cursor }),
  };
}

/** Every storage of the cluster with how full it is; what several nodes share is one line. */
export async function storageReading(client: ProxmoxClient, page: Page, options: CallOptions): Promise<Reading> {
  const seen = await client.read(clusterStorages, '/cluster/resources', [], { type: 'storage' }, options);
  const places = new Map<string, { one: (typeof seen)[number]; nodes: string[] }>();
  for (const one of seen) {
    const key = one.shared ? `shared ${one.storage}` : `${one.storage} ${one.node}`;
    const known = places.get(key);
    if (known === undefined) places.set(key, { one, nodes: [one.node] });
    else {
      known.nodes.push(one.node);
      // Whoever sees it knows its size.
      if (known.one.status !== 'available') known.one = one;
    }
  }
  const sorted = [...places.values()].sort(
    (a, b) => compareText(a.one.storage, b.one.storage) || compareText(a.one.node, b.one.node),
  );
  const { shown, cursor, notes } = pageOf(sorted, page);
  return {
    ...listing(shown, {
      storage: ({ one }) => one.storage,
      type: ({ one }) => one.plugintype,
      nodes: ({ nodes }) => nodes.toSorted().join(' '),
      status: ({ one }) => one.status,
      used: ({ one }) => usedOf(one.disk, one.maxdisk),
      full: ({ one }) => (one.maxdisk ? percent((one.disk ?? 0) / one.maxdisk) : undefined),
      shared: ({ one }) => one.shared,
      content: ({ one }) => one.content,
    }),
    ...(notes && { notes }),
    ...(cursor !== undefined && { cursor }),
  };
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
