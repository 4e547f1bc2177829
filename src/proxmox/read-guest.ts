import { z } from 'zod';
import { ServiceError } from '../errors.ts';
import { cleanLine, cleanText } from '../reports/clean.ts';
import { readAddresses } from './addresses.ts';
import type { GuestAddress, ProxmoxClient } from './client.ts';
import type { ProxmoxApis } from './connect.ts';
import type { ListedGuest } from './inventory.ts';
import { age, type Listing, listing, percent, size, timeOf, usedOf } from './listing.ts';
import { readMetrics, type Timeframe } from './metrics.ts';
import { figure, flag } from './schemas.ts';
import { hidingArchives, readVolumes } from './storage-reads.ts';
import { shownTasks } from './task-reads.ts';
import type { CallOptions } from './transport.ts';

/** What can be read of a guest beside its state. */
export const guestSections = [
  'config',
  'pending',
  'snapshots',
  'backups',
  'addresses',
  'metrics',
  'firewall',
  'tasks',
] as const;
export type GuestSection = (typeof guestSections)[number];

/** A part that can't be read says why, and leaves the others. */
export type Part = Readonly<Record<string, unknown>> | { readonly problem: string };

export interface GuestReading {
  readonly guest: Readonly<Record<string, unknown>>;
  readonly parts: Readonly<Partial<Record<GuestSection, Part>>>;
}

/** How much of a guest is shown. */
const most = { snapshots: 100, backups: 50, rules: 100, tasks: 20, notes: 1_000, value: 500, keys: 200 } as const;

const config = z.record(z.string(), z.unknown());
const snapshots = z.array(
  z.looseObject({
    name: z.string(),
    parent: z.string().optional(),
    snaptime: figure.optional(),
    description: z.string().optional(),
    vmstate: flag.optional(),
  }),
);
const pending = z.array(
  z.looseObject({
    key: z.string(),
    value: z.unknown().optional(),
    pending: z.unknown().optional(),
    delete: figure.optional(),
  }),
);
const rules = z.array(
  z.looseObject({
    pos: figure,
    type: z.string(),
    action: z.string(),
    enable: flag.optional(),
    macro: z.string().optional(),
    proto: z.string().optional(),
    source: z.string().optional(),
    dest: z.string().optional(),
    sport: z.string().optional(),
    dport: z.string().optional(),
    iface: z.string().optional(),
    comment: z.string().optional(),
  }),
);

/**
 * One guest where it is, its state and the parts that were asked for, all at the same time.
 *
 * @throws ServiceError where not even its state can be read
 */
export async function readGuest(
  apis: ProxmoxApis,
  listed: ListedGuest,
  { include, timeframe }: { readonly include: readonly GuestSection[]; readonly timeframe: Timeframe },
  options: CallOptions = {},
): Promise<GuestReading> {
  const client = apis.get(listed.host);
  const address: GuestAddress = listed;
  const wanted = new Set(include);
  // The addresses need it, too.
  const configured = wanted.has('config') || wanted.has('addresses') ? readConfig(client, address, options) : undefined;
  configured?.catch(() => undefined);
  const status = client.guestStatus(address, options);
  status.catch(() => undefined);
  const readers: Readonly<Record<GuestSection, () => Promise<Part>>> = {
    config: async () => shownConfig((await configured) ?? {}),
    pending: () => readPending(client, address, options),
    snapshots: () => readSnapshots(client, address, options),
    backups: () => readBackups(client, address, options),
    addresses: async () => ({
      ...(await readAddresses(
        client,
        address,
        { config: (await configured) ?? {}, running: (await status).status === 'running' },
        options,
      )),
    }),
    metrics: async () => ({
      ...(await readMetrics(client, at(address, 'rrddata'), valuesOf(address), timeframe, options)),
    }),
    firewall: () => readFirewall(client, address, options),
    tasks: async () => ({
      ...shownTasks(
        await client.tasks(address.node, { vmid: address.vmid, limit: most.tasks, source: 'all' }, options),
      ),
    }),
  };
  const [now, ...parts] = await Promise.all([
    status,
    ...guestSections
      .filter((name) => wanted.has(name))
      .map(async (name) => [name, await partOf(readers[name])] as const),
  ]);
  return { guest: shownGuest(listed, now), parts: Object.fromEntries(parts) };
}

async function partOf(read: () => Promise<Part>): Promise<Part> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code === 'cancelled') throw error;
    return { problem: `${error.code}: ${cleanLine(error.message, 500)} ${cleanLine(error.remedy, 300)}` };
  }
}

function at({ type }: GuestAddress, what: string): string {
  return `/nodes/*/${type}/*/${what}`;
}

function valuesOf({ node, vmid }: GuestAddress): readonly string[] {
  return [node, String(vmid)];
}

function shownGuest(
  listed: ListedGuest,
  now: Awaited<ReturnType<ProxmoxClient['guestStatus']>>,
): Record<string, unknown> {
  const { vmid, name, type, cluster, host, node, tags, pool } = listed;
  const state = listed.state === 'template' ? 'template' : now.status;
  const { cpus, cpu, mem, maxmem, disk, maxdisk } = now as Partial<Record<string, number>>;
  const running = now.status === 'running';
  const paused = now.qmpstatus !== undefined && now.qmpstatus !== now.status ? cleanLine(now.qmpstatus, 30) : undefined;
  const agent = (now as { agent?: unknown }).agent;
  return {
    vmid,
    name,
    kind: type === 'qemu' ? 'vm' : 'container',
    state: paused ?? state,
    node,
    cluster,
    host,
    ...(running && { uptime: age(now.uptime) }),
    cpu: running ? `${percent(cpu) ?? '?'} of ${cpus ?? listed.cpus ?? '?'}` : cpus,
    memory: usedOf(running ? mem : undefined, maxmem ?? listed.maxMemory),
    disk: usedOf(disk || undefined, maxdisk ?? listed.maxDisk),
    ...(tags.length > 0 && { tags }),
    ...(pool !== undefined && { pool }),
    ...(now.lock !== undefined && { lock: cleanLine(now.lock, 30) }),
    ...(now.ha?.managed && { ha: cleanLine(now.ha.state ?? 'managed', 30) }),
    ...(agent !== undefined && { agentEnabled: Number(agent) === 1 }),
  };
}

async function readConfig(client: ProxmoxClient, guest: GuestAddress, options: CallOptions) {
  return await client.read(config, at(guest, 'config'), valuesOf(guest), undefined, options);
}

/** Its notes are the only text of several lines; what could be a password Proxmox has masked itself. */
function shownConfig({ description, digest: _digest, ...rest }: z.infer<typeof config>): Part {
  const entries = Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1));
  const shown = entries.slice(0, most.keys).map(([key, value]) => [cleanLine(key, 60), shownValue(value)] as const);
  const hidden = entries.length - shown.length;
  return {
    options: Object.fromEntries(shown),
    ...(typeof description === 'string' && { notes: noteLines(description) }),
    ...(hidden > 0 && { more: `${hidden} more options are not shown` }),
  };
}

function noteLines(text: string): readonly string[] {
  return cleanText(text, most.notes)
    .split('\n')
    .map((line) => `| ${line}`.trimEnd());
}

function shownValue(value: unknown): string | number {
  if (typeof value === 'number') return value;
  return cleanLine(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''), most.value);
}

async function readPending(client: ProxmoxClient, guest: GuestAddress, options: CallOptions): Promise<Part> {
  const seen = await client.read(pending, at(guest, 'pending'), valuesOf(guest), undefined, options);
  const waiting = seen.filter((one) => one.pending !== undefined || one.delete !== undefined);
  return waiting.length === 0
    ? { note: 'Nothing waits for a restart of the guest.' }
    : {
        ...listing(waiting.slice(0, most.keys), {
          option: ({ key }) => key,
          now: ({ value }) => (value === undefined ? undefined : shownValue(value)),
          afterRestart: (one) => (one.delete !== undefined ? '(removed)' : shownValue(one.pending)),
        }),
      };
}

async function readSnapshots(client: ProxmoxClient, guest: GuestAddress, options: CallOptions): Promise<Part> {
  const seen = await client.read(snapshots, at(guest, 'snapshot'), valuesOf(guest), undefined, options);
  const current = seen.find(({ name }) => name === 'current');
  const taken = seen
    .filter(({ name }) => name !== 'current')
    .toSorted((a, b) => (a.snaptime ?? 0) - (b.snaptime ?? 0) || (a.name < b.name ? -1 : 1));
  return {
    count: taken.length,
    ...(current?.parent !== undefined && { current: `after ${cleanLine(current.parent, 60)}` }),
    ...listing(taken.slice(-most.snapshots), {
      name: ({ name }) => name,
      taken: ({ snaptime }) => timeOf(snaptime),
      memory: ({ vmstate }) => vmstate,
      after: ({ parent }) => parent,
      description: ({ description }) => description,
    }),
    ...(taken.length > most.snapshots && { more: `${taken.length - most.snapshots} older ones are not shown` }),
  };
}

/** In every storage of its node that holds backups. One that can't be read doesn't hide the others. */
async function readBackups(client: ProxmoxClient, guest: GuestAddress, options: CallOptions): Promise<Part> {
  const { volumes, storages, notes } = await readVolumes(
    client,
    guest.node,
    { content: 'backup', vmid: guest.vmid },
    options,
  );
  const newest = volumes.toSorted((a, b) => (b.ctime ?? 0) - (a.ctime ?? 0));
  const hidden = await hidingArchives(client, storages, guest.vmid, options);
  return {
    count: newest.length,
    ...listing(newest.slice(0, most.backups), {
      taken: ({ ctime }) => timeOf(ctime ?? undefined),
      size: (one) => size(one.size ?? undefined),
      volume: ({ volid }) => volid,
      protected: (one) => one.protected,
      verified: ({ verification }) => verification?.state,
      notes: (one) => one.notes,
    }),
    ...([...notes, ...hidden].length > 0 && { notes: [...notes, ...hidden] }),
    ...(newest.length > most.backups && { more: `${newest.length - most.backups} older ones are not shown` }),
  };
}

async function readFirewall(client: ProxmoxClient, guest: GuestAddress, options: CallOptions): Promise<Part> {
  const [on, seen] = await Promise.all([
    client.read(config, at(guest, 'firewall/options'), valuesOf(guest), undefined, options),
    client.read(rules, at(guest, 'firewall/rules'), valuesOf(guest), undefined, options),
  ]);
  const { digest: _digest, enable, ...rest } = on;
  return {
    enabled: Number(enable ?? 0) === 1,
    note: 'It counts only where the firewall of the cluster and of the network card (firewall=1) is on, too.',
    options: Object.fromEntries(Object.entries(rest).map(([key, value]) => [cleanLine(key, 60), shownValue(value)])),
    ...firewallRules(seen.slice(0, most.rules)),
    ...(seen.length > most.rules && { more: `${seen.length - most.rules} more rules are not shown` }),
  };
}

function firewallRules(seen: z.infer<typeof rules>): Listing {
  return listing(
    seen.toSorted((a, b) => a.pos - b.pos),
    {
      pos: ({ pos }) => pos,
      on: ({ enable }) => enable,
      type: ({ type }) => type,
      action: ({ action }) => action,
      macro: ({ macro }) => macro,
      proto: ({ proto }) => proto,
      source: ({ source }) => source,
      dest: ({ dest }) => dest,
      sport: ({ sport }) => sport,
      dport: ({ dport }) => dport,
      iface: ({ iface }) => iface,
      comment: ({ comment }) => comment,
    },
  );
}
