import { askAgent, containerInterfaces, execute, executionStatus, readFile, writeFile } from '../guests/agent.ts';
import type { Route } from '../router.ts';

const asks = [
  'network-get-interfaces',
  'get-osinfo',
  'get-host-name',
  'get-time',
  'get-timezone',
  'get-users',
  'get-vcpus',
  'get-fsinfo',
  'info',
];
const tells = ['ping', 'fsfreeze-freeze', 'fsfreeze-thaw', 'fsfreeze-status', 'fstrim'];
const agent = '/nodes/{node}/qemu/{vmid}/agent';

/** What the agent in a VM answers, and a container's own addresses. */
export const guestAgentRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: agent,
    handle: () => ({
      data: [...asks, ...tells, 'exec', 'exec-status', 'file-read', 'file-write'].map((name) => ({ name })),
    }),
  },
  {
    method: 'POST',
    path: agent,
    handle: async (call) => ({ data: await askAgent(call, String(call.parameters.command)) }),
  },
  ...asks.map(
    (command): Route => ({
      method: 'GET',
      path: `${agent}/${command}`,
      handle: async (call) => ({ data: await askAgent(call, command) }),
    }),
  ),
  ...tells.map(
    (command): Route => ({
      method: 'POST',
      path: `${agent}/${command}`,
      handle: async (call) => ({ data: await askAgent(call, command) }),
    }),
  ),
  { method: 'POST', path: `${agent}/exec`, handle: async (call) => ({ data: await execute(call) }) },
  { method: 'GET', path: `${agent}/exec-status`, handle: async (call) => ({ data: await executionStatus(call) }) },
  { method: 'GET', path: `${agent}/file-read`, handle: async (call) => ({ data: await readFile(call) }) },
  { method: 'POST', path: `${agent}/file-write`, handle: async (call) => ({ data: await writeFile(call) }) },
  {
    method: 'GET',
    path: '/nodes/{node}/lxc/{vmid}/interfaces',
    handle: (call) => ({ data: containerInterfaces(call) }),
  },
];
