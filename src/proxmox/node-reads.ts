import { z } from 'zod';
import { cleanLine } from '../reports/clean.ts';
import type { ProxmoxClient } from './client.ts';
import { age, listing, type Page, pageOf, percent, type Reading, size, timeOf, usedOf } from './listing.ts';
import { figure, flag, servicesSchema, updatesSchema } from './schemas.ts';
import type { CallOptions } from './transport.ts';

// What one node says of itself. Each read is the node's, wherever in the cluster it is asked.

/** A line of a journal. */
const longestLine = 500;
/** How many lines of a journal are looked through for a text. */
const searchedLines = 5_000;

const certificates = z.array(
  z.looseObject({
    filename: z.string().optional(),
    subject: z.string().optional(),
    issuer: z.string().optional(),
    san: z.array(z.string()).optional(),
    notafter: figure.optional(),
    fingerprint: z.string().optional(),
  }),
);

const disks = z.array(
  z.looseObject({
    devpath: z.string(),
    model: z.string().optional(),
    serial: z.string().optional(),
    type: z.string().optional(),
    used: z.string().optional(),
    /** Bytes. */
    size: figure.optional(),
    health: z.string().optional(),
    /** What is left of it in percent, or `N/A`. */
    wearout: z.union([z.number(), z.string()]).optional(),
  }),
);
const smart = z.looseObject({
  health: z.string().optional(),
  type: z.string().optional(),
  text: z.string().optional(),
  attributes: z
    .array(
      z.looseObject({
        name: z.string().optional(),
        value: z.union([z.number(), z.string()]).optional(),
        worst: z.union([z.number(), z.string()]).optional(),
        threshold: z.union([z.number(), z.string()]).optional(),
        raw: z.union([z.number(), z.string()]).optional(),
        fail: z.string().optional(),
      }),
    )
    .optional(),
});

const networks = z.array(
  z.looseObject({
    iface: z.string(),
    type: z.string().optional(),
    active: flag.optional(),
    autostart: flag.optional(),
    cidr: z.string().optional(),
    cidr6: z.string().optional(),
    address: z.string().optional(),
    gateway: z.string().optional(),
    gateway6: z.string().optional(),
    bridge_ports: z.string().optional(),
    slaves: z.string().optional(),
    bridge_vlan_aware: flag.optional(),
    'vlan-id': z.union([z.number(), z.string()]).optional(),
    'vlan-raw-device': z.string().optional(),
    mtu: z.union([z.number(), z.string()]).optional(),
    comments: z.string().optional(),
  }),
);

export async function serviceReading(client: ProxmoxClient, node: string, options: CallOptions): Promise<Reading> {
  const seen = await client.read(servicesSchema, '/nodes/*/services', [node], undefined, options);
  // Those that aren't installed say nothing.
  const known = seen.filter((one) => one['unit-state'] !== 'not-found');
  return listing(
    known.toSorted((a, b) => (a.service < b.service ? -1 : 1)),
    {
      service: ({ service }) => service,
      active: (one) => one['active-state'],
      state: ({ state }) => state,
      unit: (one) => one['unit-state'],
    },
  );
}

export async function updateReading(
  client: ProxmoxClient,
  node: string,
  page: Page,
  options: CallOptions,
): Promise<Reading> {
  const seen = await client.read(updatesSchema, '/nodes/*/apt/update', [node], undefined, options);
  const { shown, cursor, notes } = pageOf(
    seen.toSorted((a, b) => (a.Package < b.Package ? -1 : 1)),
    page,
  );
  return {
    facts: { updates: seen.length },
    ...listing(shown, {
      package: (one) => one.Package,
      from: (one) => one.OldVersion,
      to: (one) => one.Version,
      origin: (one) => one.Origin,
    }),
    notes: ['As of the last time the node has refreshed its lists of packages.', ...(notes ?? [])],
    ...(cursor !== undefined && { cursor }),
  };
}

export async function certificateReading(client: ProxmoxClient, node: string, options: CallOptions): Promise<Reading> {
  const seen = await client.read(certificates, '/nodes/*/certificates/info', [node], undefined, options);
  const now = Date.now() / 1_000;
  return listing(seen, {
    file: ({ filename }) => filename,
    subject: ({ subject }) => subject,
    issuer: ({ issuer }) => issuer,
    names: ({ san }) => san?.join(' '),
    expires: ({ notafter }) => timeOf(notafter),
    left: ({ notafter }) => (notafter === undefined ? undefined : notafter < now ? 'EXPIRED' : age(notafter - now)),
    fingerprint: ({ fingerprint }) => fingerprint,
  });
}

/**
 * The last lines of a node's journal, or those since a time.
 *
 * @param filter since: Unix seconds; text: only lines that have it, in upper or lower case
 */
export async function journalReading(
  client: ProxmoxClient,
  node: string,
  { since, text }: { readonly since?: number | undefined; readonly text?: string | undefined },
  limit: number,
  options: CallOptions,
): Promise<Reading> {
  // The two exclude each other.
  const range = since === undefined ? { lastentries: text === undefined ? limit : searchedLines } : { since };
  const seen = await client.read(z.array(z.string()), '/nodes/*/journal', [node], range, options);
  // It begins and ends with the places that it was read from and to.
  const lines = seen.filter((line) => !/^s=[0-9a-f]+;i=/.test(line));
  const wanted = text?.toLowerCase();
  const kept = wanted === undefined ? lines : lines.filter((line) => line.toLowerCase().includes(wanted));
  const shown = kept.slice(-limit);
  const notes = [
    ...(kept.length > shown.length
      ? [
          `Only the last ${shown.length} of ${kept.length} lines are shown; a later since, or a text in of, leaves fewer.`,
        ]
      : []),
    ...(text !== undefined && since === undefined
      ? [`Looked through the last ${lines.length} lines; since looks further back.`]
      : []),
  ];
  return { lines: shown.map((line) => cleanLine(line, longestLine)), ...(notes.length > 0 && { notes }) };
}

/** All disks, or what one says about itself (SMART). */
export async function diskReading(
  client: ProxmoxClient,
  node: string,
  device: string | undefined,
  options: CallOptions,
): Promise<Reading> {
  if (device !== undefined) {
    const seen = await client.read(smart, '/nodes/*/disks/smart', [node], { disk: device }, options);
    return {
      facts: { health: cleanLine(seen.health ?? 'unknown', 60), type: cleanLine(seen.type ?? '', 60) },
      ...listing(seen.attributes ?? [], {
        attribute: ({ name }) => name,
        value: ({ value }) => value,
        worst: ({ worst }) => worst,
        threshold: ({ threshold }) => threshold,
        raw: ({ raw }) => raw,
        fail: ({ fail }) => (fail === '-' ? undefined : fail),
      }),
      ...(seen.text !== undefined && {
        lines: seen.text
          .split('\n')
          .slice(0, 200)
          .map((line) => cleanLine(line, longestLine)),
      }),
    };
  }
  const seen = await client.read(disks, '/nodes/*/disks/list', [node], undefined, options);
  return listing(
    seen.toSorted((a, b) => (a.devpath < b.devpath ? -1 : 1)),
    {
      device: ({ devpath }) => devpath,
      model: ({ model }) => model,
      serial: ({ serial }) => serial,
      type: ({ type }) => type,
      size: (one) => size(one.size),
      use: ({ used }) => used,
      health: ({ health }) => health,
      lifeLeft: ({ wearout }) =>
        typeof wearout === 'number' ? `${wearout}%` : wearout === 'N/A' ? undefined : wearout,
    },
  );
}

export async function networkReading(client: ProxmoxClient, node: string, options: CallOptions): Promise<Reading> {
  const seen = await client.read(networks, '/nodes/*/network', [node], undefined, options);
  return listing(
    seen.toSorted((a, b) => (a.iface < b.iface ? -1 : 1)),
    {
      interface: ({ iface }) => iface,
      type: ({ type }) => type,
      active: ({ active }) => active,
      autostart: ({ autostart }) => autostart,
      address: ({ cidr, cidr6, address }) => [cidr ?? address, cidr6].filter(Boolean).join(' '),
      gateway: ({ gateway, gateway6 }) => [gateway, gateway6].filter(Boolean).join(' '),
      ports: (one) => one.bridge_ports ?? one.slaves ?? one['vlan-raw-device'],
      vlan: (one) => one['vlan-id'] ?? (one.bridge_vlan_aware ? 'aware' : undefined),
      mtu: ({ mtu }) => mtu,
      comment: ({ comments }) => comments,
    },
  );
}

/** Every node of the cluster, as its list has them. */
export async function nodesReading(client: ProxmoxClient, options: CallOptions): Promise<Reading> {
  const seen = await client.nodes(options);
  return listing(
    seen.toSorted((a, b) => (a.node < b.node ? -1 : 1)),
    {
      node: ({ node }) => node,
      status: ({ status }) => status,
      cpu: ({ cpu, maxcpu }) => (cpu === undefined ? undefined : `${percent(cpu)} of ${maxcpu ?? '?'}`),
      memory: ({ mem, maxmem }) => usedOf(mem, maxmem),
      disk: ({ disk, maxdisk }) => usedOf(disk, maxdisk),
      uptime: ({ uptime }) => age(uptime),
    },
  );
}
