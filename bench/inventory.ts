import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import pino from 'pino';
import { Agent, request } from 'undici';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../lab/proxmox/simulator.ts';
import { createState, type SimulatorState } from '../lab/proxmox/state.ts';
import { loadConfig } from '../src/config/load.ts';
import type { HostConfig } from '../src/config.ts';
import type { McpDependencies } from '../src/mcp/dependencies.ts';
import { createMetrics } from '../src/mcp/metrics.ts';
import { serveHttp } from '../src/mcp/serve.ts';
import { createReads } from '../src/proxmox/reads.ts';
import type { Runs } from '../src/runs/runs.ts';
import type { Schedules } from '../src/runs/schedules.ts';
import { Secret } from '../src/secret.ts';
import { callTool } from './lib/mcp-call.ts';
import { type BenchResult, contest, medianMs } from './lib/ratio.ts';

/** How long a real Proxmox API takes for a small answer. Milliseconds. */
const upstreamMs = 8;

/** The guests of a cluster over MCP, from the question to the answer, against the API's own time for what is asked of it. */
export async function benchInventory(): Promise<BenchResult[]> {
  return [
    await measure({
      name: 'An inventory of 50 nodes and 2,000 guests in one answer / the API’s own time for its list',
      state: largeCluster(50, 2_000),
      limit: 2_000,
      count: 8,
      atMost: 2,
    }),
    await measure({
      name: `list_guests of a small cluster with ${upstreamMs} ms upstream / the same request through a bare handler`,
      state: createState(),
      limit: 100,
      count: 40,
      delayMs: upstreamMs,
      atMost: 1.15,
    }),
  ];
}

interface Measured {
  readonly name: string;
  readonly state: SimulatorState;
  readonly limit: number;
  readonly count: number;
  readonly delayMs?: number;
  readonly atMost: number;
}

async function measure({ name, state, limit, count, delayMs, atMost }: Measured): Promise<BenchResult> {
  const simulator = await createProxmoxSimulator({ state });
  if (delayMs !== undefined) simulator.inject({ kind: 'slow', delayMs });
  const guests = state.guests.size;
  const host = hostOf(simulator);
  const { config } = loadConfig({ argv: [], env: {}, cwd: '/' });
  const reads = createReads({ hosts: [host] }, pino({ level: 'silent' }));
  const dependencies: McpDependencies = {
    config: { ...config, mcp: { ...config.mcp, host: '127.0.0.1', port: 0 }, hosts: [host] },
    operations: [],
    // Reads don't touch runs, schedules and what the page does.
    runs: {} as Runs,
    schedules: {} as Schedules,
    ledger: {} as McpDependencies['ledger'],
    changeSwitch: {} as McpDependencies['changeSwitch'],
    people: {} as McpDependencies['people'],
    tokens: { verify: (token) => (token === 'bench' ? { name: 'bench', scope: 'read' } : undefined) },
    reads,
    log: pino({ level: 'silent' }),
    metrics: createMetrics(),
    findProblems: async () => [],
  };
  const serving = await serveHttp(dependencies, { version: 'bench', limits: { perToken: 1e9, perAddress: 1e9 } });
  const api = bareApi(simulator);
  const bare = delayMs === undefined ? undefined : await serveBare(api);
  try {
    return await contest({
      name,
      aim: { atMost },
      ours: () =>
        medianMs(count, async () => {
          const { total } = await callTool<{ total: number }>(serving.port, 'list_guests', { limit });
          if (total !== guests) throw new Error(`list_guests answered ${total} guests of ${guests}`);
        }),
      theirs: () =>
        medianMs(count, async () => {
          const seen = bare === undefined ? await api.list() : await bare.list();
          if (seen.length !== guests) throw new Error(`the API answered ${seen.length} guests of ${guests}`);
        }),
      unit: 'ms',
      block: `${count} inventories, one after the other on one connection`,
      notes: [
        'over TLS with a pinned certificate; on our side with a bearer token, validation, cleaning and a text beside the data',
      ],
    });
  } finally {
    await bare?.close();
    await api.close();
    await serving.close();
    await reads.close();
    await simulator.close();
  }
}

/** The same call with as little as there can be in between. */
function bareApi(simulator: ProxmoxSimulator) {
  const { user, name, secret } = simulator.tokens.full;
  const agent = new Agent({ connect: { ca: simulator.caPem, servername: 'localhost' }, connections: 1 });
  return {
    async list(): Promise<readonly unknown[]> {
      const { body } = await request(`${simulator.url}/api2/json/cluster/resources?type=vm`, {
        dispatcher: agent,
        headers: { authorization: `PVEAPIToken=${user}!${name}=${secret}` },
      });
      return ((await body.json()) as { data: unknown[] }).data;
    },
    close: () => agent.close(),
  };
}

/** The least that answers the same to a client of ours: ask, and pass it on. */
async function serveBare(api: ReturnType<typeof bareApi>) {
  const server = createServer(async (_incoming, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(await api.list()));
  });
  server.listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const agent = new Agent({ connections: 1 });
  return {
    async list(): Promise<readonly unknown[]> {
      const { body } = await request(`http://127.0.0.1:${port}/`, { dispatcher: agent });
      return (await body.json()) as unknown[];
    },
    async close() {
      await agent.close();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function hostOf(simulator: ProxmoxSimulator): HostConfig {
  const { user, name, secret } = simulator.tokens.full;
  return {
    name: 'pve1',
    api: {
      host: simulator.host,
      port: simulator.port,
      user,
      tokenName: name,
      tokenValue: new Secret(secret),
      trust: { kind: 'fingerprint', sha256: simulator.certificateFingerprint },
    },
    timeZone: 'UTC',
  } as HostConfig;
}

function largeCluster(nodes: number, guests: number): SimulatorState {
  const state = createState();
  const [node] = state.nodes.values();
  const [guest] = state.guests.values();
  if (node === undefined || guest === undefined) throw new Error('the simulated cluster is empty');
  for (let id = state.nodes.size + 1; id <= nodes; id++) {
    const name = `pve${id}`;
    state.nodes.set(name, { ...node, name, id, ip: `192.0.2.${id}`, fingerprint: '' });
  }
  for (let vmid = 1_000; state.guests.size < guests; vmid++) {
    state.guests.set(vmid, {
      ...guest,
      vmid,
      name: `guest-${vmid}`,
      node: `pve${(vmid % nodes) + 1}`,
      ...(vmid % 3 === 0 && { tags: 'prod;web' }),
    });
  }
  return state;
}
