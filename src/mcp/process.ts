import { once } from 'node:events';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import { createLogger } from '../logger.ts';
import { createReads } from '../proxmox/reads.ts';
import { createRuns } from '../runs/create-runs.ts';
import { createSchedules } from '../runs/create-schedules.ts';
import { temporalAddress } from '../runs/temporal-client.ts';
import { createTokenStore } from '../tokens/store.ts';
import { packageVersion } from '../version.ts';
import { serviceQueue } from '../workflows/lib/queues.ts';
import type { HealthProblem, McpDependencies } from './dependencies.ts';
import { createMetrics } from './metrics.ts';
import type { Caller } from './scopes.ts';
import { serveHttp, serveStdio } from './serve.ts';

/** The process of `proxmox-mcp serve`: MCP over HTTP until SIGTERM or Ctrl-C. */
export async function serveUntilStopped(config: Config): Promise<void> {
  // Standard error is the log file that the supervisor keeps, or an administrator's terminal.
  const log = createLogger({ level: config.logLevel, name: 'mcp', stderr: true });
  const { dependencies, close } = connect(config, log);
  const stop = Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
  try {
    const serving = await serveHttp(dependencies, { version: packageVersion() });
    await stop;
    log.info({}, 'stopping');
    await serving.close();
  } finally {
    await close();
  }
}

/** The process of `proxmox-mcp stdio`: MCP on standard input and output until the client closes them. */
export async function serveStdioUntilClosed(config: Config, caller: Caller): Promise<void> {
  const log = createLogger({ level: config.logLevel, name: 'stdio', file: join(config.dataDir, 'logs', 'stdio.log') });
  const { dependencies, close } = connect(config, log);
  const stop = Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
  try {
    const serving = serveStdio(dependencies, { version: packageVersion(), caller });
    await Promise.race([serving.closed, stop]);
    await serving.close();
  } finally {
    await close();
  }
}

function connect(
  config: Config,
  log: Log,
): { readonly dependencies: McpDependencies; readonly close: () => Promise<void> } {
  // Lazy, so that MCP answers and says what is wrong while Temporal is down; back within seconds when it is up again.
  const connection = Connection.lazy({
    address: temporalAddress(config),
    channelArgs: { 'grpc.initial_reconnect_backoff_ms': 200, 'grpc.max_reconnect_backoff_ms': 2_000 },
  });
  const client = new Client({ connection, namespace: config.temporal.namespace });
  const reads = createReads(config, log);
  const dependencies: McpDependencies = {
    runs: createRuns({ client, config }),
    schedules: createSchedules({ client, config }),
    config,
    tokens: createTokenStore(join(config.dataDir, 'tokens.json')),
    reads,
    log,
    metrics: createMetrics({ process: true }),
    problems: () => findProblems(client, config),
  };
  const close = async () => {
    await Promise.all([connection.close(), reads.close()]);
  };
  return { dependencies, close };
}

const pollerFreshMs = 90_000;
/** `TASK_QUEUE_TYPE_WORKFLOW` of Temporal's API. */
const workflowTasks = 1;

/** What keeps the service from working now: no Temporal, or nobody who takes its work. */
async function findProblems(client: Client, config: Config): Promise<HealthProblem[]> {
  const address = temporalAddress(config);
  try {
    const { pollers } = await client.withDeadline(Date.now() + 3_000, () =>
      client.workflowService.describeTaskQueue({
        namespace: config.temporal.namespace,
        taskQueue: { name: serviceQueue },
        taskQueueType: workflowTasks,
      }),
    );
    const seen = pollers?.map(({ lastAccessTime }) => Number(lastAccessTime?.seconds ?? 0) * 1_000) ?? [];
    if (seen.some((time) => Date.now() - time < pollerFreshMs)) return [];
    return [
      {
        part: 'worker',
        message:
          'No worker takes work: runs wait until one does. See the worker log in the data folder, or start the service.',
      },
    ];
  } catch {
    return [
      {
        part: 'temporal',
        message: `The Temporal server at ${address} doesn't answer: nothing can be started or looked up. Run proxmox-mcp doctor on the service's machine.`,
      },
    ];
  }
}
