import { type GuestType, guestAt } from '../guests/asked-guest.ts';
import { changePower, type PowerAction, reset, resume, suspend } from '../guests/power.ts';
import { type ParameterRules, vmidFormat } from '../parameters.ts';
import type { Route } from '../router.ts';
import { type SimulatedGuest, unixTime } from '../state.ts';

const ofGuest: ParameterRules = {
  vmid: { type: 'integer', minimum: 100, maximum: 999_999_999, format: vmidFormat },
};
const timeout: ParameterRules = { timeout: { type: 'integer', minimum: 0 } };
const skiplock: ParameterRules = { skiplock: { type: 'boolean' } };
const forceStop: ParameterRules = { forceStop: { type: 'boolean' } };
const keepActive: ParameterRules = { keepActive: { type: 'boolean' } };
const overrule: ParameterRules = { 'overrule-shutdown': { type: 'boolean' } };

/** Those of a migration, a CPU of one's own and the like aren't there. */
const parametersOf: Readonly<Record<GuestType, Readonly<Record<PowerAction, ParameterRules>>>> = {
  qemu: {
    start: { ...skiplock, ...timeout },
    stop: { ...skiplock, ...timeout, ...keepActive, ...overrule },
    shutdown: { ...skiplock, ...timeout, ...keepActive, ...forceStop },
    reboot: timeout,
  },
  lxc: {
    start: { ...skiplock, debug: { type: 'boolean' } },
    stop: { ...skiplock, ...overrule },
    shutdown: { ...timeout, ...forceStop },
    reboot: timeout,
  },
};

const parts: Readonly<Record<GuestType, readonly string[]>> = {
  qemu: `config cloudinit pending status unlink vncproxy termproxy migrate resize move rrd rrddata monitor agent snapshot
spiceproxy sendkey firewall mtunnel remote_migrate`.split(/\s+/),
  lxc: `config pending status vncproxy termproxy vncwebsocket spiceproxy migrate clone initlog rrd rrddata firewall
snapshot resize interfaces mtunnel remote_migrate`.split(/\s+/),
};
const statusParts: Readonly<Record<GuestType, readonly string[]>> = {
  qemu: ['current', 'start', 'stop', 'reset', 'shutdown', 'suspend', 'reboot'],
  lxc: ['current', 'start', 'stop', 'shutdown', 'migrate'],
};

export const guestRoutes: readonly Route[] = (['qemu', 'lxc'] as const).flatMap((type) => [
  list(type),
  // Say nothing of whether the guest exists.
  index(type, '', parts[type]),
  index(type, '/status', statusParts[type]),
  look(type, 'status/current', type === 'qemu' ? machineStatus : containerStatus),
  ...(['start', 'stop', 'shutdown', 'reboot'] as const).map((action) => change(type, action)),
  {
    method: 'POST',
    path: `/nodes/{node}/${type}/{vmid}/status/suspend`,
    handle: (call) => ({ data: suspend(call, type) }),
  },
  {
    method: 'POST',
    path: `/nodes/{node}/${type}/{vmid}/status/resume`,
    handle: (call) => ({ data: resume(call, type) }),
  },
  ...(type === 'qemu'
    ? [
        {
          method: 'POST',
          path: '/nodes/{node}/qemu/{vmid}/status/reset',
          handle: (call) => ({ data: reset(call) }),
        } as const satisfies Route,
      ]
    : []),
]);

function index(type: GuestType, at: string, subdirs: readonly string[]): Route {
  const data = subdirs.map((subdir) => ({ subdir }));
  return { method: 'GET', path: `/nodes/{node}/${type}/{vmid}${at}`, handle: () => ({ data }) };
}

/** A node's own guests, as far as the caller may see them. */
function list(type: GuestType): Route {
  return {
    method: 'GET',
    path: `/nodes/{node}/${type}`,
    onNode: true,
    parameters: type === 'qemu' ? { full: { type: 'boolean' } } : {},
    handle: ({ state, permissions, parameters }) => ({
      data: [...state.guests.values()]
        .filter((guest) => guest.type === type && guest.node === parameters.node)
        .filter(({ vmid }) => permissions.has(`/vms/${vmid}`, 'VM.Audit'))
        .map((guest) => listEntry(guest, parameters.full === 1)),
    }),
  };
}

function listEntry(guest: SimulatedGuest, full: boolean): Record<string, unknown> {
  const { ha, ...common } = commonStatus(guest);
  if (guest.type === 'lxc') return { ...common, type: 'lxc', swap: 0, maxswap: 536_870_912, diskread: 0, diskwrite: 0 };
  const qmpstatus = guest.paused ? 'paused' : guest.status;
  return { ...common, memhost: 0, ...(full ? { qmpstatus } : {}) };
}

function look(type: GuestType, what: string, show: (guest: SimulatedGuest) => Record<string, unknown>): Route {
  return {
    method: 'GET',
    path: `/nodes/{node}/${type}/{vmid}/${what}`,
    permission: { path: '/vms/{vmid}', anyOf: ['VM.Audit'] },
    onNode: true,
    parameters: ofGuest,
    handle: (call) => ({ data: show(guestAt(call, type)) }),
  };
}

function change(type: GuestType, action: PowerAction): Route {
  return {
    method: 'POST',
    path: `/nodes/{node}/${type}/{vmid}/status/${action}`,
    permission: { path: '/vms/{vmid}', anyOf: ['VM.PowerMgmt'] },
    onNode: true,
    parameters: { ...ofGuest, ...parametersOf[type][action] },
    handle: (call) => ({ data: changePower(call, type, action) }),
  };
}

/** What both have. A guest that is off has no process and no figures. */
function commonStatus(guest: SimulatedGuest): Record<string, unknown> {
  const running = guest.status === 'running';
  return {
    vmid: guest.vmid,
    name: guest.name,
    status: guest.status,
    uptime: running ? unixTime() - (guest.startedAt ?? unixTime()) : 0,
    ha: guest.ha ? { managed: 1, state: guest.ha.state } : { managed: 0 },
    cpus: guest.cpus,
    cpu: running ? 0.02 : 0,
    maxmem: guest.memory,
    mem: running ? Math.floor(guest.memory * 0.4) : 0,
    maxdisk: guest.disk,
    disk: 0,
    netin: 0,
    netout: 0,
    ...(running ? { pid: guest.pid } : {}),
    ...(guest.lock === undefined ? {} : { lock: guest.lock }),
    ...(guest.tags === undefined ? {} : { tags: guest.tags }),
    ...(guest.template ? { template: 1 } : {}),
  };
}

const pressures = ['cpufull', 'cpusome', 'iofull', 'iosome', 'memoryfull', 'memorysome'].map(
  (name) => `pressure${name}`,
);

function machineStatus(guest: SimulatedGuest): Record<string, unknown> {
  const qmpstatus = guest.paused ? 'paused' : guest.status;
  const hasAgent = /^(enabled=)?1/.test(String(guest.config?.agent ?? ''));
  const common = { ...commonStatus(guest), qmpstatus, memhost: 0, ...(hasAgent ? { agent: 1 } : {}) };
  if (guest.status === 'stopped') return common;
  return {
    ...common,
    ...Object.fromEntries(pressures.map((name) => [name, 0])),
    diskread: 0,
    diskwrite: 0,
    balloon: guest.memory,
    'running-machine': 'pc-i440fx-10.0+pve1',
    'running-qemu': '10.0.13',
    // Each holds much about disks and network cards that nobody here asks for.
    ballooninfo: {},
    blockstat: {},
    'proxmox-support': {},
    ...(Object.keys(guest.config ?? {}).some((option) => /^net\d+$/.test(option)) ? { nics: {} } : {}),
  };
}

function containerStatus(guest: SimulatedGuest): Record<string, unknown> {
  const common = { ...commonStatus(guest), type: 'lxc', swap: 0, maxswap: 0, diskread: 0, diskwrite: 0 };
  if (guest.status === 'stopped') return common;
  // As text, unlike a VM's.
  return { ...common, ...Object.fromEntries(pressures.map((name) => [name, '0.00'])) };
}
