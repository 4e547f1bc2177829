import { afterEach, beforeEach, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { createState } from '../../lab/proxmox/state.ts';
import type { HostConfig } from '../../src/config.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../src/proxmox/connect.ts';
import { locateGuest } from '../../src/proxmox/locate.ts';
import { createReads } from '../../src/proxmox/reads.ts';
import { loadedConfig } from '../support/config.ts';
import { failureOf, hostOf, recordingLog } from './support.ts';

let simulator: ProxmoxSimulator;
let second: ProxmoxSimulator;
let apis: ProxmoxApis | undefined;

beforeEach(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1, unreachableDelayMs: 1 });
  second = await createProxmoxSimulator({ memberOf: { simulator, node: 'pve2' }, authenticationDelayMs: 1 });
});
afterEach(async () => {
  await apis?.close();
  apis = undefined;
  await second.close();
  await simulator.close();
});

const log = recordingLog().log;
function connect(...hosts: HostConfig[]): ProxmoxApis {
  apis = createProxmoxApis({ hosts }, log);
  return apis;
}

it('finds a guest wherever it is in the cluster, and which configured host is its node', async () => {
  // The names of hosts are ours, not those of the nodes.
  const made = connect(hostOf('attic', simulator), hostOf('cellar', second));
  for (const host of ['attic', 'cellar']) {
    expect(await locateGuest(made, { host, vmid: 100 })).toEqual({
      kind: 'guest',
      cluster: 'homelab',
      vmid: 100,
      node: 'pve1',
      type: 'qemu',
      name: 'files',
      host: 'attic',
    });
    expect(await locateGuest(made, { host, vmid: 101 })).toMatchObject({ node: 'pve2', type: 'lxc', host: 'cellar' });
  }
});

it('finds it anew after it has moved', async () => {
  const made = connect(hostOf('pve1', simulator), hostOf('pve2', second));
  const guest = simulator.state.guests.get(100);
  expect(await locateGuest(made, { host: 'pve1', vmid: 100 })).toMatchObject({ node: 'pve1', host: 'pve1' });
  if (guest) guest.node = 'pve2';
  expect(await locateGuest(made, { host: 'pve1', vmid: 100 })).toMatchObject({ node: 'pve2', host: 'pve2' });
});

it('has no host where the guest’s node isn’t configured', async () => {
  const place = await locateGuest(connect(hostOf('pve1', simulator)), { host: 'pve1', vmid: 101 });
  expect(place).toMatchObject({ node: 'pve2' });
  expect(place).not.toHaveProperty('host');
});

it('a node in no cluster goes by the name of its host', async () => {
  const alone = await createProxmoxSimulator({ state: { ...createState(), cluster: { version: 0, quorate: true } } });
  try {
    const made = connect(hostOf('pve1', simulator), hostOf('garage', alone));
    expect(await locateGuest(made, { host: 'garage', vmid: 100 })).toMatchObject({
      cluster: 'garage',
      node: 'pve1',
      host: 'garage',
    });
    expect((await locateGuest(made, { host: 'pve1', vmid: 100 })).host, 'the same node name elsewhere').toBe('pve1');
  } finally {
    await alone.close();
  }
});

it('another host of the cluster answers while the named one is away, once that is known', async () => {
  const made = connect(hostOf('pve1', simulator), hostOf('pve2', second));
  await simulator.stopListening();
  expect((await failureOf(locateGuest(made, { host: 'pve1', vmid: 101 }))).code).toBe('proxmox-unavailable');
  await simulator.startListening();
  await locateGuest(made, { host: 'pve1', vmid: 101 });
  expect(made.known('pve2')).toEqual({ cluster: 'homelab', node: 'pve2' });
  await simulator.stopListening();
  expect(await locateGuest(made, { host: 'pve1', vmid: 101 })).toMatchObject({ node: 'pve2', host: 'pve2' });
  await second.stopListening();
  const error = await failureOf(locateGuest(made, { host: 'pve1', vmid: 101 }));
  expect(error.message, 'of the host that was named').toContain(String(simulator.port));
});

it('a host that can’t be asked is known by its node’s address', async () => {
  const node = simulator.state.nodes.get('pve2');
  if (!node) throw new Error('no pve2');
  simulator.state.nodes.set('pve2', { ...node, ip: '127.0.0.1' });
  const closed = hostOf('elsewhere', simulator);
  const made = connect(
    { ...closed, name: 'other-site', api: { ...closed.api, host: '127.0.0.2', port: 1 } },
    { ...closed, api: { ...closed.api, port: 1 } },
    hostOf('pve1', simulator),
  );
  expect(await locateGuest(made, { host: 'pve1', vmid: 101 })).toMatchObject({ node: 'pve2', host: 'elsewhere' });
});

it('names the guests that there are when there is none of that number', async () => {
  const made = connect(hostOf('pve1', simulator));
  const error = await failureOf(locateGuest(made, { host: 'pve1', vmid: 110 }));
  expect(error.code).toBe('not-found');
  expect(error.message).toContain('no guest 110 in homelab');
  expect(error.remedy).toContain('100 files, 101 dns, 102 proxy, 120 workstation');
  for (let vmid = 200; vmid < 260; vmid += 1) {
    simulator.state.guests.set(vmid, {
      vmid,
      type: 'lxc',
      name: `g${vmid}`,
      node: 'pve1',
      status: 'stopped',
      cpus: 1,
      memory: 1,
      disk: 1,
      template: false,
    });
  }
  const { remedy } = await failureOf(locateGuest(made, { host: 'pve1', vmid: 261 }));
  expect(remedy).toContain('250 g250, 251 g251');
  expect(remedy).toContain('and 54 more');
  expect(remedy.length).toBeLessThan(400);
});

it('a token that sees no guests is told the right it lacks', async () => {
  const made = connect(hostOf('pve1', simulator, simulator.tokens.limited));
  simulator.state.acl.push({ path: '/', subject: 'mcp@pve!limited', role: 'PVEPoolUser', propagate: true });
  expect((await failureOf(locateGuest(made, { host: 'pve1', vmid: 100 }))).details).toMatchObject({
    path: '/',
    privilege: 'Sys.Audit',
  });
  simulator.state.roles.set('Looker', ['Sys.Audit']);
  simulator.state.acl.push({ path: '/', subject: 'mcp@pve!limited', role: 'Looker', propagate: true });
  const { remedy } = await failureOf(locateGuest(made, { host: 'pve1', vmid: 100 }));
  expect(remedy).toContain('VM.Audit');
});

it('says which hosts there are, and which of them have an API', async () => {
  const { api, ...bare } = hostOf('ssh-only', simulator);
  const made = connect(hostOf('pve1', simulator), bare);
  expect([made.has('pve1'), made.has('ssh-only'), made.has('nope')]).toEqual([true, false, false]);
  expect(await failureOf(locateGuest(made, { host: 'nope', vmid: 100 }))).toMatchObject({
    code: 'not-found',
    remedy: 'The configured hosts are pve1, ssh-only.',
  });
  expect(await failureOf(locateGuest(made, { host: 'ssh-only', vmid: 100 }))).toMatchObject({
    code: 'configuration',
    remedy: expect.stringContaining('a host that has one: pve1.'),
  });
});

it('reads of a host go to its own node', async () => {
  const { api, ...bare } = hostOf('bare', simulator);
  const reads = createReads({ ...loadedConfig(), hosts: [hostOf('cellar', second), bare] }, log);
  const { signal } = new AbortController();
  expect(await reads.node('cellar', signal)).toMatchObject({ node: 'pve2', version: '9.1.7' });
  expect(await reads.node('bare', signal)).toBeUndefined();
  await reads.close();
});
