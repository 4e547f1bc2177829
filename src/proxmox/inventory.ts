import { z } from 'zod';
import { isServiceError, ServiceError } from '../errors.ts';
import { cleanLine } from '../reports/clean.ts';
import type { ProxmoxApis } from './connect.ts';
import { figure, flag, type ProxmoxClusterStatus } from './schemas.ts';
import type { CallOptions } from './transport.ts';

/** A guest as its cluster lists it: what there is without asking its node. Names are cleaned. */
export interface ListedGuest {
  /** The cluster's own name; of a node that is in none, or where the API token may not see it, a configured host's. */
  readonly cluster: string;
  /** The configured host that is its node, else the one that answered for its cluster. */
  readonly host: string;
  readonly vmid: number;
  readonly type: 'qemu' | 'lxc';
  readonly name: string;
  readonly node: string;
  /** `running`, `stopped`, `paused` …; `template` of a template, which never runs; `unknown` while its node is away. */
  readonly state: string;
  readonly tags: readonly string[];
  readonly pool?: string;
  /** Share of its own CPUs, 0 to 1. */
  readonly cpu?: number;
  readonly cpus?: number;
  /** Bytes, as are the following. */
  readonly memory?: number;
  readonly maxMemory?: number;
  /** Of a VM nobody knows how much of its disk is used. */
  readonly disk?: number;
  readonly maxDisk?: number;
  readonly uptimeSeconds?: number;
  /** The lock of its configuration: `backup`, `migrate` … */
  readonly lock?: string;
  /** What the HA stack says of it, where that manages it. */
  readonly ha?: string;
}

/** One cluster, or one node that is in none, as it answered. */
export interface SeenCluster {
  readonly name: string;
  /** Its configured hosts. */
  readonly hosts: readonly string[];
  /** The host that answered for it; absent: none did, and `problem` says why. */
  readonly via?: string;
  readonly problem?: ServiceError;
  /** What the API token may not see, and the right that shows it; absent: it sees every guest. */
  readonly hidden?: string;
}

/** The guests of several clusters. One that doesn't answer leaves the others as they are. */
export interface Inventory {
  /** By cluster, then by number. */
  readonly guests: readonly ListedGuest[];
  readonly clusters: readonly SeenCluster[];
}

/** Lists the guests of all configured clusters. */
export interface InventoryReader {
  /**
   * @param host a configured host: only its cluster is asked. Default: all
   * @throws ServiceError `configuration` where no host has an API; what the API throws where the one that was named doesn't
   *   answer
   */
  read(options?: CallOptions & { readonly host?: string | undefined }): Promise<Inventory>;
}

/** How long a host may take to say which cluster it is in, and to list that cluster's guests. Milliseconds. */
const askMs = { member: 5_000, guests: 15_000 } as const;

/** How long a host that didn't answer is asked last, and what an API token may see is believed. Milliseconds. */
const keptMs = { away: 10_000, rights: 60_000 } as const;

/** What is listed of a guest. Other fields, as counters of its traffic, are left out. */
const listedGuests = z.array(
  z.object({
    type: z.enum(['qemu', 'lxc']),
    vmid: figure,
    node: z.string(),
    name: z.string().optional(),
    status: z.string().optional(),
    template: flag.optional(),
    tags: z.string().optional(),
    pool: z.string().optional(),
    cpu: figure.optional(),
    maxcpu: figure.optional(),
    mem: figure.optional(),
    maxmem: figure.optional(),
    disk: figure.optional(),
    maxdisk: figure.optional(),
    uptime: figure.optional(),
    lock: z.string().optional(),
    hastate: z.string().optional(),
  }),
);
type RawGuest = z.infer<typeof listedGuests>[number];

/** Configured hosts that are in one cluster. */
interface Group {
  /** Undefined: the API token may not see it, or there is none. */
  readonly cluster?: string;
  readonly hosts: string[];
  /** Of hosts that can't be asked which cluster they are in. */
  readonly problem?: ServiceError;
}

interface Answer {
  readonly cluster: SeenCluster;
  readonly guests: readonly ListedGuest[];
}

type ReadOptions = NonNullable<Parameters<InventoryReader['read']>[0]>;

/** What one cluster's failure is for the others' list. Throws what isn't one: a defect, or that the caller went away. */
function ofApi(error: unknown, { signal }: CallOptions): ServiceError {
  if (!(error instanceof ServiceError) || signal?.aborted) throw error;
  return error;
}

export function createInventory(apis: ProxmoxApis): InventoryReader {
  /** What makes two hosts the same cluster, as far as it is known. */
  const identities = new Map<string, { readonly key: string; readonly cluster?: string; readonly prints?: string }>();
  /** By the key of a cluster whose name is known; undefined: nothing tells it from others by them. */
  const printsOfCluster = new Map<string, string | undefined>();
  const members = new Map<string, readonly ProxmoxClusterStatus[]>();
  const away = new Map<string, { readonly until: number; readonly error: ServiceError }>();
  const rights = new Map<string, { readonly until: number; readonly seesAll: boolean }>();

  return { read };

  async function read({ host, ...options }: ReadOptions = {}): Promise<Inventory> {
    const names = apis.hosts.map(({ name }) => name).filter((name) => apis.has(name));
    if (names.length === 0) throw noApi();
    if (host === undefined) {
      const seen = await Promise.all((await groupHosts(names, options)).map((group) => ask(group, undefined, options)));
      return { guests: seen.flatMap(({ guests }) => guests), clusters: seen.map(({ cluster }) => cluster) };
    }
    // Says what is wrong with a host that isn't configured, or has no API.
    apis.get(host);
    // The others of its cluster are asked only where it is away itself.
    const own = await askOwn([host, ...names.filter((name) => identities.has(name))], host, options);
    const seen = own.cluster.problem === undefined ? own : await askOwn(names, host, options);
    if (seen.cluster.problem !== undefined) throw seen.cluster.problem;
    return { guests: seen.guests, clusters: [seen.cluster] };
  }

  async function askOwn(names: readonly string[], host: string, options: CallOptions): Promise<Answer> {
    const group = (await groupHosts([...new Set(names)], options)).find(({ hosts }) => hosts.includes(host));
    if (group === undefined) throw new Error(`${host} is in no group`);
    return await ask(group, host, options);
  }

  /** Each cluster once, however many of its nodes are configured. */
  async function groupHosts(names: readonly string[], options: CallOptions): Promise<readonly Group[]> {
    const failures = new Map<string, ServiceError>();
    await Promise.all(
      names.map(async (name) => {
        try {
          await identify(name, options);
        } catch (error) {
          failures.set(name, ofApi(error, options));
        }
      }),
    );
    const groups = new Map<string, Group>();
    const late: string[] = [];
    for (const name of names) {
      const known = identities.get(name);
      // What isn't sure of its cluster may be a node of one that is.
      if (known?.cluster === undefined) {
        late.push(name);
        continue;
      }
      const group = groups.get(known.key);
      if (group) group.hosts.push(name);
      else groups.set(known.key, { cluster: known.cluster, hosts: [name] });
    }
    for (const name of late) {
      const known = identities.get(name);
      const key = known?.key ?? `away ${name}`;
      const own =
        groups.get(key) ??
        [...groups.values()].find((group) => isNodeOf(name, group)) ??
        (await groupWith(known?.prints, groups, options));
      const problem = failures.get(name);
      if (own) own.hosts.push(name);
      else groups.set(key, { hosts: [name], ...(problem && { problem }) });
    }
    return [...groups.values()];
  }

  /** Whether a cluster has a node with this host's address. */
  function isNodeOf(name: string, { hosts }: Group): boolean {
    const host = apis.hosts.find((one) => one.name === name);
    const addresses = [host?.api?.host, host?.ssh?.host];
    const seen = hosts.flatMap((peer) => members.get(peer) ?? []);
    return seen.some((entry) => entry.type === 'node' && entry.ip !== undefined && addresses.includes(entry.ip));
  }

  async function identify(name: string, options: CallOptions): Promise<void> {
    if (identities.has(name)) return;
    const known = away.get(name);
    if (known !== undefined && known.until > performance.now()) throw known.error;
    try {
      const seen = await apis.cluster(name, { ...options, timeoutMs: askMs.member });
      const cluster = seen.find((entry) => entry.type === 'cluster')?.name;
      members.set(name, seen);
      identities.set(name, cluster === undefined ? { key: `node ${name}` } : { key: `cluster ${cluster}`, cluster });
    } catch (error) {
      if (!isServiceError(error, 'proxmox-permission')) throw remember(name, error);
      const prints = await printsOf(name, options);
      identities.set(name, {
        key: prints === undefined ? `node ${name}` : `nodes ${prints}`,
        ...(prints !== undefined && { prints }),
      });
    }
  }

  /** Without the right to its name, a cluster is told from others by its nodes' certificates. Undefined: they don't tell. */
  async function printsOf(name: string, options: CallOptions): Promise<string | undefined> {
    const nodes = await apis.get(name).nodes({ ...options, timeoutMs: askMs.member });
    const prints = nodes.flatMap(({ ssl_fingerprint: print }) => (print === undefined ? [] : [print])).sort();
    return nodes.length > 1 && prints.length === nodes.length ? prints.join(' ') : undefined;
  }

  /** Of the clusters whose names some API token may see, the one that has these nodes. */
  async function groupWith(
    prints: string | undefined,
    groups: ReadonlyMap<string, Group>,
    options: CallOptions,
  ): Promise<Group | undefined> {
    if (prints === undefined) return undefined;
    for (const [key, group] of groups) {
      const [first] = group.hosts;
      if (group.cluster === undefined || first === undefined) continue;
      if (!printsOfCluster.has(key)) {
        try {
          printsOfCluster.set(key, await printsOf(first, options));
        } catch (error) {
          ofApi(error, options);
        }
      }
      if (printsOfCluster.get(key) === prints) return group;
    }
    return undefined;
  }

  function remember(name: string, error: unknown): unknown {
    if (error instanceof ServiceError && error.retryable)
      away.set(name, { until: performance.now() + keptMs.away, error });
    return error;
  }

  /**
   * Asks one host of a cluster after the other until one answers that sees every guest; those come last that didn't answer
   * lately, or whose API token sees less.
   */
  async function ask(group: Group, first: string | undefined, options: CallOptions): Promise<Answer> {
    const { hosts } = group;
    const name = cleanLine(group.cluster ?? hosts[0] ?? '', 100);
    if (group.problem !== undefined) return { cluster: { name, hosts, problem: group.problem }, guests: [] };
    const rank = (host: string) => (isAway(host) ? 3 : isPartial(host) ? 2 : host === first ? 0 : 1);
    let problem: ServiceError | undefined;
    let partial: Answer | undefined;
    for (const via of hosts.toSorted((a, b) => rank(a) - rank(b))) {
      // Those that come now see no more.
      if (partial !== undefined && (isAway(via) || isPartial(via))) break;
      try {
        const [guests, seesAll] = await Promise.all([
          apis
            .get(via)
            .read(listedGuests, '/cluster/resources', [], { type: 'vm' }, { ...options, timeoutMs: askMs.guests }),
          seesAllGuests(via, options),
        ]);
        away.delete(via);
        const hidden = seesAll ? undefined : hiddenFrom(apis.get(via).token, guests.length);
        const answer = {
          cluster: { name, hosts, via, ...(hidden !== undefined && { hidden }) },
          guests: guests.map((guest) => listed(guest, name, group, via)).sort((a, b) => a.vmid - b.vmid),
        };
        if (hidden === undefined) return answer;
        partial ??= answer;
      } catch (error) {
        const failure = ofApi(error, options);
        remember(via, failure);
        problem ??= failure;
      }
    }
    return partial ?? { cluster: { name, hosts, ...(problem && { problem }) }, guests: [] };
  }

  function isAway(host: string): boolean {
    return (away.get(host)?.until ?? 0) > performance.now();
  }

  /** Whether its API token is known not to see every guest; another host's may. */
  function isPartial(host: string): boolean {
    const known = rights.get(host);
    return known !== undefined && known.until > performance.now() && !known.seesAll;
  }

  async function seesAllGuests(host: string, options: CallOptions): Promise<boolean> {
    const known = rights.get(host);
    if (known !== undefined && known.until > performance.now()) return known.seesAll;
    const held = await apis.get(host).permissions('/vms', { ...options, timeoutMs: askMs.guests });
    const seesAll = held['/vms']?.['VM.Audit'] === true;
    rights.set(host, { until: performance.now() + keptMs.rights, seesAll });
    return seesAll;
  }

  function listed(guest: RawGuest, cluster: string, group: Group, via: string): ListedGuest {
    const { type, vmid, pool, lock, hastate, cpu, maxcpu, mem, maxmem, disk, maxdisk, uptime } = guest;
    const own = group.hosts.find((host) => apis.known(host)?.node === guest.node);
    const tags = (guest.tags ?? '').split(/[;,\s]+/).filter((tag) => tag !== '');
    return {
      cluster,
      host: own === undefined || isAway(own) ? via : own,
      vmid,
      type,
      name: cleanLine(guest.name ?? '', 100) || String(vmid),
      node: cleanLine(guest.node, 100),
      state: guest.template ? 'template' : cleanLine(guest.status ?? 'unknown', 30),
      tags: tags.slice(0, 20).map((tag) => cleanLine(tag, 60)),
      ...(pool && { pool: cleanLine(pool, 60) }),
      ...(cpu !== undefined && { cpu }),
      ...(maxcpu !== undefined && { cpus: maxcpu }),
      ...(mem !== undefined && { memory: mem }),
      ...(maxmem !== undefined && { maxMemory: maxmem }),
      ...(disk && { disk }),
      ...(maxdisk !== undefined && { maxDisk: maxdisk }),
      ...(uptime && { uptimeSeconds: uptime }),
      ...(lock && { lock: cleanLine(lock, 30) }),
      ...(hastate && hastate !== 'none' && hastate !== 'unmanaged' && { ha: cleanLine(hastate, 30) }),
    };
  }
}

/** What a list doesn't say by itself: Proxmox leaves out what the API token may not see, with status 200. */
function hiddenFrom(token: string, seen: number): string {
  const sees = seen === 0 ? 'no guest' : `only the guests for which it has VM.Audit`;
  return `The API token ${token} sees ${sees}; there may be more. To see all, give it VM.Audit on /vms (pveum acl modify /vms --tokens '${token}' --roles PVEAuditor; an API token with privilege separation needs it besides its user).`;
}

function noApi(): ServiceError {
  return new ServiceError({
    code: 'configuration',
    message: 'No configured host is reached by the Proxmox API, and only that knows the guests',
    remedy: 'Give a host its API token: npx proxmox-mcp host install NAME, or docs/configuration.md by hand.',
  });
}
