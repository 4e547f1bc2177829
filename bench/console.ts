import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { loadConfig } from '../src/config/load.ts';
import type { HostConfig } from '../src/config.ts';
import type { McpDependencies } from '../src/mcp/dependencies.ts';
import { createMetrics } from '../src/mcp/metrics.ts';
import { serveHttp } from '../src/mcp/serve.ts';
import { createPeople, peopleFile } from '../src/people/store.ts';
import type { RunDetails, Runs } from '../src/runs/runs.ts';
import type { ScheduleSummary, Schedules } from '../src/runs/schedules.ts';
import { noApis } from './lib/no-apis.ts';
import { type BenchResult, contest, medianMs } from './lib/ratio.ts';

const requests = 200;

/** The first page with 100 runs and 50 schedules, signed in, against the least that this server answers. */
export async function benchConsole(): Promise<BenchResult[]> {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-bench-'));
  const serving = await serveHttp(dependencies(folder), {
    version: 'bench',
    limits: { perToken: 1e9, perAddress: 1e9 },
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const base = `http://127.0.0.1:${serving.port}`;
  try {
    const { headers } = await fetch(`${base}/sign-in`, {
      method: 'POST',
      redirect: 'manual',
      headers: { origin: base },
      body: new URLSearchParams({ token: 'bench' }),
    });
    const [cookie = ''] = (headers.get('set-cookie') ?? '').split(';');
    let bytes = 0;
    const look = async (path: string, holds: string) => {
      bytes = await get(agent, serving.port, path, cookie, holds);
    };
    const result = await contest({
      name: 'The first page with 100 runs and 50 schedules / /livez',
      aim: { atMost: 40 },
      ours: () => medianMs(requests, () => look('/', 'h49')),
      theirs: () => medianMs(requests, () => look('/livez', 'alive')),
      unit: 'ms',
      block: `${requests} requests, one after the other on one connection`,
      notes: [
        'what Temporal is asked for is in memory on our side, and read at most once a second; /livez reads nothing',
      ],
    });
    await look('/', 'h49');
    return [{ ...result, notes: [...result.notes, `the page has ${Math.round(bytes / 1024)} KiB`] }];
  } finally {
    agent.destroy();
    await serving.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function get(agent: Agent, port: number, path: string, cookie: string, holds: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, path, agent, headers: { cookie } }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => {
        if (response.statusCode === 200 && text.includes(holds)) resolve(Buffer.byteLength(text));
        else reject(new Error(`${path} answered ${response.statusCode}: ${text.slice(0, 300)}`));
      });
    });
    outgoing.on('error', reject).end();
  });
}

function dependencies(folder: string): McpDependencies {
  const { config } = loadConfig({ argv: [], env: {}, cwd: '/' });
  const [run, ...runs] = Array.from({ length: 100 }, (_, at) => runOf(at));
  return {
    config: { ...config, mcp: { ...config.mcp, host: '127.0.0.1', port: 0 }, hosts: hostsOf(10) },
    operations: [],
    runs: {
      list: async ({ state }: { state?: string }) => ({ runs: state === undefined ? [run, ...runs] : [] }),
      get: async () => run,
    } as unknown as Runs,
    schedules: { list: async () => Array.from({ length: 50 }, (_, at) => scheduleOf(at)) } as unknown as Schedules,
    ledger: {} as McpDependencies['ledger'],
    changeSwitch: { get: async () => ({ on: false, number: 0 }) } as McpDependencies['changeSwitch'],
    people: createPeople(peopleFile(folder)),
    tokens: { verify: (token) => (token === 'bench' ? { name: 'bench', scope: 'read' } : undefined) },
    reads: { ...noApis(), node: async () => undefined },
    log: pino({ level: 'silent' }),
    metrics: createMetrics(),
    findProblems: async () => [],
  };
}

function hostsOf(count: number): readonly HostConfig[] {
  return Array.from(
    { length: count },
    (_, at) =>
      ({ name: `h${at}`, layout: { installation: '/opt/proxmox-mcp' }, timeZone: 'Europe/Berlin' }) as HostConfig,
  );
}

function runOf(at: number): RunDetails {
  const ended = new Date(Date.now() - at * 600_000).toISOString();
  const operation = ['check-health', 'back-up', 'control-guest'][at % 3] ?? 'back-up';
  const target = `h${at % 10}`;
  const id = `${operation}/${target}/${String(at).padStart(10, '0')}`;
  return {
    id,
    operation,
    target,
    state: 'done',
    verdict: 'ok',
    dryRun: false,
    requestedBy: 'schedule:daily',
    startedAt: ended,
    closedAt: ended,
    timeZone: 'Europe/Berlin',
    url: `http://127.0.0.1:8233/namespaces/default/workflows/${encodeURIComponent(id)}`,
  };
}

function scheduleOf(at: number): ScheduleSummary {
  return {
    id: `back-up/daily/h${at}`,
    operation: 'back-up',
    target: `h${at}`,
    cron: '0 2 * * *',
    timeZone: 'Europe/Berlin',
    overlap: 'skip',
    paused: false,
    nextRuns: [new Date(Date.now() + at * 600_000).toISOString()],
    lastRuns: [],
  };
}
