import type { Client } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import type { Config } from '../config.ts';
import { connectTemporal } from '../runs/temporal-client.ts';
import { apiKeyReader, readTls, temporalEndpoint } from '../runs/temporal-endpoint.ts';
import { explainTemporal } from '../runs/temporal-failure.ts';

/** The worker's two ways to Temporal: its own calls, and those that fetch and answer tasks. */
export interface WorkerConnections {
  readonly client: Client;
  readonly connection: NativeConnection;
  close(): Promise<void>;
}

/** How often it is looked whether the API key's file has changed. */
const lookAgainMs = 10_000;

/** Throws what is wrong, most often `unavailable`. */
export async function connectWorker(config: Config): Promise<WorkerConnections> {
  const endpoint = temporalEndpoint(config);
  const client = await connectTemporal(config);
  const apiKey = apiKeyReader(endpoint);
  const connection = await NativeConnection.connect({
    address: endpoint.address,
    ...(endpoint.tls && { tls: readTls(endpoint.tls) }),
    ...(apiKey && { apiKey: apiKey() }),
  }).catch(async (error) => {
    await client.connection.close();
    throw await explainTemporal(error, endpoint);
  });
  // The client asks for the key with every call; this connection has to be told.
  const timer = apiKey && setInterval(() => void connection.setApiKey(apiKey()), lookAgainMs).unref();
  return {
    client,
    connection,
    async close() {
      clearInterval(timer);
      await connection.close();
      await client.connection.close();
    },
  };
}
