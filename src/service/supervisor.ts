import { connect } from 'node:net';
import { join } from 'node:path';
import { localAddress } from '../address.ts';
import { forgetConfiguration } from '../config/in-use.ts';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { packageRoot } from '../package.ts';
import { readableDuration } from '../reports/units.ts';
import { findRestored } from '../runs/restored.ts';
import { connectTemporal } from '../runs/temporal-client.ts';
import { temporalEndpoint } from '../runs/temporal-endpoint.ts';
import { serviceQueue } from '../workflows/lib/messages.ts';
import type { Guard } from './guard.ts';
import { endLeftover, type KeptProcess, keepRunning } from './kept-process.ts';
import { cacheFolder } from './paths.ts';
import { claimPort } from './port-claim.ts';
import { readinessUrl } from './readiness.ts';
import { type PartFile, parts as partNames, partRecord } from './record.ts';
import { forgetReloads } from './reload.ts';
import { findTemporal } from './temporal-binary.ts';
import { checkTemporalServer } from './temporal-namespace.ts';
import { startTemporalServer } from './temporal-server.ts';

export interface ServiceOptions {
  readonly config: Config;
  /** Ends what runs when this process is gone. Default: the next start does. */
  readonly guard?: Guard | undefined;
  /** Lines for a person at a terminal. */
  readonly say: (line: string) => void;
  /** Ends a wait that may be long: getting the Temporal server. */
  readonly signal: AbortSignal;
  /** A process died too often; the others still run. */
  readonly onGivenUp: (error: ServiceError) => void;
}

export interface Service {
  /** In reverse order of the start; the worker finishes or hands back what it holds. */
  readonly stop: () => Promise<void>;
}

const workflowTasks = 1; // temporal.api.enums.v1.TASK_QUEUE_TYPE_WORKFLOW

type Part = Pick<KeptProcess, 'stop'>;

/** Longer than the worker's own grace for its activities, so that it is never killed in the middle of handing back. */
const workerGraceMs = 45_000;

/**
 * Starts the Temporal server (unless another one is configured), then the worker and the MCP server, each as a process
 * of its own that is started again when it dies. When one can't be started, those already started are stopped.
 */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { config, say } = options;
  if (config.worker.ledger === 'only') {
    throw new ServiceError({
      code: 'configuration',
      message: 'WORKER_LEDGER=only leaves the work itself to others, and a start has one worker',
      remedy: 'Remove it, or run its processes by themselves: npx proxmox-mcp worker, npx proxmox-mcp serve.',
    });
  }
  const parts: Part[] = [];
  const stop = async () => {
    for (const part of parts.splice(0).reverse()) await part.stop();
    for (const reader of ['worker', 'mcp-server'] as const) forgetConfiguration(config.dataDir, reader);
    forgetReloads(config.dataDir);
  };
  const processes = [workerPart(config), mcpPart(config)];
  try {
    // What a killed start left behind goes first: it holds the ports, and would work on beside the new ones.
    for (const part of processes) await endLeftover({ ...part, recordFile: partRecord(config, part.file), say });
    const started = Date.now();
    if (config.temporal.address === undefined) parts.push(await startTemporal(options));
    else await checkTemporalServer(temporalEndpoint(config), { say });
    say(`Temporal ${config.temporal.address ?? 'server'} is ready (${readableDuration(Date.now() - started)}).`);
    const results = await Promise.allSettled(processes.map((part) => startPart(part, options)));
    for (const result of results) if (result.status === 'fulfilled') parts.push(result.value);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    return { stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startTemporal({ config, guard, say, signal, onGivenUp }: ServiceOptions): Promise<Part> {
  const found = await findTemporal({ binary: config.temporal.binary, cacheDir: cacheFolder(), say, signal });
  say(`Temporal CLI ${found.version}: ${found.path}.`);
  return startTemporalServer({
    binary: found.path,
    dataDir: config.dataDir,
    port: config.temporal.port,
    uiPort: config.temporal.uiPort,
    namespace: config.temporal.namespace,
    guard,
    say,
    signal,
    onGivenUp,
  });
}

interface PartDefinition {
  readonly name: string;
  readonly file: PartFile;
  readonly args: readonly string[];
  readonly host: string;
  readonly port: number;
  /** The configuration key that changes its port. */
  readonly key: string;
  readonly graceMs: number;
  readonly ready: (signal: AbortSignal, pid: number) => Promise<void>;
}

function workerPart(config: Config): PartDefinition {
  const { metricsPort: port } = config.worker;
  const host = localAddress(config.worker.metricsHost);
  const args = [join(packageRoot(), 'dist', 'src', 'worker.js')];
  const ready = async (_signal: AbortSignal, pid: number) => {
    if (await isHeldBack(config)) return;
    await checkListens(host, port); // Cheap to ask, and true some time before the worker takes work.
    await checkTakesWork(config, pid);
  };
  return {
    name: partNames.worker,
    file: 'worker',
    args,
    host,
    port,
    key: 'WORKER_METRICS_PORT',
    graceMs: workerGraceMs,
    ready,
  };
}

function mcpPart(config: Config): PartDefinition {
  const { host, port } = config.mcp;
  const readiness = readinessUrl(config);
  const args = [join(packageRoot(), 'dist', 'src', 'cli.js'), 'serve'];
  const ready = async (signal: AbortSignal) => {
    const answer = await fetch(readiness, { signal });
    const said = await answer.text();
    // It says so itself to everybody who asks.
    if (!answer.ok && (await isHeldBack(config))) return;
    if (!answer.ok) throw new Error(`it answers ${answer.status}: ${said.slice(0, 300)}`);
  };
  return {
    name: partNames['mcp-server'],
    file: 'mcp-server',
    args,
    host,
    port,
    key: 'MCP_PORT',
    graceMs: 10_000,
    ready,
  };
}

async function startPart(
  part: PartDefinition,
  { config, guard, say, signal, onGivenUp }: ServiceOptions,
): Promise<Part> {
  const started = Date.now();
  await claimPort({ ...part, say });
  const kept = await keepRunning({
    name: part.name,
    program: process.execPath,
    args: ['--enable-source-maps', ...part.args],
    logFile: join(config.dataDir, 'logs', `${part.file}.log`),
    guard,
    recordFile: partRecord(config, part.file),
    ready: part.ready,
    readyWithinMs: 60_000,
    signal,
    graceMs: part.graceMs,
    remedy:
      'Look at its log, correct what it names, and start again; npx proxmox-mcp doctor checks everything it needs',
    say,
    onGivenUp,
  });
  say(`The ${part.name} is ready (${readableDuration(Date.now() - started)}).`);
  return kept;
}

/** Whether this very process asks Temporal for work; what it knows of the others may be minutes old. */
export async function checkTakesWork(config: Config, pid: number): Promise<void> {
  const { connection } = await connectTemporal(config, 2_000);
  try {
    const { pollers } = await connection.workflowService.describeTaskQueue({
      namespace: config.temporal.namespace,
      taskQueue: { name: serviceQueue },
      taskQueueType: workflowTasks,
    });
    if (!pollers?.some(({ identity }) => identity?.startsWith(`${pid}@`))) throw new Error('it takes no work yet');
  } finally {
    await connection.close();
  }
}

/** An older state was restored: worker and MCP server wait for an administrator, as they should. */
async function isHeldBack(config: Config): Promise<boolean> {
  const found = await findRestored(config).catch(() => undefined);
  return found !== undefined;
}

function checkListens(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });
}
