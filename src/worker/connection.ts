import { Client } from '@temporalio/client';
import { NativeConnection, type Worker } from '@temporalio/worker';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import { lastingConnection } from '../runs/temporal-client.ts';
import { apiKeyReader, readTls, type TlsFiles, temporalEndpoint, watchTls } from '../runs/temporal-endpoint.ts';
import { explainTemporal } from '../runs/temporal-failure.ts';

/** The worker's two ways to Temporal: its own calls, and those that fetch and answer tasks. */
export interface WorkerConnections {
  readonly client: Client;
  /** The one that counts now. */
  readonly connection: () => NativeConnection;
  /** Follows the connection when it is made anew, because its certificates have changed. */
  readonly add: (worker: Worker) => Worker;
  close(): Promise<void>;
}

/** How often it is looked whether the API key's file has changed. */
const lookMs = 10_000;

/** Throws what is wrong, most often `unavailable`. */
export async function connectWorker(config: Config, log: Log): Promise<WorkerConnections> {
  const endpoint = temporalEndpoint(config);
  const apiKey = apiKeyReader(endpoint);
  const open = (tls: TlsFiles | undefined) =>
    NativeConnection.connect({
      address: endpoint.address,
      ...(tls && { tls }),
      ...(apiKey && { apiKey: apiKey() }),
    });
  let connection: NativeConnection;
  try {
    connection = await open(endpoint.tls && readTls(endpoint.tls));
  } catch (error) {
    throw await explainTemporal(error, endpoint);
  }
  const lasting = lastingConnection(endpoint);
  const workers = new Set<Worker>();
  // The client asks for the key with every call; this connection has to be told.
  const timer = apiKey && setInterval(() => void connection.setApiKey(apiKey()), lookMs).unref();
  const stop = watchTls(endpoint, async (files) => {
    const former = connection;
    connection = await open(files);
    for (const worker of workers) {
      if (worker.getState() !== 'STOPPED') worker.connection = connection;
    }
    await former.close();
    log.info({}, "Temporal's certificates have changed: connected anew with them");
  });
  return {
    client: new Client({ connection: lasting, namespace: config.temporal.namespace }),
    connection: () => connection,
    add(worker) {
      workers.add(worker);
      return worker;
    },
    async close() {
      clearInterval(timer);
      stop();
      await connection.close();
      await lasting.close();
    },
  };
}
