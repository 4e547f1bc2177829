import type { Client } from 'ssh2';
import { ServiceError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Deadline } from '../execution/deadline.ts';
import type { SshConnection } from './connect.ts';
import type { SshLimits } from './limits.ts';

/** The right to use one channel of one connection. */
export interface Lease {
  readonly client: Client;
  /** False once the connection is gone. */
  readonly alive: () => boolean;
  /** Why the connection is gone, as far as it is known. */
  readonly lost: () => Error | undefined;
  /** Gives the channel back. Always called, once. */
  readonly release: () => void;
  /** No new work on this connection; it is closed when its last channel is given back, or at once if `now`. */
  readonly retire: (now?: boolean) => void;
  /** The server opened the channel. */
  readonly opened: () => void;
  /**
   * The server refused the channel. `fewer`: the connection learned its bound, trying again makes sense. `soon`: it has
   * had as many before, and the server only hasn't freed one yet that has just ended. `never`: the server allows none.
   */
  readonly refused: () => 'fewer' | 'soon' | 'never';
}

export interface Pool {
  /** Waits for a free channel. Throws what connecting throws, and the deadline's reason when it has passed. */
  lease(deadline: Deadline): Promise<Lease>;
  /** Closes every connection; whoever waits gets `cancelled`. */
  close(): Promise<void>;
  readonly connections: () => number;
}

interface Connection {
  readonly ssh: SshConnection;
  active: number;
  capacity: number;
  /** Channels that the server has opened, now and at most. */
  open: number;
  mostOpen: number;
  /** One after the other, without a channel opened in between. */
  refusals: number;
  retired: boolean;
  closed: boolean;
  /** Its first error, or that the other side closed it. */
  lost: Error | undefined;
  idle: NodeJS.Timeout | undefined;
}

interface Waiter {
  readonly resolve: (lease: Lease) => void;
  readonly reject: (error: unknown) => void;
}

/** How many refusals in a row a server that has opened as many channels before may answer. */
const patience = 40;

/**
 * The connections to one host: made when work needs them, up to the bound; the least busy one is used first; closed
 * when idle. Nothing here knows of commands.
 */
export function createPool(name: string, limits: SshLimits, log: Log, connect: () => Promise<SshConnection>): Pool {
  const connections = new Set<Connection>();
  const waiting = new Set<Waiter>();
  let connecting = 0;
  let closed = false;

  function pump(): void {
    for (const waiter of waiting) {
      const connection = leastBusy(connections);
      if (connection === undefined) break;
      waiting.delete(waiter);
      waiter.resolve(take(connection));
    }
    while (
      waiting.size > connecting * limits.channelsPerConnection &&
      connections.size + connecting < limits.connections
    ) {
      connecting++;
      connect().then(opened, failed);
    }
  }

  function opened(ssh: SshConnection): void {
    connecting--;
    if (closed) {
      ssh.destroy();
      return;
    }
    const { client } = ssh;
    const connection: Connection = {
      ssh,
      active: 0,
      capacity: limits.channelsPerConnection,
      open: 0,
      mostOpen: 0,
      refusals: 0,
      retired: false,
      closed: false,
      lost: undefined,
      idle: undefined,
    };
    connections.add(connection);
    // Without a listener an error would end the process.
    client.on('error', (error) => {
      connection.lost ??= error;
    });
    client.on('close', () => {
      connection.closed = true;
      connection.lost ??= new Error('the host closed it');
      const { active, lost } = connection;
      if (active > 0 && !closed)
        log.warn({ host: name, commands: active, reason: lost.message }, 'SSH connection lost');
      forget(connection);
      pump();
    });
    log.debug({ host: name, connections: connections.size }, 'SSH connected');
    pump();
    rest(connection);
  }

  function failed(error: unknown): void {
    connecting--;
    // While another connection serves them, those who wait still can be served.
    if (connections.size === 0 && connecting === 0) {
      for (const waiter of waiting) waiter.reject(error);
      waiting.clear();
    }
  }

  function take(connection: Connection): Lease {
    clearTimeout(connection.idle);
    connection.active++;
    let released = false;
    let opened = false;
    return {
      client: connection.ssh.client,
      alive: () => !connection.closed,
      lost: () => connection.lost,
      release() {
        if (released) return;
        released = true;
        connection.active--;
        if (opened) connection.open--;
        pump();
        rest(connection);
      },
      retire(now = false) {
        connection.retired = true;
        connections.delete(connection);
        if (now) connection.ssh.destroy();
      },
      opened() {
        opened = true;
        connection.refusals = 0;
        connection.open++;
        connection.mostOpen = Math.max(connection.mostOpen, connection.open);
      },
      refused() {
        connection.refusals++;
        // Its own channel is still counted among the active ones.
        if (connection.active <= connection.mostOpen) return connection.refusals <= patience ? 'soon' : 'never';
        if (connection.active <= 1) return 'never';
        connection.capacity = Math.max(1, Math.min(connection.capacity, connection.active - 1));
        log.info({ host: name, channels: connection.capacity }, 'SSH server allows fewer channels than wanted');
        return 'fewer';
      },
    };
  }

  /** Starts the idle clock, or ends a connection that nobody may use any more. */
  function rest(connection: Connection): void {
    if (connection.active > 0 || connection.closed) return;
    if (connection.retired) {
      connection.ssh.end();
      return;
    }
    clearTimeout(connection.idle);
    connection.idle = setTimeout(() => {
      forget(connection);
      connection.ssh.end();
    }, limits.idleMs);
    connection.idle.unref();
  }

  function forget(connection: Connection): void {
    clearTimeout(connection.idle);
    connections.delete(connection);
  }

  return {
    async lease(deadline) {
      if (closed) throw poolClosed(name);
      const reason = deadline.reason();
      if (reason !== undefined) throw reason;
      const free = leastBusy(connections);
      if (free !== undefined) return take(free);
      const signal = deadline.signal();
      return new Promise((resolve, reject) => {
        const settle = () => signal.removeEventListener('abort', abort);
        const waiter: Waiter = {
          resolve(lease) {
            settle();
            resolve(lease);
          },
          reject(error) {
            settle();
            reject(error);
          },
        };
        const abort = () => {
          waiting.delete(waiter);
          reject(signal.reason);
        };
        signal.addEventListener('abort', abort, { once: true });
        waiting.add(waiter);
        pump();
      });
    },
    async close() {
      closed = true;
      for (const waiter of waiting) waiter.reject(poolClosed(name));
      waiting.clear();
      const ends = [...connections].map(
        ({ ssh }) =>
          new Promise<void>((resolve) => {
            ssh.client.once('close', resolve);
            ssh.end();
          }),
      );
      await Promise.all(ends);
    },
    connections: () => connections.size,
  };
}

function leastBusy(connections: Iterable<Connection>): Connection | undefined {
  let best: Connection | undefined;
  for (const connection of connections) {
    if (connection.active >= connection.capacity) continue;
    if (best === undefined || connection.active < best.active) best = connection;
  }
  return best;
}

function poolClosed(name: string): ServiceError {
  return new ServiceError({
    code: 'cancelled',
    message: `The SSH connections to ${name} are being closed: the service stops`,
    remedy: 'Try again when the service runs again.',
    retryable: true,
  });
}
