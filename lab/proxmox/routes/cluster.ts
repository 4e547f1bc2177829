import type { Permissions } from '../access.ts';
import { ApiFailure, invalidParameters } from '../answer.ts';
import { changeClusterFile } from '../cluster-files.ts';
import { listOf } from '../formats.ts';
import type { Call, Route } from '../router.ts';
import { type SimulatedGuest, type SimulatedStorage, type SimulatorState, unixTime } from '../state.ts';
import { nodeFigures } from './nodes.ts';
import { poolOf } from './pools.ts';
import { maySee, publicTask } from './tasks.ts';

const clusterIndex = `acme backup backup-info bulk-action ceph config firewall ha jobs log mapping metrics notifications
nextid options replication resources status tasks sdn`
  .split(/\s+/)
  .map((name) => ({ name }));

export const clusterRoutes: readonly Route[] = [
  { method: 'GET', path: '/cluster', handle: () => ({ data: clusterIndex }) },
  {
    method: 'GET',
    path: '/cluster/status',
    handle: ({ state }) => ({ data: clusterStatus(state) }),
  },
  {
    method: 'GET',
    path: '/cluster/resources',
    handle: ({ state, permissions, parameters }) => {
      const lists = {
        vm: () => guests(state, permissions),
        node: () => nodes(state, permissions),
        storage: () => storages(state, permissions),
        // Zones are in the whole list as type `network`; asking for `sdn` alone gives none of them.
        sdn: () => [],
      };
      const wanted = parameters.type as keyof typeof lists | undefined;
      if (wanted) return { data: lists[wanted]() };
      return { data: [...lists.vm(), ...lists.node(), ...lists.storage(), ...zones(state, permissions)] };
    },
  },
  {
    method: 'GET',
    path: '/cluster/tasks',
    handle: ({ state, caller, permissions }) => ({
      data: [...state.tasks.values()]
        .filter((task) => maySee(task, caller, permissions))
        .reverse()
        .map((task) => {
          const { pstart, pid, ...shown } = publicTask(task);
          return task.endtime === undefined
            ? { ...shown, pid, saved: '0' }
            : { ...shown, saved: '1', endtime: task.endtime, status: task.exitstatus };
        }),
    }),
  },
  { method: 'GET', path: '/cluster/nextid', handle: (call) => ({ data: nextId(call) }) },
  {
    method: 'GET',
    path: '/cluster/options',
    handle: ({ state, permissions }) => {
      const options = state.configuration.options;
      const tags = { 'allowed-tags': allowedTags(state, permissions) };
      if (!permissions.has('/', 'Sys.Audit', 'Sys.Modify')) return { data: tags };
      return { data: { description: '', ...options, ...tags } };
    },
  },
  {
    method: 'PUT',
    path: '/cluster/options',
    handle: async ({ state, parameters }) => {
      const { delete: unset, ...fields } = parameters;
      await changeClusterFile(state, 'datacenter.cfg', undefined, () => {
        Object.assign(state.configuration.options, fields);
        for (const name of listOf(unset)) delete state.configuration.options[name];
      });
      return { data: null };
    },
  },
  {
    method: 'GET',
    path: '/cluster/log',
    handle: ({ state, caller, permissions, parameters: { max = 50 } }) => {
      const all = permissions.has('/', 'Sys.Syslog');
      const entries = state.configuration.log
        .map((entry, index) => ({
          ...entry,
          uid: String(index + 1),
          id: `${index + 1}:${entry.node}`,
          pid: 184,
          pri: 6,
        }))
        .filter(({ user }) => all || user === caller.user);
      return { data: entries.reverse().slice(0, Number(max)) };
    },
  },
  {
    method: 'GET',
    path: '/cluster/config/nodes',
    handle: ({ state }) => ({
      data: [...state.nodes.values()].map(({ name, id, ip }) => ({
        node: name,
        name,
        nodeid: String(id),
        ring0_addr: ip,
        quorum_votes: '1',
      })),
    }),
  },
];

/** The lowest number that no guest has. */
function nextId({ state, parameters: { vmid } }: Call): string {
  if (vmid !== undefined) {
    if (state.guests.has(Number(vmid))) throw invalidParameters({ vmid: `VM ${vmid} already exists` });
    return String(vmid);
  }
  for (let free = 100; free < 1_000_000; free += 1) if (!state.guests.has(free)) return String(free);
  throw new ApiFailure(500, 'unable to get any free VMID in range [100, 1000000]');
}

/** Tags that are in use where the caller may look. */
function allowedTags(state: SimulatorState, permissions: Permissions): string[] {
  const seen = [...state.guests.values()].filter(({ vmid }) => permissions.has(`/vms/${vmid}`, 'VM.Audit'));
  return [...new Set(seen.flatMap(({ tags }) => listOf(tags)))].sort();
}

function clusterStatus(state: SimulatorState): Record<string, unknown>[] {
  const { name, version, quorate } = state.cluster;
  const cluster = { type: 'cluster', id: 'cluster', name, version, nodes: state.nodes.size, quorate: quorate ? 1 : 0 };
  const members = [...state.nodes.values()].map((node) => ({
    type: 'node',
    id: `node/${node.name}`,
    name: node.name,
    nodeid: name === undefined ? 0 : node.id,
    ip: node.ip,
    level: '',
    local: node.name === state.localNode ? 1 : 0,
    online: node.online ? 1 : 0,
  }));
  return name === undefined ? members : [cluster, ...members];
}

function guests(state: SimulatorState, permissions: Permissions): Record<string, unknown>[] {
  return [...state.guests.values()]
    .filter(({ vmid }) => permissions.has(`/vms/${vmid}`, 'VM.Audit'))
    .map((guest) => {
      const pool = poolOf(state, guest.vmid);
      return { ...guestEntry(guest), ...(pool === undefined ? {} : { pool }) };
    });
}

/** What lists of the cluster show of a guest. */
export function guestEntry(guest: SimulatedGuest): Record<string, unknown> {
  const uptime = guest.status === 'running' ? unixTime() - (guest.startedAt ?? unixTime()) : 0;
  const running = uptime > 0 ? 1 : 0;
  return {
    id: `${guest.type}/${guest.vmid}`,
    type: guest.type,
    vmid: guest.vmid,
    name: guest.name,
    node: guest.node,
    status: guest.status,
    template: guest.template ? 1 : 0,
    ...(guest.tags === undefined ? {} : { tags: guest.tags }),
    ...(guest.lock === undefined ? {} : { lock: guest.lock }),
    ...(guest.ha === undefined ? {} : { hastate: guest.ha.state }),
    uptime,
    maxcpu: guest.cpus,
    cpu: running * 0.02,
    maxmem: guest.memory,
    mem: running * Math.floor(guest.memory * 0.4),
    memhost: running * Math.floor(guest.memory * 0.45),
    maxdisk: guest.disk,
    disk: guest.type === 'lxc' ? running * Math.floor(guest.disk * 0.2) : 0,
    diskread: uptime * 2048,
    diskwrite: uptime * 4096,
    netin: uptime * 1024,
    netout: uptime * 512,
  };
}

function nodes(state: SimulatorState, permissions: Permissions): Record<string, unknown>[] {
  return [...state.nodes.values()].map((node) => ({
    id: `node/${node.name}`,
    type: 'node',
    node: node.name,
    level: '',
    status: node.online ? 'online' : 'offline',
    hastate: 'online',
    'cgroup-mode': 2,
    ...(permissions.has(`/nodes/${node.name}`, 'Sys.Audit') ? nodeFigures(node) : {}),
  }));
}

function storages(state: SimulatorState, permissions: Permissions): Record<string, unknown>[] {
  return state.storages
    .filter(({ storage }) => permissions.has(`/storage/${storage}`, 'Datastore.Audit'))
    .map((entry) => storageEntry(entry));
}

/** What lists of the cluster show of a storage on one node. */
export function storageEntry(entry: SimulatedStorage): Record<string, unknown> {
  return {
    id: `storage/${entry.node}/${entry.storage}`,
    type: 'storage',
    storage: entry.storage,
    node: entry.node,
    plugintype: entry.plugin,
    content: entry.content,
    shared: entry.shared ? 1 : 0,
    status: entry.status,
    ...(entry.status === 'available' ? { maxdisk: entry.total, disk: entry.used } : {}),
  };
}

function zones(state: SimulatorState, permissions: Permissions): Record<string, unknown>[] {
  if (!permissions.has('/sdn/zones/localnetwork', 'SDN.Audit')) return [];
  return [...state.nodes.keys()].map((node) => ({
    id: `network/${node}/zone/localnetwork`,
    type: 'network',
    'network-type': 'zone',
    network: 'localnetwork',
    node,
    status: 'ok',
  }));
}
