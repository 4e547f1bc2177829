import { Client, Connection } from '@temporalio/client';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';

/** Address of the Temporal server: the configured one, or the dev server that the service runs. */
export function temporalAddress(config: Config): string {
  return config.temporal.address ?? `127.0.0.1:${config.temporal.port}`;
}

/**
 * A connection to a Temporal server, which never goes through a proxy: the client would take `https_proxy` even for this
 * machine's own addresses, the worker's takes none. Throws what gRPC says.
 */
export function openConnection(address: string, connectTimeout: number): Promise<Connection> {
  return Connection.connect({ address, connectTimeout, channelArgs: { 'grpc.enable_http_proxy': 0 } });
}

/** Connects within `timeoutMs` (default 10 s) or throws `unavailable`. Close it with `client.connection.close()`. */
export async function connectTemporal(config: Config, timeoutMs = 10_000): Promise<Client> {
  const address = temporalAddress(config);
  try {
    const connection = await openConnection(address, timeoutMs);
    return new Client({ connection, namespace: config.temporal.namespace });
  } catch (cause) {
    throw new ServiceError({
      code: 'unavailable',
      message: `The Temporal server at ${address} doesn't answer.`,
      remedy: config.temporal.address
        ? 'Check TEMPORAL_ADDRESS and that the server runs; `npx proxmox-mcp doctor` shows what was tried.'
        : 'Start the service with `npm start`, which runs it.',
      retryable: true,
      cause,
    });
  }
}
