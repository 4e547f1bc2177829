import type { Call, Route } from '../router.ts';
import { type NodeSite, nodeSite } from '../state/nodes.ts';
import { type SimulatedNode, type SimulatorState, unixTime } from '../state.ts';

const kernel = { release: '6.17.4-1-pve', version: '#1 SMP PREEMPT_DYNAMIC PMX 6.17.4-1' };

const nodeIndex = `aplinfo apt capabilities ceph certificates config disks dns firewall hardware hosts journal lxc
migrateall netstat network qemu query-oci-repo-tags query-url-metadata replication report rrd rrddata scan sdn services
spiceshell startall status stopall storage subscription suspendall syslog tasks termproxy time version vncshell vzdump
wakeonlan`
  .split(/\s+/)
  .map((name) => ({ name }));

export const nodeRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/nodes',
    handle: ({ state, permissions }) => ({
      data: [...state.nodes.values()].map((node) => ({
        node: node.name,
        id: `node/${node.name}`,
        type: 'node',
        level: '',
        ssl_fingerprint: node.fingerprint,
        status: node.online ? 'online' : 'offline',
        ...(permissions.has(`/nodes/${node.name}`, 'Sys.Audit') ? nodeFigures(node) : {}),
      })),
    }),
  },
  // Says nothing of whether the node exists.
  { method: 'GET', path: '/nodes/{node}', handle: () => ({ data: nodeIndex }) },
  {
    method: 'GET',
    path: '/nodes/{node}/status',
    handle: ({ state, parameters }) => ({ data: nodeStatus(state, nodeNamed(state, parameters)) }),
  },
  { method: 'GET', path: '/nodes/{node}/version', handle: ({ state }) => ({ data: state.version }) },
];

/** The figures that the statistics daemon gathers; a node that is away has only its sizes. */
export function nodeFigures(node: SimulatedNode): Record<string, number> {
  const sizes = { maxcpu: node.cpus, maxmem: node.memory, maxdisk: node.disk };
  if (!node.online) return sizes;
  return { ...sizes, cpu: node.load, mem: node.memoryUsed, disk: node.diskUsed, uptime: unixTime() - node.bootedAt };
}

/** The node that a call is about. */
export function nodeNamed(state: SimulatorState, parameters: Readonly<Record<string, string | number>>): SimulatedNode {
  const name = String(parameters.node);
  const node = state.nodes.get(name === 'localhost' ? state.localNode : name);
  if (!node) throw new Error(`no simulated node ${parameters.node}`);
  return node;
}

export function siteOf(state: SimulatorState, { name, ip }: SimulatedNode): NodeSite {
  return nodeSite(state.nodeSites, name, ip);
}

/** What the node of a call has beside its figures. */
export function siteFor({ state, parameters }: Call): NodeSite {
  return siteOf(state, nodeNamed(state, parameters));
}

function nodeStatus(state: SimulatorState, node: SimulatedNode): Record<string, unknown> {
  const free = node.memory - node.memoryUsed;
  const load = node.load * node.cpus;
  return {
    'boot-info': { mode: 'efi' },
    cpu: node.load,
    cpuinfo: {
      cores: node.cpus / 2,
      cpus: node.cpus,
      family: '6',
      flags: 'fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat sse sse2 ht vmx aes avx avx2',
      hvm: '1',
      mhz: '2100.000',
      model: 'Simulated CPU @ 2.10GHz',
      sockets: 1,
      user_hz: 100,
      vendor: 'GenuineIntel',
    },
    'current-kernel': { machine: 'x86_64', release: kernel.release, sysname: 'Linux', version: kernel.version },
    idle: 0,
    ksm: { shared: 0 },
    kversion: `Linux ${kernel.release} ${kernel.version}`,
    loadavg: [load, load * 0.9, load * 0.8].map((value) => value.toFixed(2)),
    memory: { available: free, free: Math.floor(free * 0.8), total: node.memory, used: node.memoryUsed },
    pveversion: `pve-manager/${state.version.version}/${state.version.repoid}`,
    rootfs: {
      avail: node.disk - node.diskUsed,
      free: node.disk - node.diskUsed,
      total: node.disk,
      used: node.diskUsed,
    },
    swap: { free: 0, total: 0, used: 0 },
    uptime: unixTime() - node.bootedAt,
    wait: 0,
  };
}
