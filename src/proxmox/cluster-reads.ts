import { z } from 'zod';
import { isServiceError, ServiceError } from '../errors.ts';
import { cleanLine } from '../reports/clean.ts';
import { readableList } from '../reports/units.ts';
import type { ProxmoxClient } from './client.ts';
import type { ProxmoxApis } from './connect.ts';
import { listing, type Page, pageOf, type Reading, timeOf } from './listing.ts';
import { nodesReading } from './node-reads.ts';
import { lackedRights } from './rights.ts';
import { backupJobsSchema, figure, flag, type ProxmoxPermissions } from './schemas.ts';
import type { CallOptions } from './transport.ts';

// What is the whole cluster's, whichever of its hosts is asked.

const pools = z.array(z.looseObject({ poolid: z.string(), comment: z.string().optional() }));
const onePool = z.array(
  z.looseObject({
    poolid: z.string(),
    comment: z.string().optional(),
    members: z
      .array(
        z.looseObject({
          id: z.string(),
          type: z.string(),
          node: z.string().optional(),
          status: z.string().optional(),
          name: z.string().optional(),
        }),
      )
      .default([]),
  }),
);
const haStatus = z.array(
  z.looseObject({
    id: z.string(),
    type: z.string(),
    node: z.string().optional(),
    sid: z.string().optional(),
    state: z.string().optional(),
    request_state: z.string().optional(),
    status: z.string().optional(),
    quorate: flag.optional(),
  }),
);
const haRules = z.array(
  z.looseObject({
    rule: z.string().optional(),
    group: z.string().optional(),
    type: z.string().optional(),
    nodes: z.string().optional(),
    resources: z.string().optional(),
    affinity: z.string().optional(),
    strict: flag.optional(),
    disable: flag.optional(),
    comment: z.string().optional(),
  }),
);
const replicationJobs = z.array(
  z.looseObject({
    id: z.string(),
    guest: figure.optional(),
    source: z.string().optional(),
    target: z.string().optional(),
    schedule: z.string().optional(),
    disable: flag.optional(),
    comment: z.string().optional(),
  }),
);
const replicationStates = z.array(
  z.looseObject({
    id: z.string(),
    last_sync: figure.optional(),
    next_sync: figure.optional(),
    duration: figure.optional(),
    fail_count: figure.optional(),
    error: z.string().optional(),
  }),
);
/** Its members and whether it has quorum; of a node in no cluster, that node. */
export async function clusterReading(apis: ProxmoxApis, host: string, options: CallOptions): Promise<Reading> {
  const client = apis.get(host);
  const [nodes, members] = await Promise.all([
    nodesReading(client, options),
    apis.cluster(host, options).catch((error: unknown) => {
      if (isServiceError(error, 'proxmox-permission')) return error;
      throw error;
    }),
  ]);
  if (members instanceof ServiceError) return { ...nodes, notes: [missing(members)] };
  const cluster = members.find((entry) => entry.type === 'cluster');
  return {
    facts:
      cluster?.type === 'cluster'
        ? { cluster: cleanLine(cluster.name, 60), quorate: cluster.quorate, nodes: cluster.nodes }
        : { cluster: 'none: this node is in no cluster' },
    ...nodes,
  };
}

/** What can't be seen without a right, in a sentence. */
function missing({ message, remedy }: ServiceError): string {
  return `${cleanLine(message, 300)} ${cleanLine(remedy, 300)}`;
}

export async function poolReading(
  client: ProxmoxClient,
  pool: string | undefined,
  page: Page,
  options: CallOptions,
): Promise<Reading> {
  if (pool === undefined) {
    const seen = await client.read(pools, '/pools', [], undefined, options);
    const { shown, cursor, notes } = pageOf(
      seen.toSorted((a, b) => (a.poolid < b.poolid ? -1 : 1)),
      page,
    );
    return {
      ...listing(shown, { pool: ({ poolid }) => poolid, comment: ({ comment }) => comment }),
      ...(notes && { notes }),
      ...(cursor !== undefined && { cursor }),
    };
  }
  const [seen] = await client.read(onePool, '/pools', [], { poolid: pool }, options);
  const { shown, cursor, notes } = pageOf(
    (seen?.members ?? []).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    page,
  );
  return {
    facts: { pool: cleanLine(pool, 60), ...(seen?.comment && { comment: cleanLine(seen.comment, 300) }) },
    ...listing(shown, {
      id: ({ id }) => id,
      type: ({ type }) => type,
      name: ({ name }) => name,
      node: ({ node }) => node,
      status: ({ status }) => status,
    }),
    ...(notes && { notes }),
    ...(cursor !== undefined && { cursor }),
  };
}

/** The HA stack: how it stands, what it manages, and its rules (groups, before version 9). */
export async function haReading(client: ProxmoxClient, options: CallOptions): Promise<Reading> {
  const [now, rules] = await Promise.all([
    client.read(haStatus, '/cluster/ha/status/current', [], undefined, options),
    readRules(client, options),
  ]);
  return {
    facts: {
      rules: listing(rules, {
        rule: ({ rule, group }) => rule ?? group,
        type: ({ type }) => type,
        resources: ({ resources }) => resources,
        nodes: ({ nodes }) => nodes,
        affinity: ({ affinity }) => affinity,
        strict: ({ strict }) => strict,
        off: ({ disable }) => disable,
        comment: ({ comment }) => comment,
      }),
    },
    ...listing(now, {
      what: ({ type }) => type,
      id: ({ id, sid }) => sid ?? id,
      node: ({ node }) => node,
      state: ({ state }) => state,
      wanted: (one) => one.request_state,
      status: ({ status }) => status,
    }),
  };
}

async function readRules(client: ProxmoxClient, options: CallOptions) {
  try {
    return await client.read(haRules, '/cluster/ha/rules', [], undefined, options);
  } catch (error) {
    // Version 8 has groups instead.
    if (!isServiceError(error, 'proxmox-invalid')) throw error;
    return await client.read(haRules, '/cluster/ha/groups', [], undefined, options);
  }
}

/** The jobs of the cluster, with how each last went as the node says that it runs on. */
export async function replicationReading(
  client: ProxmoxClient,
  node: string,
  page: Page,
  options: CallOptions,
): Promise<Reading> {
  const jobs = await client.read(replicationJobs, '/cluster/replication', [], undefined, options);
  const sources = [...new Set([node, ...jobs.flatMap(({ source }) => source ?? [])])].slice(0, 50);
  const problems: string[] = [];
  const states = await Promise.all(
    sources.map(async (source) => {
      try {
        return await client.read(replicationStates, '/nodes/*/replication', [source], undefined, options);
      } catch (error) {
        if (!(error instanceof ServiceError) || error.code === 'cancelled') throw error;
        problems.push(
          `How the jobs of ${cleanLine(source, 60)} last went is not known: ${cleanLine(error.message, 200)}`,
        );
        return [];
      }
    }),
  );
  const state = new Map(states.flat().map((one) => [one.id, one]));
  const {
    shown,
    cursor,
    notes = [],
  } = pageOf(
    jobs.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    page,
  );
  return {
    ...listing(shown, {
      job: ({ id }) => id,
      guest: ({ guest }) => guest,
      from: ({ source }) => source,
      to: ({ target }) => target,
      schedule: ({ schedule }) => schedule,
      off: ({ disable }) => disable,
      last: ({ id }) => timeOf(state.get(id)?.last_sync),
      next: ({ id }) => timeOf(state.get(id)?.next_sync),
      failures: ({ id }) => state.get(id)?.fail_count || undefined,
      error: ({ id }) => state.get(id)?.error,
      comment: ({ comment }) => comment,
    }),
    ...([...notes, ...problems].length > 0 && { notes: [...notes, ...problems] }),
    ...(cursor !== undefined && { cursor }),
  };
}

export async function backupJobReading(client: ProxmoxClient, page: Page, options: CallOptions): Promise<Reading> {
  const seen = await client.read(backupJobsSchema, '/cluster/backup', [], undefined, options);
  const { shown, cursor, notes } = pageOf(
    seen.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    page,
  );
  return {
    ...listing(shown, {
      job: ({ id }) => id,
      on: ({ enabled }) => enabled ?? true,
      schedule: ({ schedule }) => schedule,
      next: (one) => timeOf(one['next-run']),
      guests: ({ all, vmid, pool, exclude }) =>
        all
          ? `all${exclude ? ` but ${exclude}` : ''}`
          : pool === undefined
            ? vmid === undefined
              ? undefined
              : String(vmid)
            : `pool ${pool}`,
      node: ({ node }) => node,
      storage: ({ storage }) => storage,
      mode: ({ mode }) => mode,
      keeps: (one) => (one['prune-backups'] === undefined ? undefined : JSON.stringify(one['prune-backups'])),
      comment: ({ comment }) => comment,
    }),
    ...(notes && { notes }),
    ...(cursor !== undefined && { cursor }),
  };
}

/** What the API token may do, path by path, and what it lacks for what this service does. */
export async function rightsReading(apis: ProxmoxApis, host: string, options: CallOptions): Promise<Reading> {
  const client = apis.get(host);
  const [held, lacked] = await Promise.all([client.permissions(undefined, options), lackedRights(apis, host, options)]);
  const missing = [
    ...lacked.toLook.map((right) => ({ ...right, to: 'look' })),
    ...lacked.toChange.map((right) => ({ ...right, to: 'change' })),
  ];
  const notes = [
    ...(Object.keys(held).length === 0
      ? [
          `The API token ${client.token} has no right at all: lists come back empty. One with privilege separation needs rights of its own besides its user's (npx proxmox-mcp doctor says which).`,
        ]
      : []),
    ...(missing.length === 0 ? ['It lacks nothing of what the operations and tools need.'] : []),
    ...(lacked.wide.length === 0
      ? []
      : [`Off until somebody asks for it, because it reaches far: ${lacked.wide.join(', ')}.`]),
  ];
  return {
    facts: { token: client.token, onlyLooks: lacked.onlyLooks, privileges: bySet(held) },
    ...listing(missing, {
      lacks: ({ privilege }) => privilege,
      on: ({ path }) => path,
      to: ({ to }) => to,
      refused: ({ refused }) => readableList(refused, 12),
      but: ({ but }) => but,
    }),
    ...(notes.length > 0 && { notes }),
  };
}

/** Paths with the same privileges together: a role is on many. */
function bySet(held: ProxmoxPermissions): readonly { readonly paths: readonly string[]; readonly may: string }[] {
  const sets = new Map<string, string[]>();
  for (const [path, privileges] of Object.entries(held).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const may = Object.keys(privileges).sort().join(' ');
    sets.set(may, [...(sets.get(may) ?? []), cleanLine(path, 100)]);
  }
  return [...sets].slice(0, 50).map(([may, paths]) => ({ paths: paths.slice(0, 50), may: cleanLine(may, 2_000) }));
}
