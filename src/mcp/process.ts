import { once } from 'node:events';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
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
import { createChangeSwitch } from '../runs/switch.ts';
import { connectionOptions } from '../runs/temporal-client.ts';
import { temporalEndpoint } from '../runs/temporal-endpoint.ts';
import { readNotices } from '../runs/watch.ts';
import { createTokenStore, tokensFile } from '../tokens/store.ts';
import type { McpDependencies } from './dependencies.ts';
import { findProblems } from './find-problems.ts';
import { createMetrics } from './metrics.ts';
import type { Caller } from './scopes.ts';
import { serveHttp, serveStdio } from './serve.ts';

/** The process of `proxmox-mcp serve`: MCP over HTTP until SIGTERM or Ctrl-C. */
export async function serveUntilStopped(config: Config): Promise<void> {
  // Standard error is the log file that the supervisor keeps, or an administrator's terminal.
  const log = createLogger({ level: config.logLevel, name: 'mcp', stderr: true });
  const { dependencies, close } = connect(config, log);
  const stop = untilStopped();
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
  const stop = untilStopped();
  try {
    const serving = serveStdio(dependencies, { version: packageVersion(), caller });
    await Promise.race([serving.closed, stop]);
    await serving.close();
  } finally {
    await close();
  }
}

async function untilStopped(): Promise<void> {
  await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
}

/** What the server talks to, and how to let go of it. */
function connect(
  config: Config,
  log: Log,
): { readonly dependencies: McpDependencies; readonly close: () => Promise<void> } {
  // Lazy, so that MCP answers and says what is wrong while Temporal is down; back within seconds when it is up again.
  const options = connectionOptions(temporalEndpoint(config));
  const connection = Connection.lazy({
    ...options,
    channelArgs: {
      ...options.channelArgs,
      'grpc.initial_reconnect_backoff_ms': 200,
      'grpc.max_reconnect_backoff_ms': 2_000,
    },
  });
  const client = new Client({ connection, namespace: config.temporal.namespace });
  const reads = createReads(config, log);
  const service = {
    client,
    config,
    findGuest: (wanted: WantedGuest) => findGuest(reads.inventory, wanted),
    findHost: (of: GuestSelection) => findHost(reads.inventory, of),
  };
  return {
    dependencies: {
      operations: Object.values(catalogue),
      runs: createRuns(service),
      schedules: createSchedules(service),
      ledger: createLedgerClient(client),
      changeSwitch: createChangeSwitch(client),
      people: createPeople(peopleFile(config.accessDir)),
      config,
      tokens: createTokenStore(tokensFile(config.accessDir)),
      reads,
      log,
      metrics: createMetrics(packageVersion()),
      findProblems: () => findProblems(client, config),
      notices: () => readNotices(client),
    },
    async close() {
      await Promise.all([connection.close(), reads.close()]);
    },
  };
}
