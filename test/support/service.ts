import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config.ts';
import { createRuns } from '../../src/runs/create-runs.ts';
import { createSchedules } from '../../src/runs/create-schedules.ts';
import type { Runs } from '../../src/runs/runs.ts';
import type { Schedules } from '../../src/runs/schedules.ts';
import { cacheFolder } from '../../src/service/paths.ts';
import { findTemporal } from '../../src/service/temporal-binary.ts';
import { startTemporalServer, type TemporalServer } from '../../src/service/temporal-server.ts';
import { bareEnvironment } from './built.ts';
import { freePort, freePorts } from './free-ports.ts';
import { quietTimeZone } from './quiet-time-zone.ts';

const root = join(import.meta.dirname, '../..');

export interface TestServiceOptions {
  /** Lines of `.env` beside those of data folder, ports and time zone: `{ SMTP_HOST: 'localhost' }`. */
  readonly env?: Readonly<Record<string, string>>;
  /** Files beside `.env`, mode 0600: what keys ending in `_FILE` name. */
  readonly files?: Readonly<Record<string, string>>;
  /** Entries of `hosts.yaml`, by name; see `sshHost` and `localHost`. */
  readonly hosts: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export interface StartWorker {
  /** Of something between it and the Temporal server. */
  readonly temporalPort?: number;
  /** What it calls its build. */
  readonly build?: string;
  /** The folder of another program than this one. */
  readonly root?: string;
  /** As `proxmox-mcp worker --promote`. */
  readonly promotes?: boolean;
  /** What its log says when it is started. Default: that it is ready. */
  readonly says?: RegExp;
}

/** The worker, and another one beside it. */
export type WorkerName = 'worker' | 'second-worker';
type ProcessName = WorkerName | 'mcp';

/** The service as an administrator runs it, in processes of its own, with a folder that goes when it is stopped. */
export interface TestService {
  /** Holds `.env`, `hosts.yaml`, `data`. */
  readonly folder: string;
  readonly config: Config;
  readonly client: Client;
  readonly runs: Runs;
  readonly schedules: Schedules;
  readonly temporal: TemporalServer;
  /** `http://127.0.0.1:PORT` of the MCP server, whether it runs or not. */
  readonly mcpUrl: string;
  /**
   * Starts `dist/src/worker.js` and waits until it is ready: one of each name.
   */
  startWorker(name?: WorkerName, options?: StartWorker): Promise<void>;
  /** Where it serves its metrics. */
  metricsPort(name?: WorkerName): number;
  /** SIGKILL (default) or another signal, and waits for its end. */
  killWorker(signal?: NodeJS.Signals, name?: WorkerName): Promise<void>;
  /** Stops it where it is, until `thawWorker`, as a machine that is suspended. */
  freezeWorker(name?: WorkerName): void;
  thawWorker(name?: WorkerName): void;
  /** Has it read its configuration again. */
  hangUp(name: WorkerName | 'mcp'): void;
  /** Starts `proxmox-mcp serve` and waits until it answers. */
  startMcp(): Promise<void>;
  /** Runs the CLI to its end with this configuration. */
  cli(...args: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }>;
  /** Stops the Temporal server, has `work` done on its files, and starts it again. */
  withoutTemporal(work: () => void): Promise<void>;
  /** Writes the hosts anew, for the next worker. */
  writeHosts(hosts: TestServiceOptions['hosts']): void;
  log(name: WorkerName | 'mcp'): string;
  stop(): Promise<void>;
}

/** Starts Temporal; worker and MCP server are started by their own calls. */
export async function startService(options: TestServiceOptions): Promise<TestService> {
  await build();
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-faults-'));
  const dataDir = join(folder, 'data');
  mkdirSync(join(dataDir, 'logs'), { recursive: true });
  const [port, uiPort, mcpPort, metricsPort] = await freePorts(4);
  const env = {
    DATA_DIR: './data',
    TEMPORAL_PORT: String(port),
    TEMPORAL_UI_PORT: String(uiPort),
    MCP_PORT: String(mcpPort),
    WORKER_METRICS_PORT: String(metricsPort),
    TIME_ZONE: quietTimeZone(),
    ...options.env,
  };
  const writeHosts = (hosts: TestServiceOptions['hosts']) =>
    writeFileSync(join(folder, 'hosts.yaml'), JSON.stringify({ hosts }), { mode: 0o600 });
  const lines = Object.entries(env).map(([key, value]) => `${key}=${value}\n`);
  writeFileSync(join(folder, '.env'), lines.join(''), { mode: 0o600 });
  for (const [name, text] of Object.entries(options.files ?? {})) {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
  }
  writeHosts(options.hosts);
  const { config } = loadConfig({ cwd: folder, env: {} });

  const { path: binary } = await findTemporal({
    binary: process.env.TEMPORAL_BINARY,
    cacheDir: cacheFolder(),
    say: console.log,
  });
  const temporalOptions = {
    binary,
    dataDir,
    port: config.temporal.port,
    uiPort: config.temporal.uiPort,
    namespace: config.temporal.namespace,
  };
  let temporal = await startTemporalServer(temporalOptions);
  const connection = await Connection.connect({ address: temporal.address });
  const client = new Client({ connection });
  const children: Partial<Record<ProcessName, ChildProcess>> = {};
  const metricsPorts: Record<WorkerName, number> = { worker: config.worker.metricsPort, 'second-worker': 0 };

  const launch = async (name: ProcessName, args: readonly string[], ready: RegExp, more: NodeJS.ProcessEnv = {}) => {
    if (children[name]) throw new Error(`the ${name} runs already`);
    const file = openSync(join(dataDir, 'logs', `${name}.log`), 'a');
    const from = log(name).length;
    const env = { ...environment(folder), ...more };
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', file] });
    closeSync(file);
    children[name] = child;
    const deadline = Date.now() + 90_000;
    while (!ready.test(log(name).slice(from))) {
      if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
        throw new Error(`the ${name} did not get ready: ${log(name).slice(from)}`);
      }
      await sleep(50);
    }
  };
  const end = async (name: ProcessName, signal: NodeJS.Signals) => {
    const child = children[name];
    if (!child) return;
    delete children[name];
    if (child.exitCode === null && child.signalCode === null) {
      const exit = once(child, 'exit');
      child.kill(signal);
      await exit;
    }
  };
  const signalTo = (name: ProcessName, signal: NodeJS.Signals) => {
    if (!children[name]?.kill(signal)) throw new Error(`the ${name} doesn't run`);
  };
  const log = (name: ProcessName) => {
    try {
      return readFileSync(join(dataDir, 'logs', `${name}.log`), 'utf8');
    } catch {
      return '';
    }
  };
  return {
    folder,
    config,
    client,
    runs: createRuns({ client, config }),
    schedules: createSchedules({ client, config }),
    get temporal() {
      return temporal;
    },
    mcpUrl: `http://127.0.0.1:${mcpPort}`,
    // Its port is looked for when it is needed: minutes later a connection may have it.
    startWorker: async (
      name = 'worker',
      { temporalPort, build, root: from = root, promotes = false, says = /worker is ready/ } = {},
    ) => {
      if (name !== 'worker') metricsPorts[name] = await freePort();
      await launch(
        name,
        build === undefined
          ? [join(from, 'dist/src/worker.js')]
          : [join(from, 'dist/src/cli.js'), 'worker', ...(promotes ? ['--promote'] : [])],
        says,
        {
          WORKER_METRICS_PORT: String(metricsPorts[name]),
          ...(build === undefined ? {} : { WORKER_BUILD_ID: build }),
          ...(temporalPort === undefined ? {} : { TEMPORAL_ADDRESS: `127.0.0.1:${temporalPort}` }),
        },
      );
    },
    metricsPort: (name = 'worker') => metricsPorts[name],
    killWorker: (signal = 'SIGKILL', name = 'worker') => end(name, signal),
    freezeWorker: (name = 'worker') => signalTo(name, 'SIGSTOP'),
    thawWorker: (name = 'worker') => signalTo(name, 'SIGCONT'),
    hangUp: (name) => signalTo(name, 'SIGHUP'),
    startMcp: () => launch('mcp', [join(root, 'dist/src/cli.js'), 'serve'], /serving MCP over HTTP/),
    cli: (...args) =>
      promisify(execFile)(process.execPath, [join(root, 'dist/src/cli.js'), ...args], { env: environment(folder) }),
    async withoutTemporal(work) {
      await temporal.stop();
      work();
      temporal = await startTemporalServer(temporalOptions);
    },
    writeHosts,
    log,
    async stop() {
      await Promise.all((Object.keys(children) as ProcessName[]).map((name) => end(name, 'SIGKILL')));
      await connection.close();
      await temporal.stop();
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Nothing of this process's own configuration gets into the service's. */
function environment(folder: string): NodeJS.ProcessEnv {
  return { ...bareEnvironment(), PROXMOX_MCP_CONFIG_DIR: folder };
}

/** `npm test` has built already; a single file's run may have to. One at a time: files run side by side. */
async function build(): Promise<void> {
  mkdirSync(join(root, '.cache'), { recursive: true });
  const command = [process.execPath, 'scripts/run.mjs', 'build'];
  await promisify(execFile)('flock', [join(root, '.cache/build.lock'), ...command], { cwd: root });
}
