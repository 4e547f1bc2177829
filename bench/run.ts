import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { pino } from 'pino';
import { loadConfig } from '../src/config/load.ts';
import type { Config } from '../src/config.ts';
import { createMetrics } from '../src/mcp/metrics.ts';
import { serveHttp } from '../src/mcp/serve.ts';
import { catalogue } from '../src/operations/catalogue.generated.ts';
import { createPeople, peopleFile } from '../src/people/store.ts';
import { createRuns } from '../src/runs/create-runs.ts';
import { createSchedules } from '../src/runs/create-schedules.ts';
import { createLedgerClient } from '../src/runs/ledger.ts';
import { createChangeSwitch } from '../src/runs/switch.ts';
import { cacheFolder } from '../src/service/paths.ts';
import { findTemporal } from '../src/service/temporal-binary.ts';
import { startTemporalServer } from '../src/service/temporal-server.ts';
import { serviceQueue } from '../src/workflows/lib/messages.ts';
import { freePort } from './lib/free-port.ts';
import { callTool } from './lib/mcp-call.ts';
import { noApis } from './lib/no-apis.ts';
import { type BenchResult, contest, medianMs } from './lib/ratio.ts';

const runs = 12;
const aloneQueue = 'alone';

/** A run of three steps through MCP against Temporal alone, on the server as we start it and as it comes. */
export async function benchRun(): Promise<BenchResult[]> {
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-bench-'));
  const closing: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  try {
    const { path: binary } = await findTemporal({
      binary: process.env.TEMPORAL_BINARY,
      cacheDir: cacheFolder(),
      say: () => {},
    });
    const [port, uiPort] = [await freePort(), await freePort()];
    const log = pino({ level: 'silent' });
    const server = await startTemporalServer({ binary, dataDir: folder, port, uiPort, namespace: 'default', log });
    closing.push(server.stop);
    const stock = await startStock(binary, join(folder, 'stock.sqlite'));
    closing.push(stock.stop);
    const ours = await connect(server.address, serviceQueue, 'ours', join(folder, 'ledger'));
    const alone = await connect(server.address, aloneQueue, 'theirs');
    const onStock = await connect(stock.address, aloneQueue, 'theirs');
    closing.push(ours.close, alone.close, onStock.close);

    const config = configFor(port);
    const serving = await serveHttp(
      {
        operations: Object.values(catalogue),
        config,
        log,
        runs: createRuns({ client: ours.client, config }),
        schedules: createSchedules({ client: ours.client, config }),
        ledger: createLedgerClient(ours.client),
        changeSwitch: createChangeSwitch(ours.client),
        people: createPeople(peopleFile(folder)),
        tokens: { verify: () => ({ name: 'bench', scope: 'admin' }) },
        reads: { ...noApis(), node: async () => undefined },
        metrics: createMetrics(),
        findProblems: async () => [],
      },
      { version: 'bench', limits: { perToken: 1e9, perAddress: 1e9 } },
    );
    closing.push(serving.close);

    const throughMcp = () => medianMs(runs, () => runThroughMcp(serving.port));
    const block = `${runs} runs, one after the other`;
    return [
      await contest({
        name: 'Three steps through MCP / the same through Temporal alone',
        aim: { atMost: 1.1 },
        ours: throughMcp,
        theirs: () => medianMs(runs, () => execute(alone.client)),
        unit: 'ms',
        block,
        notes: ['started and awaited; with validation, search attributes, checklist and report on our side'],
      }),
      await contest({
        name: 'Three steps through MCP / Temporal alone on a dev server as it comes',
        aim: { atMost: 0.35 },
        ours: throughMcp,
        theirs: () => medianMs(runs, () => execute(onStock.client)),
        unit: 'ms',
        block,
        notes: ['both with a SQLite file; ours with WAL and synchronous=FULL'],
      }),
    ];
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

async function runThroughMcp(port: number): Promise<void> {
  const started = await callTool<{ run: { id: string } }>(port, 'check_health', { host: 'bench' });
  const ended = await callTool<{ run: { state: string } }>(port, 'wait_for_run', {
    id: started.run.id,
    timeoutSeconds: 60,
  });
  if (ended.run.state !== 'done') throw new Error(`the run is ${ended.run.state}`);
}

let executed = 0;
function execute(client: Client): Promise<unknown> {
  return client.workflow.execute('threeSteps', { workflowId: `three-steps-${executed++}`, taskQueue: aloneQueue });
}

/** A client, and a worker in a process of its own. */
async function connect(address: string, taskQueue: string, workflows: 'ours' | 'theirs', ledger?: string) {
  const connection = await Connection.connect({ address });
  const args = [address, taskQueue, workflows, ...(ledger === undefined ? [] : [ledger])];
  const worker = fork(join(import.meta.dirname, 'run', 'worker.js'), args, { stdio: 'inherit' });
  await once(worker, 'message');
  return {
    client: new Client({ connection }),
    async close() {
      await end(worker);
      await connection.close();
    },
  };
}

async function startStock(binary: string, database: string) {
  const port = await freePort();
  const args = [
    'server',
    'start-dev',
    '--headless',
    '--ip',
    '127.0.0.1',
    '--port',
    String(port),
    '--db-filename',
    database,
  ];
  const child = spawn(binary, args, { stdio: 'ignore' });
  const address = `127.0.0.1:${port}`;
  const connection = await Connection.connect({ address, connectTimeout: 30_000 });
  await connection.close();
  return { address, stop: () => end(child) };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

function configFor(port: number): Config {
  const { config } = loadConfig({ argv: [], env: {}, cwd: '/' });
  const host = { name: 'bench', local: { sudo: false }, layout: {}, timeZone: 'UTC' } as Config['hosts'][number];
  return {
    ...config,
    hosts: [host],
    temporal: { ...config.temporal, port },
    mcp: { ...config.mcp, host: '127.0.0.1', port: 0 },
  };
}
