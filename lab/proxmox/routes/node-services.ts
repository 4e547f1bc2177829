import type { Call, Route } from '../router.ts';
import type { SimulatedNode } from '../state.ts';
import { nodeNamed, siteOf } from './nodes.ts';

/** What a node lists, in its order: name, description, and whether a node usually has it. */
const daemons: readonly (readonly [name: string, description: string, isHere: boolean])[] = [
  ['chrony', 'chrony.service', false],
  ['corosync', 'Corosync Cluster Engine', true],
  ['cron', 'Regular background program processing daemon', true],
  ['ksmtuned', 'ksmtuned.service', false],
  ['lxcfs', 'FUSE filesystem for LXC', true],
  ['postfix', 'Postfix Mail Transport Agent', true],
  ['proxmox-firewall', 'Proxmox nftables firewall', true],
  ['pve-cluster', 'The Proxmox VE cluster filesystem', true],
  ['pve-firewall', 'Proxmox VE firewall', true],
  ['pve-ha-crm', 'PVE Cluster HA Resource Manager Daemon', true],
  ['pve-ha-lrm', 'PVE Local HA Resource Manager Daemon', true],
  ['pve-lxc-syscalld', 'Proxmox VE LXC Syscall Daemon', true],
  ['pvedaemon', 'PVE API Daemon', true],
  ['pvefw-logger', 'Proxmox VE firewall logger', true],
  ['pveproxy', 'PVE API Proxy Server', true],
  ['pvescheduler', 'Proxmox VE scheduler', true],
  ['pvestatd', 'PVE Status Daemon', true],
  ['qmeventd', 'PVE Qemu Event Daemon', true],
  ['spiceproxy', 'PVE SPICE Proxy Server', true],
  ['sshd', 'OpenBSD Secure Shell server', true],
  ['syslog', 'syslog.service', false],
  ['systemd-journald', 'Journal Service', true],
  ['systemd-timesyncd', 'Network Time Synchronization', true],
];

const base = '/nodes/{node}/services';

export const nodeServiceRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: base,
    handle: ({ state, parameters }) => ({ data: daemons.map((daemon) => entry(nodeNamed(state, parameters), daemon)) }),
  },
  {
    method: 'GET',
    path: `${base}/{service}`,
    handle: () => ({ data: ['state', 'start', 'stop', 'restart', 'reload'].map((subdir) => ({ subdir })) }),
  },
  {
    method: 'GET',
    path: `${base}/{service}/state`,
    handle: ({ state, parameters }) => {
      const daemon = daemons.find(([name]) => name === parameters.service);
      return { data: daemon ? entry(nodeNamed(state, parameters), daemon) : {} };
    },
  },
  ...(['start', 'stop', 'restart', 'reload'] as const).map(
    (action): Route => ({
      method: 'POST',
      path: `${base}/{service}/${action}`,
      handle: (call) => ({ data: change(call, action) }),
    }),
  ),
];

function change(call: Call, action: 'start' | 'stop' | 'restart' | 'reload'): string {
  const { state, tasks, caller, parameters } = call;
  const node = nodeNamed(state, parameters);
  const service = String(parameters.service);
  return tasks.start({ node: node.name, type: `srv${action}`, id: service, caller }, async () => {
    const problem = action === 'stop' ? undefined : siteOf(state, node).brokenServices.get(service);
    if (problem !== undefined) {
      node.services.set(service, 'failed');
      throw new Error(problem);
    }
    if (action === 'stop') node.services.set(service, 'inactive');
    else node.services.delete(service);
  });
}

function entry({ services }: SimulatedNode, [name, desc, isHere]: (typeof daemons)[number]): Record<string, unknown> {
  const active = services.get(name) ?? (isHere ? 'active' : 'inactive');
  return {
    service: name,
    name,
    desc,
    'active-state': active,
    state: active === 'active' ? 'running' : active === 'failed' ? 'failed' : 'dead',
    'unit-state': isHere ? 'enabled' : 'not-found',
  };
}
