import { join } from 'node:path';
import { z } from 'zod';
import type { HostConfig } from '../config.ts';
import { isServiceError, ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import { probeCertificate } from './certificate.ts';
import { createProxmoxClient, type ProxmoxClient } from './client.ts';
import { type ClusterNodes, createClusterNodes, type LearntCluster } from './cluster-nodes.ts';
import { addressOf } from './failures.ts';
import { figure, type ProxmoxClusterStatus, type ProxmoxNode } from './schemas.ts';
import type { CallOptions, TransportOptions } from './transport.ts';

/** Which node of which cluster a configured host is. */
export interface Member {
  /** Absent: the node is in no cluster. */
  readonly cluster?: string;
  readonly node: string;
}

/** Another node of a host's cluster, and what asking it came to. */
export interface TriedNode {
  /** `192.0.2.12:8006` */
  readonly address: string;
  /** Absent: it answers. */
  readonly error?: ServiceError;
}

/** The Proxmox APIs of the configured hosts, each connected when it is first used. */
export interface ProxmoxApis {
  /** All configured hosts, with and without an API. */
  readonly hosts: readonly HostConfig[];
  has(host: string): boolean;
  /** Throws `not-found` for a host that isn't configured, `configuration` for one without an API. */
  get(host: string): ProxmoxClient;
  /** The same of its Proxmox Backup Server. */
  backupServer(host: string): ProxmoxClient;
  /**
   * The cluster as the host's own node sees it now; of a node that is in no cluster, that node alone. Needs Sys.Audit on /.
   */
  cluster(host: string, options?: CallOptions): Promise<readonly ProxmoxClusterStatus[]>;
  /** The name of the host's own node. Needs no right where its certificate or its name here says it. Asked once. */
  node(host: string, options?: CallOptions): Promise<string>;
  /** Which node of which cluster the host is; needs Sys.Audit on /. Asked once: it doesn't change while the service runs. */
  member(host: string, options?: CallOptions): Promise<Member>;
  /** The same, if it has been asked before. */
  known(host: string): Member | undefined;
  /** What was learnt of the host's cluster: by which other nodes it can be reached, and until when its API token lasts. */
  learnt(host: string): LearntCluster | undefined;
  /** Learns that now, which else happens beside the first call, and every ten minutes. */
  learn(host: string, options?: CallOptions): Promise<void>;
  /** Whether each other node of the host's cluster would answer in its place. */
  tryOthers(host: string, options?: CallOptions): Promise<readonly TriedNode[]>;
  close(): Promise<void>;
}

/** In the data folder. */
const nodesFile = 'proxmox-nodes.json';
const learnEveryMs = 10 * 60_000;
const learnMs = 15_000;
/** Of one other node that is only tried. */
const tryMs = 5_000;

/** Of a user with its API tokens, what is asked. */
const userSchema = z.looseObject({
  tokens: z.record(z.string(), z.looseObject({ expire: figure.optional() })).nullish(),
});

/** @param config - with a data folder what is learnt of clusters is kept there */
export function createProxmoxApis(
  { hosts, dataDir }: { readonly hosts: readonly HostConfig[]; readonly dataDir?: string },
  log: Log,
  options: Pick<TransportOptions, 'retries'> & {
    /** Default: true. False for what only looks at one host for a moment; what is known already is used all the same. */
    readonly learns?: boolean;
  } = {},
): ProxmoxApis {
  const { learns = true, ...transport } = options;
  const clients = new Map<string, ProxmoxClient>();
  const members = new Map<string, Member>();
  const nodes = new Map<string, string>();
  const clusters: ClusterNodes = createClusterNodes(hosts, dataDir && join(dataDir, nodesFile));
  const learntAt = new Map<string, number>();
  const learning = new Set<Promise<void>>();
  const closing = new AbortController();

  async function learn(name: string, callOptions: CallOptions = {}): Promise<void> {
    const client = get(name);
    const { user, tokenName } = apiOf(hosts, name);
    const refused = (error: unknown) => {
      if (isServiceError(error, 'proxmox-permission')) return undefined;
      throw error;
    };
    const [seen, listed, owner] = await Promise.all([
      client.clusterStatus(callOptions).catch(refused),
      client.nodes(callOptions),
      // Only so that what has expired can be told from what was deleted.
      client.read(userSchema, '/access/users/*', [user], undefined, callOptions).catch(() => undefined),
    ]);
    const tokenExpires = owner?.tokens?.[tokenName]?.expire ?? clusters.of(name)?.tokenExpires;
    clusters.learn(name, { members: seen ?? [], nodes: listed, tokenExpires });
  }

  /** Beside the call that was answered: nobody waits for it. */
  function learnAgain(name: string): void {
    const last = learntAt.get(name);
    if (!learns || closing.signal.aborted || (last !== undefined && performance.now() - last < learnEveryMs)) return;
    learntAt.set(name, performance.now());
    const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(learnMs)]);
    const going = learn(name, { signal })
      .catch((error: unknown) => {
        log.debug({ host: name, error: String(error) }, 'nothing was learnt of its cluster');
      })
      .finally(() => learning.delete(going));
    learning.add(going);
  }

  function forget(name: string, node: string): void {
    if (nodes.get(name) === node) nodes.delete(name);
    if (members.get(name)?.node === node) members.delete(name);
    learntAt.delete(name);
  }

  function get(name: string): ProxmoxClient {
    const made = clients.get(name);
    if (made) return made;
    const client = createProxmoxClient(apiOf(hosts, name), {
      log,
      ...transport,
      cluster: {
        own: () => clusters.of(name)?.own,
        others: () => clusters.others(name),
        answered: () => learnAgain(name),
        isUnknown: (node) => forget(name, node),
      },
    });
    clients.set(name, client);
    return client;
  }

  function backupServer(name: string): ProxmoxClient {
    const key = `backup server of ${name}`;
    const made = clients.get(key);
    if (made) return made;
    const client = createProxmoxClient(apiOf(hosts, name, 'backupServer'), { log, ...transport });
    clients.set(key, client);
    return client;
  }

  async function cluster(name: string, options?: CallOptions): Promise<readonly ProxmoxClusterStatus[]> {
    const seen = await get(name).clusterStatus(options);
    const local = seen.find((entry) => entry.type === 'node' && entry.local);
    const named = seen.find((entry) => entry.type === 'cluster');
    if (local) members.set(name, { node: local.name, ...(named ? { cluster: named.name } : {}) });
    return seen;
  }

  async function node(name: string, options?: CallOptions): Promise<string> {
    const listed = await get(name).nodes(options);
    if (listed.length === 1 && listed[0]) return listed[0].node;
    const { host, port, trust } = apiOf(hosts, name);
    const pinned = trust.kind === 'fingerprint' ? nodeWith(trust.sha256, listed) : undefined;
    if (pinned !== undefined) return pinned;
    try {
      await cluster(name, options);
      return members.get(name)?.node ?? name;
    } catch (error) {
      if (!isServiceError(error, 'proxmox-permission')) throw error;
      const shown =
        nodeWith((await probeCertificate(host, port)).fingerprint, listed) ??
        // Behind a proxy, or with one certificate for all: what a person calls it.
        listed.find(({ node: one }) => one === name || one === host.split('.', 1)[0])?.node;
      if (shown !== undefined) return shown;
      throw error;
    }
  }

  return {
    hosts,
    has: (name) => hosts.some((host) => host.name === name && host.api !== undefined && !host.isElsewhere),
    get,
    backupServer,
    cluster,
    async node(name, options) {
      const known = members.get(name)?.node ?? nodes.get(name) ?? (await node(name, options));
      nodes.set(name, known);
      return known;
    },
    async member(name, options) {
      if (!members.has(name)) await cluster(name, options);
      return members.get(name) ?? { node: name };
    },
    known: (name) => members.get(name),
    learnt: clusters.of,
    learn,
    tryOthers: (name, callOptions) =>
      Promise.all(
        clusters.others(name).map(async (node): Promise<TriedNode> => {
          const client = createProxmoxClient(
            { ...apiOf(hosts, name), ...node },
            { log, ...transport, timeoutMs: tryMs },
          );
          try {
            await client.version(callOptions);
            return { address: addressOf(node) };
          } catch (error) {
            if (!(error instanceof ServiceError)) throw error;
            return { address: addressOf(node), error };
          } finally {
            await client.close();
          }
        }),
      ),
    async close() {
      closing.abort();
      await Promise.all(learning);
      await Promise.all([...clients.values()].map((client) => client.close()));
    },
  };
}

/** The node whose certificate that is. Nodes may share one, which then says nothing. */
function nodeWith(fingerprint: string, listed: readonly ProxmoxNode[]): string | undefined {
  const [found, another] = listed.filter(({ ssl_fingerprint: own }) => own === fingerprint);
  return another === undefined ? found?.node : undefined;
}

/** What is asked for here belongs to another worker. */
function servedElsewhere({ name }: HostConfig): ServiceError {
  return new ServiceError({
    code: 'configuration',
    message: `${name} is served by another worker (WORKER_HOSTS), and its API token isn't here`,
    remedy: 'Ask where it is served, or add it to WORKER_HOSTS and bring its keys here.',
    details: { field: 'host' },
  });
}

function apiOf(
  hosts: readonly HostConfig[],
  name: string,
  kind: 'api' | 'backupServer' = 'api',
): NonNullable<HostConfig['api']> {
  const host = hosts.find((candidate) => candidate.name === name);
  if (host?.isElsewhere) throw servedElsewhere(host);
  const configured = host?.[kind];
  if (configured !== undefined) return configured;
  const names = (of: readonly HostConfig[]) => of.map((one) => one.name).join(', ') || 'none';
  if (host === undefined) {
    throw new ServiceError({
      code: 'not-found',
      message: `There is no host "${name}"`,
      remedy: `The configured hosts are ${names(hosts)}.`,
      details: { field: 'host' },
    });
  }
  throw new ServiceError({
    code: 'configuration',
    message: `No ${kind === 'api' ? 'Proxmox API' : 'Proxmox Backup Server'} is configured for the host "${name}"`,
    remedy: `Configure its API token (docs/configuration.md), or name a host that has one: ${names(hosts.filter((one) => one[kind]))}.`,
    details: { field: 'host' },
  });
}
