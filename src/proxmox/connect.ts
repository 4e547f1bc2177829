import type { HostConfig } from '../config.ts';
import { isServiceError, ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import { probeCertificate } from './certificate.ts';
import { createProxmoxClient, type ProxmoxClient } from './client.ts';
import type { ProxmoxClusterStatus, ProxmoxNode } from './schemas.ts';
import type { CallOptions, TransportOptions } from './transport.ts';

/** Which node of which cluster a configured host is. */
export interface Member {
  /** Absent: the node is in no cluster. */
  readonly cluster?: string;
  readonly node: string;
}

/** The Proxmox APIs of the configured hosts, each connected when it is first used. */
export interface ProxmoxApis {
  /** All configured hosts, with and without an API. */
  readonly hosts: readonly HostConfig[];
  has(host: string): boolean;
  /** Throws `not-found` for a host that isn't configured, `configuration` for one without an API. */
  get(host: string): ProxmoxClient;
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
  close(): Promise<void>;
}

export function createProxmoxApis(
  { hosts }: { readonly hosts: readonly HostConfig[] },
  log: Log,
  options: Pick<TransportOptions, 'retries'> = {},
): ProxmoxApis {
  const clients = new Map<string, ProxmoxClient>();
  const members = new Map<string, Member>();
  const nodes = new Map<string, string>();

  function get(name: string): ProxmoxClient {
    const made = clients.get(name);
    if (made) return made;
    const client = createProxmoxClient(apiOf(hosts, name), { log, ...options });
    clients.set(name, client);
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
    has: (name) => hosts.some((host) => host.name === name && host.api !== undefined),
    get,
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
    async close() {
      await Promise.all([...clients.values()].map((client) => client.close()));
    },
  };
}

/** The node whose certificate that is. Nodes may share one, which then says nothing. */
function nodeWith(fingerprint: string, listed: readonly ProxmoxNode[]): string | undefined {
  const [found, another] = listed.filter(({ ssl_fingerprint: own }) => own === fingerprint);
  return another === undefined ? found?.node : undefined;
}

function apiOf(hosts: readonly HostConfig[], name: string): NonNullable<HostConfig['api']> {
  const host = hosts.find((candidate) => candidate.name === name);
  if (host?.api) return host.api;
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
    message: `No Proxmox API is configured for the host "${name}"`,
    remedy: `Configure its API token (docs/configuration.md), or name a host that has one: ${names(hosts.filter(({ api }) => api))}.`,
    details: { field: 'host' },
  });
}
