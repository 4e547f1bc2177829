import { once } from 'node:events';
import { Agent, createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import { loadConfig } from '../src/config/load.ts';
import type { Config } from '../src/config.ts';
import type { McpDependencies } from '../src/mcp/dependencies.ts';
import { createMetrics } from '../src/mcp/metrics.ts';
import { serveHttp } from '../src/mcp/serve.ts';
import type { NodeFacts } from '../src/proxmox/reads.ts';
import type { Runs } from '../src/runs/runs.ts';
import type { Schedules } from '../src/runs/schedules.ts';
import { noApis } from './lib/no-apis.ts';
import { type BenchResult, contest, medianMs } from './lib/ratio.ts';

/** How long a real Proxmox API takes for a small answer. Milliseconds. */
const upstreamMs = 8;

const requests = 300;

/** One node's status, as a Proxmox API gives it after `delayMs`. */
async function readNode(delayMs: number): Promise<NodeFacts> {
  if (delayMs > 0) await sleep(delayMs);
  return {
    node: 'pve1',
    version: '9.1.4',
    uptimeSeconds: 1_000,
    cpu: 0.1,
    loadAverage: [0.1, 0.2, 0.3],
    memory: { used: 1, total: 2 },
    rootDisk: { used: 1, total: 2 },
  };
}

/** A tool that only reads, asked over MCP with everything that production does, against a bare handler's same read. */
export async function benchMcpRead(): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  for (const protocol of ['2026-07-28', '2025-11-25'] as const) {
    // No aim: what nobody waits for alone. It shows what a request costs this process.
    results.push(await measure(`A read over MCP ${protocol} / a bare node:http handler`, protocol, 0));
  }
  for (const protocol of ['2026-07-28', '2025-11-25'] as const) {
    const name = `The same over ${protocol} with ${upstreamMs} ms upstream, as Proxmox answers`;
    results.push(await measure(name, protocol, upstreamMs, 1.15));
  }
  return results;
}

type Protocol = '2026-07-28' | '2025-11-25';

async function measure(name: string, protocol: Protocol, delayMs: number, atMost?: number): Promise<BenchResult> {
  const serving = await serveHttp(dependencies(delayMs), {
    version: 'bench',
    limits: { perToken: 1e9, perAddress: 1e9 },
  });
  const bare = await serveBare(delayMs);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const count = delayMs > 0 ? Math.floor(requests / 5) : requests;
  const { headers, body } = toolCall(protocol);
  try {
    return await contest({
      name,
      aim: atMost === undefined ? undefined : { atMost },
      ours: () => medianMs(count, () => send(agent, serving.port, '/api/mcp', headers, body)),
      theirs: () =>
        medianMs(count, () =>
          send(agent, bare.port, '/hosts/pve1', { 'content-type': 'application/json' }, '{"host":"pve1"}'),
        ),
      unit: 'ms',
      block: `${count} requests, one after the other on one connection`,
      notes: ['with a bearer token, rate limits, validation and metrics on our side, and nothing on the other'],
    });
  } finally {
    agent.destroy();
    await Promise.all([serving.close(), bare.close()]);
  }
}

/** The least that answers the same: parse the question, read, write JSON. */
async function serveBare(delayMs: number): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server: Server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', async () => {
      const { host } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as { host: string };
      const answer = JSON.stringify({ name: host, node: await readNode(delayMs) });
      response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
    });
  });
  server.listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function send(agent: Agent, port: number, path: string, headers: Record<string, string>, body: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, path, method: 'POST', agent, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => {
        if (response.statusCode === 200 && text.includes('9.1.4')) resolve();
        else reject(new Error(`${path} answered ${response.statusCode}: ${text.slice(0, 300)}`));
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

function toolCall(protocol: Protocol): { headers: Record<string, string>; body: string } {
  const common = {
    authorization: 'Bearer bench',
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': protocol,
  };
  const params = { name: 'get_host', arguments: { host: 'pve1' } };
  if (protocol === '2025-11-25') {
    return { headers: common, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }) };
  }
  const meta = {
    'io.modelcontextprotocol/protocolVersion': protocol,
    'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  return {
    headers: { ...common, 'mcp-method': 'tools/call', 'mcp-name': 'get_host' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { ...params, _meta: meta } }),
  };
}

function dependencies(delayMs: number): McpDependencies {
  const { config } = loadConfig({ argv: [], env: {}, cwd: '/' });
  return {
    config: { ...config, mcp: { ...config.mcp, host: '127.0.0.1', port: 0 }, hosts: hostsOf() },
    operations: [],
    // Reads don't touch runs, schedules and what the page does.
    runs: {} as Runs,
    schedules: {} as Schedules,
    ledger: {} as McpDependencies['ledger'],
    changeSwitch: {} as McpDependencies['changeSwitch'],
    people: {} as McpDependencies['people'],
    tokens: { verify: (token) => (token === 'bench' ? { name: 'bench', scope: 'read' } : undefined) },
    reads: { ...noApis(), node: () => readNode(delayMs) },
    log: pino({ level: 'silent' }),
    metrics: createMetrics(),
    findProblems: async () => [],
  };
}

function hostsOf(): Config['hosts'] {
  return [{ name: 'pve1', layout: { installation: '/opt/proxmox-mcp' }, timeZone: 'UTC' } as Config['hosts'][number]];
}
