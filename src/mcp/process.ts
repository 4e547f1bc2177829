import { once } from 'node:events';
import { join } from 'node:path';
import { Client } from '@temporalio/client';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import { createLogger } from '../logger.ts';
import { catalogue } from '../operations/catalogue.generated.ts';
import type { GuestSelection } from '../operations/target.ts';
import { packageVersion } from '../package.ts';
import { createPeople, peopleFile } from '../people/store.ts';
import { findGuest, findHost, type WantedGuest } from '../proxmox/find-guests.ts';
import { createReads } from '../proxmox/reads.ts';
import { createRuns } from '../runs/create-runs.ts';
import { createSchedules } from '../runs/create-schedules.ts';
import { createLedgerClient } from '../runs/ledger.ts';
import { watchRestored } from '../runs/restored.ts';
import { createChangeSwitch } from '../runs/switch.ts';
import { lastingConnection } from '../runs/temporal-client.ts';
import { temporalEndpoint } from '../runs/temporal-endpoint.ts';
import { readNotices } from '../runs/watch.ts';
import { createTokenStore, tokensFile } from '../tokens/store.ts';
import { startTracing } from '../tracing/start.ts';
import type { McpDependencies } from './dependencies.ts';
import { createFindProblems } from './find-problems.ts';
import { createMetrics } from './metrics.ts';
import type { Caller } from './scopes.ts';
import { serveHttp, serveStdio } from './serve.ts';

/** What reads the configuration again when this process is told to. */
interface Reloader {
  serve(apply: (loaded: { readonly config: Config }) => Promise<void>): void;
  close(): Promise<void>;
}

/**
 * The process of `proxmox-mcp serve`: MCP over HTTP until SIGTERM or Ctrl-C.
 *
 * @param reloading what reads the configuration again. Default: nothing does
 */
export async function serveUntilStopped(config: Config, reloading?: (log: Log) => Reloader): Promise<void> {
  // Standard error is the log file that the supervisor keeps, or an administrator's terminal.
  const log = createLogger({ level: config.logLevel, name: 'mcp', stderr: true, traced: config.tracing !== undefined });
  const reloader = reloading?.(log);
  const tracing = await startTracing(config, 'mcp', log);
  const { dependenciesOf, close } = connect(config, log);
  const stop = untilStopped();
  try {
    const serving = await serveHttp(dependenciesOf(config), { version: packageVersion() });
    reloader?.serve(async (loaded) => serving.reload(dependenciesOf(loaded.config)));
    await stop;
    log.info({}, 'stopping');
    await reloader?.close();
    await serving.close();
  } finally {
    await Promise.all([close(), tracing.stop()]);
  }
}

/** The process of `proxmox-mcp stdio`: MCP on standard input and output until the client closes them. */
export async function serveStdioUntilClosed(config: Config, caller: Caller): Promise<void> {
  const log = createLogger({
    level: config.logLevel,
    name: 'stdio',
    file: join(config.dataDir, 'logs', 'stdio.log'),
    traced: config.tracing !== undefined,
  });
  const tracing = await startTracing(config, 'mcp', log);
  const { dependenciesOf, close } = connect(config, log);
  const stop = untilStopped();
  try {
    const dependencies = dependenciesOf(config);
    const serving = serveStdio(dependencies, { version: packageVersion(), caller });
    await Promise.race([serving.closed, stop]);
    await serving.close();
  } finally {
    await Promise.all([close(), tracing.stop()]);
  }
}

async function untilStopped(): Promise<void> {
  await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
}

/** What the server talks to, and how to let go of it. What a configuration decides is made for each. */
function connect(
  atStart: Config,
  log: Log,
): { readonly dependenciesOf: (config: Config) => McpDependencies; readonly close: () => Promise<void> } {
  // Lazy, so that MCP answers and says what is wrong while Temporal is down; back within seconds when it is up again.
  const connection = lastingConnection(temporalEndpoint(atStart), {
    'grpc.initial_reconnect_backoff_ms': 200,
    'grpc.max_reconnect_backoff_ms': 2_000,
  });
  const client = new Client({ connection, namespace: atStart.temporal.namespace });
  const restored = watchRestored(atStart, client);
  const kept = {
    operations: Object.values(catalogue),
    ledger: createLedgerClient(client),
    changeSwitch: createChangeSwitch(client),
    people: createPeople(peopleFile(atStart.accessDir)),
    tokens: createTokenStore(tokensFile(atStart.accessDir)),
    log,
    metrics: createMetrics(packageVersion()),
    notices: () => readNotices(client),
    restored,
  };
  return {
    dependenciesOf(config) {
      const { apiKey, apiKeyFile } = config.temporal;
      // One of a file is read again by itself.
      if (apiKey !== undefined && apiKeyFile === undefined) connection.setApiKey(apiKey.reveal());
      const reads = createReads(config, log);
      const service = {
        client,
        config,
        findGuest: (wanted: WantedGuest) => findGuest(reads.inventory, wanted),
        findHost: (of: GuestSelection) => findHost(reads.inventory, of),
      };
      return {
        ...kept,
        runs: createRuns(service),
        schedules: createSchedules(service),
        config,
        reads,
        findProblems: createFindProblems(client, config, restored),
        close: reads.close,
      };
    },
    close: () => connection.close(),
  };
}
