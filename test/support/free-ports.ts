import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Between what services usually have and what the kernel gives to outgoing connections and to whoever asks for any: a port
 * from there could be another test's by the time that it is used.
 */
const [first, end] = [15_000, 32_000];

/** A port of loopback that nobody listens on now. */
export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

/** Different ports of loopback that nobody listens on now. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(first, end);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
