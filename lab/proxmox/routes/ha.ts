import { ApiFailure, invalidParameters } from '../answer.ts';
import { changeClusterFile } from '../cluster-files.ts';
import { digestOf } from '../digest.ts';
import { listOf } from '../formats.ts';
import { haCarriesOut } from '../guests/power.ts';
import type { Parameters } from '../parameters.ts';
import type { Call, Route } from '../router.ts';
import type { HaRule } from '../state/cluster.ts';
import { type SimulatedGuest, type SimulatorState, unixTime } from '../state.ts';

type Managed = SimulatedGuest & { ha: NonNullable<SimulatedGuest['ha']> };

/** What the HA stack keeps running, and where. */
export const haRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/cluster/ha/resources',
    handle: ({ state, parameters: { type } }) => ({
      data: managed(state)
        .map(resource)
        .filter((one) => type === undefined || one.type === type),
    }),
  },
  {
    method: 'GET',
    path: '/cluster/ha/resources/{sid}',
    handle: ({ state, parameters }) => ({ data: resource(managedBy(state, parameters)) }),
  },
  { method: 'POST', path: '/cluster/ha/resources', handle: addResource },
  { method: 'PUT', path: '/cluster/ha/resources/{sid}', handle: changeResource },
  {
    method: 'DELETE',
    path: '/cluster/ha/resources/{sid}',
    handle: async ({ state, parameters }) => {
      const guest = managedBy(state, parameters, `delete resource failed: `);
      await changeClusterFile(state, 'ha', 'delete resource failed', () => {
        const sid = sidOf(guest);
        delete (guest as SimulatedGuest).ha;
        if (!parameters.purge) return;
        for (const rule of state.configuration.haRules.values()) {
          rule.resources = listOf(rule.resources)
            .filter((one) => one !== sid)
            .join(',');
        }
      });
      return { data: null };
    },
  },
  ...(['migrate', 'relocate'] as const).map(
    (action): Route => ({
      method: 'POST',
      path: `/cluster/ha/resources/{sid}/${action}`,
      handle: ({ state, parameters }) => {
        const guest = managedBy(state, parameters);
        const node = String(parameters.node);
        if (!state.nodes.has(node)) throw new ApiFailure(500, `cluster node '${node}' does not exist`);
        setTimeout(() => Object.assign(guest, { node }), guest.behaviour?.haMs ?? 40).unref();
        return { data: { sid: sidOf(guest), 'requested-node': node } };
      },
    }),
  ),
  {
    method: 'GET',
    path: '/cluster/ha/groups',
    handle: () => {
      throw new ApiFailure(500, 'cannot index groups: ha groups have been migrated to rules');
    },
  },
  {
    method: 'GET',
    path: '/cluster/ha/rules',
    handle: ({ state, parameters: { type, resource: sid } }) => ({
      data: [...state.configuration.haRules.values()]
        .filter((rule) => type === undefined || rule.type === type)
        .filter((rule) => sid === undefined || listOf(rule.resources).includes(String(sid)))
        .map(ruleEntry),
    }),
  },
  {
    method: 'GET',
    path: '/cluster/ha/rules/{rule}',
    handle: ({ state, parameters }) => ({ data: ruleEntry(ruleNamed(state, parameters)) }),
  },
  {
    method: 'POST',
    path: '/cluster/ha/rules',
    handle: async ({ state, parameters }) => {
      const rules = state.configuration.haRules;
      const name = String(parameters.rule ?? `ha-rule-${rules.size + 1}`);
      await changeClusterFile(state, 'ha', 'create ha rule failed', () => {
        if (rules.has(name)) throw new ApiFailure(500, `HA rule '${name}' already defined`);
        rules.set(name, { ...parameters, rule: name, type: String(parameters.type) });
      });
      return { data: null };
    },
  },
  {
    method: 'PUT',
    path: '/cluster/ha/rules/{rule}',
    handle: async ({ state, parameters }) => {
      const { delete: unset, digest: _, ...fields } = parameters;
      await changeClusterFile(state, 'ha', 'update HA rules failed', () => {
        const rule = ruleNamed(state, parameters);
        Object.assign(rule, fields);
        for (const name of listOf(unset)) delete rule[name];
      });
      return { data: null };
    },
  },
  {
    method: 'DELETE',
    path: '/cluster/ha/rules/{rule}',
    handle: async ({ state, parameters }) => {
      await changeClusterFile(state, 'ha', 'delete ha rule failed', () => {
        state.configuration.haRules.delete(ruleNamed(state, parameters).rule);
      });
      return { data: null };
    },
  },
  {
    method: 'GET',
    path: '/cluster/ha/status',
    handle: () => ({
      data: ['current', 'manager_status', 'arm-ha', 'disarm-ha'].map((name) => ({ name })),
    }),
  },
  { method: 'GET', path: '/cluster/ha/status/current', handle: ({ state }) => ({ data: statusList(state) }) },
  { method: 'GET', path: '/cluster/ha/status/manager_status', handle: ({ state }) => ({ data: managerStatus(state) }) },
];

async function addResource(call: Call) {
  const { state, parameters } = call;
  const { vmid, kind } = parsedSid(parameters);
  const guest = state.guests.get(vmid);
  const sid = `${kind === 'qemu' ? 'vm' : 'ct'}:${vmid}`;
  if (!guest || (kind !== undefined && guest.type !== kind)) {
    throw new ApiFailure(500, `resource '${sid}' does not exist in cluster`);
  }
  await changeClusterFile(state, 'ha', 'create resource failed', () => {
    if (guest.ha) throw new ApiFailure(500, `resource ID '${sidOf(guest)}' already defined`);
    const requested = String(parameters.state ?? 'started');
    guest.ha = { ...optionsOf(parameters), requested, state: 'queued' };
  });
  request(call, guest as Managed);
  return { data: null };
}

async function changeResource(call: Call) {
  const { state, parameters } = call;
  const guest = managedBy(state, parameters);
  const { digest } = parameters;
  if (digest !== undefined && digest !== resource(guest).digest) {
    throw new ApiFailure(500, 'detected modified configuration - file changed by other user? Try again.');
  }
  await changeClusterFile(state, 'ha', undefined, () => {
    Object.assign(guest.ha, optionsOf(parameters));
    for (const name of listOf(parameters.delete)) {
      if (name === 'comment' || name === 'max_restart' || name === 'max_relocate') delete guest.ha[name];
    }
    if (parameters.state !== undefined) guest.ha.requested = String(parameters.state);
  });
  if (parameters.state !== undefined) request(call, guest);
  return { data: null };
}

/** The stack acts by itself, some time after it was told. */
function request(call: Call, guest: Managed): void {
  const wanted = guest.ha.requested ?? 'started';
  if (wanted !== 'started' && wanted !== 'ignored' && guest.status === 'running') {
    guest.ha.state = 'request_stop';
    haCarriesOut(call, guest, 'stop');
    return;
  }
  if (wanted === 'started' && guest.status === 'stopped') haCarriesOut(call, guest, 'start');
  setTimeout(() => settle(guest, wanted, Date.now() + patienceMs), guest.behaviour?.haMs ?? 40).unref();
}

const patienceMs = 5000;

/** It is as was asked for once the guest is; if that takes too long the stack gives up on it. */
function settle(guest: SimulatedGuest, wanted: string, until: number): void {
  if (guest.ha?.requested !== wanted) return;
  if (wanted !== 'started' || guest.status === 'running') guest.ha.state = wanted;
  else if (Date.now() > until) guest.ha.state = 'error';
  else setTimeout(() => settle(guest, wanted, until), 10).unref();
}

function optionsOf({ comment, max_restart, max_relocate, failback }: Parameters): Omit<Managed['ha'], 'state'> {
  return {
    ...(comment === undefined ? {} : { comment: String(comment) }),
    ...(max_restart === undefined ? {} : { max_restart: Number(max_restart) }),
    ...(max_relocate === undefined ? {} : { max_relocate: Number(max_relocate) }),
    ...(failback === undefined ? {} : { failback: Number(failback) }),
  };
}

function managed(state: SimulatorState): Managed[] {
  return [...state.guests.values()].filter((guest): guest is Managed => guest.ha !== undefined);
}

function managedBy(state: SimulatorState, parameters: Parameters, lead = ''): Managed {
  const { vmid } = parsedSid(parameters);
  const guest = managed(state).find((one) => one.vmid === vmid);
  if (!guest) throw new ApiFailure(500, `${lead}no such resource '${parameters.sid}'`);
  return guest;
}

function parsedSid({ sid }: Parameters): { vmid: number; kind: 'qemu' | 'lxc' | undefined } {
  const [, type, vmid] = /^(?:(vm|ct):)?(\d+)$/.exec(String(sid)) ?? [];
  if (vmid === undefined) {
    throw invalidParameters({ sid: 'invalid format - value does not look like a valid ha resource id\n' });
  }
  return { vmid: Number(vmid), kind: type === undefined ? undefined : type === 'vm' ? 'qemu' : 'lxc' };
}

function sidOf({ type, vmid }: SimulatedGuest): string {
  return `${type === 'qemu' ? 'vm' : 'ct'}:${vmid}`;
}

/** What was asked for; `request_stop` is what the stack makes of it. */
function requestedState({ ha }: Managed): string {
  return ha.requested ?? (ha.state === 'request_stop' ? 'stopped' : ha.state);
}

function resource(guest: Managed) {
  const { state: _, requested: __, ...options } = guest.ha;
  const shown = { sid: sidOf(guest), type: sidOf(guest).slice(0, 2), state: requestedState(guest), ...options };
  return { ...shown, digest: digestOf(shown) };
}

function ruleNamed(state: SimulatorState, { rule: name }: Parameters): HaRule {
  const rule = state.configuration.haRules.get(String(name));
  if (!rule) throw new ApiFailure(500, `no such ha rule '${name}'`);
  return rule;
}

function ruleEntry(rule: HaRule) {
  return { ...rule, digest: digestOf(rule) };
}

function clock(seconds: number): string {
  return new Date(seconds * 1000).toUTCString().replace(/^(\w+), (\d+) (\w+) (\d+) (\S+) GMT$/, '$1 $3 $2 $5 $4');
}

function statusList(state: SimulatorState): Record<string, unknown>[] {
  const { quorate } = state.cluster;
  const local = state.localNode;
  const services = managed(state);
  // Until the stack has taken over the first of them it sleeps.
  const working = services.filter(({ ha }) => ha.state !== 'queued');
  const isActive = working.length > 0;
  const timestamp = unixTime();
  const master = state.configuration.haMaster ?? local;
  const isThere = state.nodes.get(master)?.online === true && (isActive || services.length === 0);
  const masterIs = isThere ? (isActive ? 'active' : 'idle') : 'old timestamp - dead?';
  return [
    {
      id: 'quorum',
      type: 'quorum',
      node: local,
      status: quorate ? 'OK' : `No quorum on node '${local}'!`,
      quorate: quorate ? 1 : 0,
    },
    { id: 'master', type: 'master', node: master, status: `${master} (${masterIs}, ${clock(timestamp)})`, timestamp },
    {
      id: 'fencing',
      type: 'fencing',
      node: master,
      'armed-state': isActive ? 'armed' : 'standby',
      status: isActive ? 'armed (CRM watchdog active)' : 'standby (CRM watchdog standby)',
    },
    ...[...state.nodes.values()].map(({ name, online }) => {
      const works = working.some(({ node }) => node === name);
      // Nobody can write down that they are there without quorum.
      const is = online && quorate ? (works ? 'active' : 'idle') : 'old timestamp - dead?';
      const what = `${is}, watchdog ${works ? 'active' : 'standby'}`;
      return {
        id: `lrm:${name}`,
        type: 'lrm',
        node: name,
        status: `${name} (${what}, ${clock(timestamp)})`,
        timestamp,
      };
    }),
    ...services.map((guest) => ({
      id: `service:${sidOf(guest)}`,
      type: 'service',
      sid: sidOf(guest),
      node: guest.node,
      state: guest.ha.state,
      request_state: requestedState(guest),
      status: `${sidOf(guest)} (${guest.node}, ${guest.ha.state})`,
      ...(guest.ha.state === 'queued' ? {} : { crm_state: guest.ha.state }),
      failback: guest.ha.failback ?? 1,
      max_restart: guest.ha.max_restart ?? 1,
      max_relocate: guest.ha.max_relocate ?? 1,
    })),
  ];
}

function managerStatus(state: SimulatorState): Record<string, unknown> {
  const timestamp = unixTime();
  const services = managed(state);
  const nodes = [...state.nodes.values()];
  return {
    quorum: { quorate: state.cluster.quorate ? '1' : '0', node: state.localNode },
    manager_status: {
      master_node: state.localNode,
      timestamp,
      node_request: { [state.localNode]: {} },
      node_status: Object.fromEntries(nodes.map(({ name, online }) => [name, online ? 'online' : 'unknown'])),
      service_status: Object.fromEntries(
        services.map((guest) => [sidOf(guest), { node: guest.node, state: guest.ha.state }]),
      ),
    },
    lrm_status: Object.fromEntries(
      nodes.map(({ name }) => {
        const works = services.some(({ node }) => node === name);
        return [name, { mode: 'active', results: {}, state: works ? 'active' : 'wait_for_agent_lock', timestamp }];
      }),
    ),
  };
}
