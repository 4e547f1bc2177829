import { connect, createServer, type Socket } from 'node:net';

export interface TcpProxy {
  readonly port: number;
  /** Stops forwarding without closing: what a half-open connection looks like. */
  readonly freeze: (which?: 'both' | 'to-server') => void;
  /** Lets this many more chunks through to the server, then freezes that way. */
  readonly freezeAfter: (chunks: number) => void;
  readonly thaw: () => void;
  /** From now on what the server sends comes in pieces: all of so many milliseconds at once. */
  readonly gather: (ms: number) => void;
  /** From now on ends a connection on which the server sends nothing for so many milliseconds. */
  readonly endSilent: (ms: number) => void;
  /** Resets every connection. */
  readonly cut: () => void;
  /** Connections that are open. */
  readonly open: () => number;
  /** Bytes that went to the client so far. */
  readonly bytesToClient: () => number;
  readonly stop: () => Promise<void>;
}

/** Stands between a client and a server on loopback, to break what is between them. @param port - default: any that is free */
export async function startTcpProxy(target: number, port = 0): Promise<TcpProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  const frozen = { toServer: false, toClient: false };
  let bytesToClient = 0;
  let left = Number.POSITIVE_INFINITY;
  let gatherMs = 0;
  let silentMs = 0;
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ port: target, host: '127.0.0.1', noDelay: true });
    const pair = [client, upstream] as const;
    pairs.add(pair);
    forward(client, upstream, () => frozen.toServer);
    client.on('data', () => {
      left--;
      if (left > 0) return;
      left = Number.POSITIVE_INFINITY;
      frozen.toServer = true;
      client.pause();
    });
    forward(
      upstream,
      client,
      () => frozen.toClient,
      () => gatherMs,
    );
    upstream.on('data', (chunk) => {
      bytesToClient += chunk.length;
    });
    upstream.setTimeout(silentMs, () => upstream.destroy());
    for (const socket of pair) {
      socket.on('error', () => undefined);
      socket.on('close', () => {
        pairs.delete(pair);
        // While it is frozen, nobody learns of the other side's end either.
        if (!frozen.toServer) for (const other of pair) other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const flush = () => {
    for (const pair of pairs) for (const socket of pair) socket.resume();
  };
  return {
    port: address.port,
    freeze(which = 'both') {
      frozen.toServer = true;
      frozen.toClient = which === 'both';
      for (const [client, upstream] of pairs) {
        client.pause();
        if (which === 'both') upstream.pause();
      }
    },
    freezeAfter(chunks) {
      left = chunks;
    },
    thaw() {
      frozen.toServer = false;
      frozen.toClient = false;
      flush();
    },
    gather(ms) {
      gatherMs = ms;
    },
    endSilent(ms) {
      silentMs = ms;
      for (const [, upstream] of pairs) upstream.setTimeout(ms);
    },
    cut() {
      for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
    },
    open: () => pairs.size,
    bytesToClient: () => bytesToClient,
    async stop() {
      frozen.toServer = false;
      for (const pair of pairs) for (const socket of pair) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function forward(from: Socket, to: Socket, isFrozen: () => boolean, gatherMs = () => 0): void {
  let held: Buffer[] = [];
  const pass = (chunk: Buffer) => {
    if (!to.write(chunk)) from.pause();
  };
  const passHeld = () => {
    pass(Buffer.concat(held));
    held = [];
  };
  from.on('data', (chunk: Buffer) => {
    if (gatherMs() === 0) pass(chunk);
    else if (held.push(chunk) === 1) setTimeout(passHeld, gatherMs());
  });
  to.on('drain', () => {
    if (!isFrozen()) from.resume();
  });
}
