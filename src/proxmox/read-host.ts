import { ServiceError } from '../errors.ts';
import { cleanLine } from '../reports/clean.ts';
import {
  backupJobReading,
  clusterReading,
  haReading,
  poolReading,
  replicationReading,
  rightsReading,
} from './cluster-reads.ts';
import type { ProxmoxApis } from './connect.ts';
import type { Reading } from './listing.ts';
import { readMetrics, type Timeframe } from './metrics.ts';
import {
  certificateReading,
  diskReading,
  journalReading,
  networkReading,
  serviceReading,
  updateReading,
} from './node-reads.ts';
import type { MissingRight } from './rights.ts';
import { type Content, storageReading, volumeReading } from './storage-reads.ts';
import { taskLogReading, taskReading } from './task-reads.ts';
import type { CallOptions } from './transport.ts';

/** What can be read of a node, or of the cluster that it is in. */
export const hostSubjects = [
  'services',
  'updates',
  'certificates',
  'journal',
  'disks',
  'networks',
  'metrics',
  'volumes',
  'tasks',
  'task_log',
  'cluster',
  'cluster_tasks',
  'storages',
  'pools',
  'ha',
  'replication',
  'backup_jobs',
  'rights',
] as const;
export type HostSubject = (typeof hostSubjects)[number];

/** Which part of it. What a subject doesn't know is refused, so that nobody takes a whole list for a filtered one. */
export interface HostRequest {
  readonly what: HostSubject;
  /** A node of the host's cluster; default: the host's own. */
  readonly node?: string | undefined;
  /** disks: a device; volumes: a storage; tasks: a type; task_log: a UPID; pools: a pool; journal: text in its lines. */
  readonly of?: string | undefined;
  readonly content?: Content | undefined;
  readonly vmid?: number | undefined;
  readonly errors?: boolean | undefined;
  /** Unix seconds. */
  readonly since?: number | undefined;
  readonly timeframe?: Timeframe | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** Which filters each subject knows; limit and cursor are everybody's. */
const takes: Readonly<Record<HostSubject, readonly (keyof HostRequest)[]>> = {
  services: ['node'],
  updates: ['node'],
  certificates: ['node'],
  journal: ['node', 'of', 'since'],
  disks: ['node', 'of'],
  networks: ['node'],
  metrics: ['node', 'timeframe'],
  volumes: ['node', 'of', 'content', 'vmid'],
  tasks: ['node', 'of', 'vmid', 'errors', 'since'],
  task_log: ['of'],
  cluster: [],
  cluster_tasks: ['of', 'vmid', 'errors', 'since'],
  storages: [],
  pools: ['of'],
  ha: [],
  replication: ['node'],
  backup_jobs: [],
  rights: [],
};

/** What lists leave out, with status 200, where the API token lacks a right on all of it. */
const hiding: Readonly<Partial<Record<HostSubject, (node: string) => MissingRight & { readonly what: string }>>> = {
  storages: () => ({ what: 'storages', privilege: 'Datastore.Audit', path: '/storage' }),
  pools: () => ({ what: 'pools', privilege: 'Pool.Audit', path: '/pool' }),
  replication: () => ({ what: 'jobs', privilege: 'VM.Audit', path: '/vms' }),
  tasks: (node) => ({ what: 'tasks of others', privilege: 'Sys.Audit', path: `/nodes/${node}` }),
  cluster_tasks: () => ({ what: 'tasks of others', privilege: 'Sys.Audit', path: '/nodes' }),
};

/**
 * Reads one subject of a configured host's node, or of its cluster.
 *
 * @throws ServiceError `invalid-input` for a filter that the subject doesn't know; what the API throws, which names the right
 *   that is missing
 */
export async function readHost(
  apis: ProxmoxApis,
  host: string,
  request: HostRequest,
  options: CallOptions = {},
): Promise<Reading & { readonly node: string }> {
  refuseOthers(request);
  const client = apis.get(host);
  const node = request.node ?? (await apis.node(host, options));
  const { what, of, limit, cursor, since } = request;
  const page = { limit, cursor };
  const readers: Readonly<Record<HostSubject, () => Promise<Reading>>> = {
    services: () => serviceReading(client, node, options),
    updates: () => updateReading(client, node, page, options),
    certificates: () => certificateReading(client, node, options),
    journal: () => journalReading(client, node, { since, text: of }, limit, options),
    disks: () => diskReading(client, node, of, options),
    networks: () => networkReading(client, node, options),
    metrics: async () => {
      const { columns, rows, ...facts } = await readMetrics(
        client,
        '/nodes/*/rrddata',
        [node],
        request.timeframe ?? 'hour',
        options,
      );
      return { facts, columns, rows };
    },
    volumes: () =>
      volumeReading(client, node, { storage: of, content: request.content, vmid: request.vmid }, page, options),
    tasks: () =>
      taskReading(client, { node, type: of, vmid: request.vmid, errors: request.errors, since }, page, options),
    task_log: () => taskLogReading(client, of ?? '', page, options),
    cluster_tasks: () =>
      taskReading(client, { type: of, vmid: request.vmid, errors: request.errors, since }, page, options),
    cluster: () => clusterReading(apis, host, options),
    storages: () => storageReading(client, page, options),
    pools: () => poolReading(client, of, page, options),
    ha: () => haReading(client, options),
    replication: () => replicationReading(client, node, page, options),
    backup_jobs: () => backupJobReading(client, page, options),
    rights: () => rightsReading(apis, host, options),
  };
  const [reading, hidden] = await Promise.all([readers[what](), hiddenNote(apis, host, request, node, options)]);
  return {
    node: cleanLine(node, 100),
    ...reading,
    ...(hidden.length > 0 && { notes: [...(reading.notes ?? []), ...hidden] }),
  };
}

async function hiddenNote(
  apis: ProxmoxApis,
  host: string,
  { what, of }: HostRequest,
  node: string,
  options: CallOptions,
): Promise<readonly string[]> {
  const needs = hiding[what]?.(node);
  // One that was named is refused where it may not be seen.
  if (needs === undefined || (what === 'pools' && of !== undefined)) return [];
  const client = apis.get(host);
  const held = await client.permissions(needs.path, options);
  const own = held[needs.path]?.[needs.privilege];
  // Of a node's tasks the right on the node itself is enough.
  if (own === true || (own !== undefined && what === 'tasks')) return [];
  return [
    `The API token ${client.token} may not see all ${needs.what}, and those are left out here without a word: give it ${needs.privilege} on ${needs.path}.`,
  ];
}

function refuseOthers(request: HostRequest): void {
  const { what, of } = request;
  const filters = ['node', 'of', 'content', 'vmid', 'errors', 'since', 'timeframe'] as const;
  const wrong = filters.filter((name) => request[name] !== undefined && !takes[what].includes(name));
  if (wrong.length > 0) {
    const known = takes[what];
    throw new ServiceError({
      code: 'invalid-input',
      message: `${wrong.join(', ')}: ${what} knows no such filter, so that its answer would be of something else`,
      remedy:
        known.length === 0 ? 'Leave it out: it takes no filter.' : `Leave it out; ${what} takes ${known.join(', ')}.`,
      details: { field: wrong[0] ?? '' },
    });
  }
  if (what === 'task_log' && of === undefined) {
    throw new ServiceError({
      code: 'invalid-input',
      message: 'of: it is missing; task_log is of one task',
      remedy: 'Give its UPID, which tasks lists.',
      details: { field: 'of' },
    });
  }
  if (request.node !== undefined && !/^[a-zA-Z0-9][a-zA-Z0-9.-]{0,62}$/.test(request.node)) {
    throw new ServiceError({
      code: 'invalid-input',
      message: `node: ${JSON.stringify(cleanLine(request.node, 80))} is no name of a node`,
      remedy: 'cluster lists the nodes.',
      details: { field: 'node' },
    });
  }
}
