import { ApiFailure, invalidParameters } from '../answer.ts';
import { digestOf } from '../digest.ts';
import { listOf } from '../formats.ts';
import type { Call, Route } from '../router.ts';
import { unixTime } from '../state.ts';
import { siteFor } from './nodes.ts';

/** Names, addresses and the clock of a node. What is changed here is there at once, without being applied first. */
export const nodeNetworkRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/nodes/{node}/network',
    handle: (call) => {
      const { permissions, parameters } = call;
      const mayLook = permissions.has(`/nodes/${parameters.node}`, 'Sys.Audit', 'Sys.Modify');
      const { type } = parameters;
      const data = [...siteFor(call).network]
        .map(([iface, fields]) => ({ iface, ...fields }) as Record<string, unknown>)
        .filter((one) => fits(one, type))
        // Without the right to look at the node only the bridges that one may use.
        .filter(
          (one) =>
            mayLook ||
            (one.type === 'bridge' && permissions.has(`/sdn/zones/localnetwork/${one.iface}`, 'SDN.Audit', 'SDN.Use')),
        );
      return { data };
    },
  },
  { method: 'GET', path: '/nodes/{node}/network/{iface}', handle: (call) => ({ data: interfaceNamed(call) }) },
  {
    method: 'POST',
    path: '/nodes/{node}/network',
    handle: (call) => {
      const { iface, node: _, ...fields } = call.parameters;
      const { network } = siteFor(call);
      if (network.has(String(iface))) throw invalidParameters({ iface: 'interface already exists' });
      network.set(String(iface), { method: 'manual', method6: 'manual', families: ['inet'], priority: 5, ...fields });
      return { data: null };
    },
  },
  {
    method: 'PUT',
    path: '/nodes/{node}/network/{iface}',
    handle: (call) => {
      const { iface: __, node: _, delete: unset, ...fields } = call.parameters;
      const there = interfaceNamed(call);
      Object.assign(there, fields);
      for (const name of listOf(unset)) delete there[name];
      return { data: null };
    },
  },
  {
    method: 'DELETE',
    path: '/nodes/{node}/network/{iface}',
    handle: (call) => {
      interfaceNamed(call);
      siteFor(call).network.delete(String(call.parameters.iface));
      return { data: null };
    },
  },
  {
    method: 'PUT',
    path: '/nodes/{node}/network',
    handle: ({ tasks, caller, parameters }) => {
      const of = { node: String(parameters.node), type: 'srvreload', id: 'networking', caller };
      return { data: tasks.start(of, async () => undefined) };
    },
  },
  { method: 'GET', path: '/nodes/{node}/dns', handle: (call) => ({ data: { ...siteFor(call).dns } }) },
  {
    method: 'PUT',
    path: '/nodes/{node}/dns',
    handle: (call) => {
      const { node: _, search, ...servers } = call.parameters;
      siteFor(call).dns = { search: String(search), ...(servers as Record<string, string>) };
      return { data: null };
    },
  },
  {
    method: 'GET',
    path: '/nodes/{node}/time',
    handle: (call) => ({ data: { time: unixTime(), localtime: unixTime(), timezone: siteFor(call).timezone } }),
  },
  {
    method: 'PUT',
    path: '/nodes/{node}/time',
    handle: (call) => {
      siteFor(call).timezone = String(call.parameters.timezone);
      return { data: null };
    },
  },
  {
    method: 'GET',
    path: '/nodes/{node}/hosts',
    handle: (call) => {
      const data = siteFor(call).hosts;
      return { data: { data, digest: digestOf([data]) } };
    },
  },
  {
    method: 'POST',
    path: '/nodes/{node}/hosts',
    handle: (call) => {
      const { data, digest } = call.parameters;
      const site = siteFor(call);
      if (digest !== undefined && digest !== digestOf([site.hosts])) {
        throw new ApiFailure(500, 'detected modified configuration - file changed by other user? Try again.');
      }
      site.hosts = String(data);
      return { data: null };
    },
  },
  { method: 'GET', path: '/nodes/{node}/netstat', handle: () => ({ data: [] }) },
];

function fits(one: Record<string, unknown>, type: string | number | undefined): boolean {
  if (type === undefined) return true;
  return type === 'any_bridge' || type === 'any_local_bridge' ? one.type === 'bridge' : one.type === type;
}

function interfaceNamed(call: Call) {
  const there = siteFor(call).network.get(String(call.parameters.iface));
  if (!there) throw invalidParameters({ iface: 'interface does not exist' });
  return there;
}
