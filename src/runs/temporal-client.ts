import { Client, Connection, type ConnectionOptions } from '@temporalio/client';
import type { Config } from '../config.ts';
import { apiKeyReader, readTls, type TemporalEndpoint, temporalEndpoint, watchTls } from './temporal-endpoint.ts';
import { explainTemporal } from './temporal-failure.ts';

/** For who may not import Temporal's own. */
export type TemporalClient = Client;

type ChannelArgs = NonNullable<ConnectionOptions['channelArgs']>;

/**
 * Options of a connection to a Temporal server, which never goes through a proxy: the client would take `https_proxy` even
 * for this machine's own addresses, the worker's takes none. Throws `configuration` for a file that can't be read.
 */
export function connectionOptions(endpoint: TemporalEndpoint): ConnectionOptions {
  const apiKey = apiKeyReader(endpoint);
  return {
    address: endpoint.address,
    ...(endpoint.tls && { tls: readTls(endpoint.tls) }),
    ...(apiKey && { apiKey }),
    channelArgs: { 'grpc.enable_http_proxy': 0 },
  };
}

/**
 * A connection for as long as a process runs: it is made anew when the files of its certificates change. What is under way
 * ends on the old one, which is closed a minute later.
 */
export function lastingConnection(endpoint: TemporalEndpoint, more: ChannelArgs = {}): Connection {
  const open = () => {
    const options = connectionOptions(endpoint);
    return Connection.lazy({ ...options, channelArgs: { ...options.channelArgs, ...more } });
  };
  let current = open();
  const stop = watchTls(endpoint, () => {
    const former = current;
    current = open();
    setTimeout(() => void former.close(), 60_000).unref();
  });
  const close = async () => {
    stop();
    await current.close();
  };
  return new Proxy(current, {
    get: (_, key) => {
      if (key === 'close') return close;
      const value: unknown = Reflect.get(current, key, current);
      return typeof value === 'function' ? value.bind(current) : value;
    },
  });
}

/** Connects, or throws what gRPC says. */
export function openConnection(endpoint: TemporalEndpoint, connectTimeout: number): Promise<Connection> {
  return Connection.connect({ ...connectionOptions(endpoint), connectTimeout });
}

/**
 * Connects within `timeoutMs` (default 10 s) or throws what is wrong, most often `unavailable`. Close it with
 * `client.connection.close()`.
 */
export async function connectTemporal(config: Pick<Config, 'temporal'>, timeoutMs = 10_000): Promise<Client> {
  const endpoint = temporalEndpoint(config);
  try {
    const connection = await openConnection(endpoint, timeoutMs);
    return new Client({ connection, namespace: config.temporal.namespace });
  } catch (cause) {
    throw await explainTemporal(cause, endpoint);
  }
}
